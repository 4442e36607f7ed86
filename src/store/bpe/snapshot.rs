//! Everything at once: for scenarios, whose databases hold a handful of rows.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::definition::{COLUMNS, Definition};
use crate::store::Error;
use crate::store::statement::statement;

/// An instance that runs or has run.
#[derive(Clone, Debug, QueryableByName)]
pub struct Instance {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub definition: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    pub business_key: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub caller: Option<Uuid>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub caller_frame: Option<i64>,
    /// Whether it has not ended.
    #[diesel(sql_type = Bool)]
    pub runs: bool,
}

/// A job or subscription and its place in the order of creation.
#[derive(Clone, Debug, QueryableByName)]
pub struct Wait {
    #[diesel(sql_type = SqlUuid)]
    pub instance: Uuid,
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = BigInt)]
    pub seq: i64,
}

/// All models, oldest first.
pub async fn definitions(conn: &mut AsyncPgConnection) -> Result<Vec<Definition>, Error> {
    let text = format!("select {COLUMNS} from definition order by deployed");
    Ok(statement(text).load(conn).await?)
}

/// All instances in the order in which they began.
pub async fn instances(conn: &mut AsyncPgConnection) -> Result<Vec<Instance>, Error> {
    let rows = statement(
        "select h.id, h.definition, h.business_key, h.caller, h.caller_frame, i.id is not null as runs
         from history_instance h left join instance i on i.id = h.id order by h.seq",
    )
    .load(conn)
    .await?;
    Ok(rows)
}

pub async fn waits(conn: &mut AsyncPgConnection) -> Result<Vec<Wait>, Error> {
    let rows = statement(
        "select instance, id, seq from job union all select instance, id, seq from subscription",
    )
    .load(conn)
    .await?;
    Ok(rows)
}

/// Removes everything that was ever deployed or run.
pub async fn clear(conn: &mut AsyncPgConnection) -> Result<(), Error> {
    statement(
        "truncate definition, instance, subscription, job, inbox, heard, outbox, history,
             history_instance, start_timer, control, user_task cascade",
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// One line of the history of all instances.
#[cfg(test)]
#[derive(Clone, Debug, QueryableByName)]
pub(crate) struct Line {
    #[diesel(sql_type = SqlUuid)]
    pub instance: Uuid,
    #[diesel(sql_type = BigInt)]
    pub rev: i64,
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub seq: i32,
    #[diesel(sql_type = Text)]
    pub event: String,
    #[diesel(sql_type = Text)]
    pub activity: String,
}

#[cfg(test)]
pub(crate) async fn history(conn: &mut AsyncPgConnection) -> Result<Vec<Line>, Error> {
    let rows = statement(
        "select instance, rev, seq, event, activity from history order by instance, rev, seq",
    )
    .load(conn)
    .await?;
    Ok(rows)
}

/// As if all nodes had been silent for too long.
#[cfg(test)]
pub(crate) async fn expire_leases(conn: &mut AsyncPgConnection) -> Result<(), Error> {
    statement(
        "update instance set lease_until = now() - interval '1 s' where lease_until is not null",
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The other connections to the database, by the processes that serve them.
#[cfg(test)]
pub(crate) async fn connections(conn: &mut AsyncPgConnection) -> Result<Vec<i32>, Error> {
    #[derive(QueryableByName)]
    struct Connection {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        pid: i32,
    }
    let rows: Vec<Connection> = statement(
        "select pid from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()",
    )
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.pid).collect())
}
