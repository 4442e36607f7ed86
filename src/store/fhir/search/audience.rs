//! Which audiences of a type a caller belongs to; see docs/adr/0014.

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Bool, Integer, SmallInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::condition::Visible;
use crate::r4::ResourceType;
use crate::store::Error;
use crate::store::statement::statement;

/// With more audiences than these a page comes from the list of all resources of the type.
pub(super) const LISTS: usize = 32;

/// The audiences of a type, as of one moment.
#[derive(Debug, QueryableByName)]
pub(super) struct Audiences {
    /// Of the directory, at that moment.
    #[diesel(sql_type = BigInt)]
    pub generation: i64,
    /// Those that share a key with the caller, in order.
    #[diesel(sql_type = Array<Integer>)]
    pub seen: Vec<i32>,
    /// Whether there are others.
    #[diesel(sql_type = Bool)]
    pub others: bool,
}

impl Audiences {
    /// Whether the page is best merged from one list for each audience: then nothing is touched
    /// that the caller may not see.
    pub(super) fn make_lists(&self) -> bool {
        self.others && (2..=LISTS).contains(&self.seen.len())
    }
}

/// The audiences of `kind` that `visible` belongs to.
pub(super) async fn audiences(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    visible: &Visible,
) -> Result<Audiences, Error> {
    Ok(statement(
        "SELECT (SELECT generation FROM directory) AS generation, \
                coalesce(array_agg(id ORDER BY id) FILTER (WHERE keys && $2), '{}') AS seen, \
                coalesce(bool_or(NOT keys && $2), false) AS others \
         FROM audience WHERE type = $1",
    )
    .bind::<SmallInt, _>(kind.code())
    .bind::<Array<Text>, _>(visible.keys())
    .get_result(conn)
    .await?)
}
