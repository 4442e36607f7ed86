//! What is due: timers, asynchronous continuations, retries.

use std::collections::HashSet;

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Double, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::FORGETTABLE;
use super::instance::{LEASED, Leased};
use super::page;
use crate::store::Error;
use crate::store::statement::statement;

/// A job whose time has come, with its instance, which is leased to us.
#[derive(Clone, Debug, QueryableByName)]
pub struct Taken {
    #[diesel(sql_type = BigInt)]
    pub job: i64,
    #[diesel(sql_type = Text)]
    pub activity: String,
    #[diesel(embed)]
    pub instance: Leased,
}

/// Due jobs of instances that nobody works on, oldest first, at most one of each instance. Their
/// instances are leased and loaded in the same statement, with the page of the job; as with
/// [`super::instance::lease`], the disk is not waited for. The time is that of the statement, since
/// one that went on would keep the index from ending the search at the first job that is not due.
pub async fn take(
    conn: &mut AsyncPgConnection,
    most: i64,
    lease_seconds: f64,
) -> Result<Vec<Taken>, Error> {
    let bits = page::BITS;
    let mut rows: Vec<Taken> = statement(format!(
        "with ready as (
             select j.instance, j.id, j.activity, j.due, j.seq
             from job j join instance i on i.id = any (array[j.instance])
             where j.retries > 0 and j.due <= statement_timestamp()
                 and not i.suspended and (i.lease_until is null or i.lease_until < now())
             order by j.due, j.seq limit $1 for update of i skip locked),
         leased as (
             update instance
             set lease_epoch = instance.lease_epoch + 1,
                 lease_until = now() + make_interval(secs => $2)
             where instance.id = any (array(select ready.instance from ready)) and {FORGETTABLE}
             returning {LEASED})
         select ready.id as job, ready.activity, leased.*,
             case when ready.id >> {bits} > 0 then
                 (select p.state from page p
                  where p.instance = leased.id and p.page = ready.id >> {bits}) end as page
         from ready join leased on leased.id = ready.instance
         order by ready.due, ready.seq",
    ))
    .bind::<BigInt, _>(most)
    .bind::<Double, _>(lease_seconds)
    .load(conn)
    .await?;
    let mut seen = HashSet::new();
    rows.retain(|row| seen.insert(row.instance.id));
    Ok(rows)
}

/// Seconds until the next job is due, by the clock of the database; negative when overdue. Jobs of
/// instances that somebody works on do not count: their end rings.
pub async fn next_due(conn: &mut AsyncPgConnection) -> Result<Option<f64>, Error> {
    super::seconds_until(
        conn,
        "select (
             select extract(epoch from j.due - clock_timestamp())::float8
             from job j join instance i on i.id = any (array[j.instance])
             where j.retries > 0 and not i.suspended
                 and (i.lease_until is null or i.lease_until < now())
             order by j.due limit 1) as seconds",
    )
    .await
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
