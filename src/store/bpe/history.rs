//! What has happened: instances for lists, and the retention of history.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff_diesel::{NullableTimestamp, Timestamp};
use uuid::Uuid;

use crate::store::Error;
use crate::store::statement::statement;

/// An instance, running or ended.
#[derive(Clone, Debug, QueryableByName)]
pub struct Instance {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Text)]
    pub process: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub business_key: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    pub started: Timestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub ended: NullableTimestamp,
    #[diesel(sql_type = Nullable<Text>)]
    pub outcome: Option<String>,
    #[diesel(sql_type = Bool)]
    pub paused: bool,
    #[diesel(sql_type = Bool)]
    pub incident: bool,
}

/// Which instances a list shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Key of the process.
    pub process: Option<&'a str>,
    pub business_key: Option<&'a str>,
    /// Only those that run, or only those that have ended.
    pub running: Option<bool>,
    /// Only those with an incident of their own.
    pub incidents: bool,
    pub most: i64,
}

const SELECT: &str = "select h.id, d.key || '|' || d.version_tag as process, h.business_key,
        h.started, h.ended, h.outcome, coalesce(i.suspended, false) as paused,
        exists (select 1 from job where instance = h.id and incident is not null) as incident
    from history_instance h join definition d on d.id = h.definition
        left join instance i on i.id = h.id";

/// The newest instances first.
pub async fn list(
    conn: &mut AsyncPgConnection,
    filter: Filter<'_>,
) -> Result<Vec<Instance>, Error> {
    let rows = statement(format!(
        "{SELECT}
         where ($1 is null or d.key = $1) and ($2 is null or h.business_key = $2)
             and ($3 is null or (h.ended is null) = $3)
             and (not $4 or exists
                  (select 1 from job where instance = h.id and incident is not null))
         order by h.seq desc limit $5"
    ))
    .bind::<Nullable<Text>, _>(filter.process)
    .bind::<Nullable<Text>, _>(filter.business_key)
    .bind::<Nullable<Bool>, _>(filter.running)
    .bind::<Bool, _>(filter.incidents)
    .bind::<BigInt, _>(filter.most)
    .load(conn)
    .await?;
    Ok(rows)
}

/// The instances whose id begins like this, at most two: a prefix must name one.
pub async fn named(conn: &mut AsyncPgConnection, prefix: &str) -> Result<Vec<Instance>, Error> {
    let rows = statement(format!(
        "{SELECT} where h.id::text like $1 || '%' order by h.seq desc limit 2"
    ))
    .bind::<Text, _>(prefix)
    .load(conn)
    .await?;
    Ok(rows)
}

/// One instance.
pub async fn by_id(conn: &mut AsyncPgConnection, id: Uuid) -> Result<Option<Instance>, Error> {
    let mut rows: Vec<Instance> = statement(format!("{SELECT} where h.id = $1"))
        .bind::<SqlUuid, _>(id)
        .load(conn)
        .await?;
    Ok(rows.pop())
}

/// One line of an instance's history.
#[derive(Clone, Debug, QueryableByName)]
pub struct Event {
    #[diesel(sql_type = Timestamptz)]
    pub at: Timestamp,
    #[diesel(sql_type = Text)]
    pub event: String,
    #[diesel(sql_type = Text)]
    pub activity: String,
}

/// What happened to an instance, in order, without its variables.
pub async fn events(conn: &mut AsyncPgConnection, instance: Uuid) -> Result<Vec<Event>, Error> {
    let rows = statement(
        "select at, event, activity from history
         where instance = $1 and event <> 'variable' order by rev, seq",
    )
    .bind::<SqlUuid, _>(instance)
    .load(conn)
    .await?;
    Ok(rows)
}

/// Removes the history of instances that ended more than `days` ago, at most `most` instances.
pub async fn sweep(conn: &mut AsyncPgConnection, days: i64, most: i64) -> Result<usize, Error> {
    let rows = statement(
        "with old as (
             delete from history_instance where id = any (array(
                 select id from history_instance
                 where ended < now() - make_interval(days => $1::int) limit $2))
             returning id),
             gone as (
                 delete from control using old where control.instance = any (array[old.id]))
         delete from history using old where history.instance = any (array[old.id])",
    )
    .bind::<BigInt, _>(days)
    .bind::<BigInt, _>(most)
    .execute(conn)
    .await?;
    Ok(rows)
}
