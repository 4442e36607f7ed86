//! What is due: timers, asynchronous continuations, retries.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Double, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::store::Error;
use crate::store::statement::statement;

/// A job whose time has come.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Due {
    #[diesel(sql_type = SqlUuid)]
    pub instance: Uuid,
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub activity: String,
}

/// Due jobs of instances that nobody works on, oldest first.
pub async fn due(conn: &mut AsyncPgConnection, most: i64) -> Result<Vec<Due>, Error> {
    let rows = statement(
        "select j.instance, j.id, j.activity
         from job j join instance i on i.id = j.instance
         where j.retries > 0 and j.due <= clock_timestamp()
             and not i.suspended and (i.lease_until is null or i.lease_until < now())
         order by j.due, j.seq limit $1",
    )
    .bind::<BigInt, _>(most)
    .load(conn)
    .await?;
    Ok(rows)
}

/// Seconds until the next job is due, by the clock of the database; negative when overdue. Jobs of
/// instances that somebody works on do not count: their end rings.
pub async fn next_due(conn: &mut AsyncPgConnection) -> Result<Option<f64>, Error> {
    #[derive(QueryableByName)]
    struct Next {
        #[diesel(sql_type = Nullable<Double>)]
        seconds: Option<f64>,
    }
    let row: Next = statement(
        "select extract(epoch from min(j.due) - clock_timestamp())::float8 as seconds
         from job j join instance i on i.id = j.instance
         where j.retries > 0 and not i.suspended and (i.lease_until is null or i.lease_until < now())",
    )
    .get_result(conn)
    .await?;
    Ok(row.seconds)
}

/// Puts a job off, without an attempt counted: its instance was busy.
pub async fn postpone(
    conn: &mut AsyncPgConnection,
    instance: Uuid,
    id: i64,
    seconds: f64,
) -> Result<(), Error> {
    statement(
        "update job set due = clock_timestamp() + make_interval(secs => $3)
         where instance = $1 and id = $2",
    )
    .bind::<SqlUuid, _>(instance)
    .bind::<BigInt, _>(id)
    .bind::<Double, _>(seconds)
    .execute(conn)
    .await?;
    Ok(())
}
