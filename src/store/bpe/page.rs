//! Parts of instances that are stored by themselves.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::Epoch;
use crate::store::Error;
use crate::store::statement::statement;

/// Bits of the number of a frame or wait below those that name its page.
pub const BITS: u32 = 32;

/// A page and its content.
#[derive(Clone, Debug, QueryableByName)]
pub struct Row {
    #[diesel(sql_type = BigInt)]
    pub page: i64,
    #[diesel(sql_type = Text)]
    pub state: String,
}

/// What a step wants stored of the pages that it has seen.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    pub put: Vec<Row>,
    pub gone: Vec<i64>,
}

/// One page, or all, of an instance as it is at this revision and epoch; nothing when it has gone on
/// without us.
pub async fn read(
    conn: &mut AsyncPgConnection,
    instance: Uuid,
    (rev, epoch): (i64, Epoch),
    page: Option<i64>,
) -> Result<Vec<Row>, Error> {
    let wanted = match page {
        Some(_) => "p.page = $4",
        None => "$4 is null",
    };
    let rows = statement(format!(
        "select p.page, p.state from page p join instance i on i.id = any (array[p.instance])
         where p.instance = $1 and i.rev = $2 and i.lease_epoch = $3 and {wanted}",
    ))
    .bind::<SqlUuid, _>(instance)
    .bind::<BigInt, _>(rev)
    .bind::<BigInt, _>(epoch)
    .bind::<Nullable<BigInt>, _>(page)
    .load(conn)
    .await?;
    Ok(rows)
}

/// A whole instance as it is just now, to look at: its state and all its pages.
pub async fn whole(
    conn: &mut AsyncPgConnection,
    instance: Uuid,
) -> Result<Option<(String, Vec<Row>)>, Error> {
    #[derive(QueryableByName)]
    struct Part {
        #[diesel(sql_type = Nullable<BigInt>)]
        page: Option<i64>,
        #[diesel(sql_type = Text)]
        state: String,
    }
    let parts: Vec<Part> = statement(
        "select null::bigint as page, state from instance where id = $1
         union all select page, state from page where instance = $1",
    )
    .bind::<SqlUuid, _>(instance)
    .load(conn)
    .await?;
    let (mut first, mut pages) = (None, Vec::new());
    for Part { page, state } in parts {
        match page {
            Some(page) => pages.push(Row { page, state }),
            None => first = Some(state),
        }
    }
    Ok(first.map(|state| (state, pages)))
}
