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
    #[diesel(sql_type = Text)]
    pub business_key: String,
    #[diesel(sql_type = Timestamptz)]
    pub started: Timestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub ended: NullableTimestamp,
    #[diesel(sql_type = Nullable<Text>)]
    pub outcome: Option<String>,
    #[diesel(sql_type = Bool)]
    pub incident: bool,
}

/// The newest instances first.
pub async fn newest(conn: &mut AsyncPgConnection, most: i64) -> Result<Vec<Instance>, Error> {
    let rows = statement(
        "select h.id, d.key || '|' || d.version_tag as process, h.business_key, h.started, h.ended,
                h.outcome,
                exists (select 1 from job where instance = h.id and incident is not null)
                    as incident
         from history_instance h join definition d on d.id = h.definition
         order by h.started desc limit $1",
    )
    .bind::<BigInt, _>(most)
    .load(conn)
    .await?;
    Ok(rows)
}

/// Removes the history of instances that ended more than `days` ago, at most `most` instances.
pub async fn sweep(conn: &mut AsyncPgConnection, days: i64, most: i64) -> Result<usize, Error> {
    let rows = statement(
        "with old as (
             delete from history_instance where id in (
                 select id from history_instance
                 where ended < now() - make_interval(days => $1::int) limit $2)
             returning id)
         delete from history using old where history.instance = old.id",
    )
    .bind::<BigInt, _>(days)
    .bind::<BigInt, _>(most)
    .execute(conn)
    .await?;
    Ok(rows)
}
