//! What people want done to running instances, and what became of it: queue and audit in one.

use diesel::QueryableByName;
use diesel::sql_types::{
    Array, BigInt, Double, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff_diesel::{NullableTimestamp, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use crate::store::Error;
use crate::store::statement::statement;

/// One wish and its fate.
#[derive(Clone, Debug, QueryableByName)]
pub struct Row {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    pub asked: Timestamp,
    #[diesel(sql_type = Text)]
    pub actor: String,
    #[diesel(sql_type = SqlUuid)]
    pub instance: Uuid,
    #[diesel(sql_type = Jsonb)]
    pub action: Value,
    /// Absent while nobody has dealt with it.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub done: NullableTimestamp,
    /// `done`, or why not.
    #[diesel(sql_type = Nullable<Text>)]
    pub outcome: Option<String>,
}

const COLUMNS: &str = "id, asked, actor, instance, action, done, outcome";

/// Notes a wish; answers its id.
pub async fn ask(
    conn: &mut AsyncPgConnection,
    actor: &str,
    instance: Uuid,
    action: &Value,
) -> Result<Uuid, Error> {
    let id = Uuid::now_v7();
    statement("insert into control (id, actor, instance, action) values ($1, $2, $3, $4)")
        .bind::<SqlUuid, _>(id)
        .bind::<Text, _>(actor)
        .bind::<SqlUuid, _>(instance)
        .bind::<Jsonb, _>(action)
        .execute(conn)
        .await?;
    Ok(id)
}

/// Wishes to deal with, each ours for a while, in the order in which they were uttered.
pub async fn take(
    conn: &mut AsyncPgConnection,
    most: i64,
    seconds: f64,
) -> Result<Vec<Row>, Error> {
    let mut rows: Vec<Row> = statement(format!(
        "update control set due = clock_timestamp() + make_interval(secs => $2)
         where id = any (array(
             select id from control where done is null and due <= statement_timestamp()
             order by due, id limit $1 for update skip locked))
         returning {COLUMNS}"
    ))
    .bind::<BigInt, _>(most)
    .bind::<Double, _>(seconds)
    .load(conn)
    .await?;
    rows.sort_by_key(|row| row.id);
    Ok(rows)
}

/// Deals with it later.
pub async fn postpone(conn: &mut AsyncPgConnection, id: Uuid, seconds: f64) -> Result<(), Error> {
    statement(
        "update control set due = clock_timestamp() + make_interval(secs => $2) where id = $1",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<Double, _>(seconds)
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes down what became of it; `false` when somebody else has.
pub async fn settle(conn: &mut AsyncPgConnection, id: Uuid, outcome: &str) -> Result<bool, Error> {
    let rows = statement(
        "update control set done = clock_timestamp(), outcome = $2 where id = $1 and done is null",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<Text, _>(outcome)
    .execute(conn)
    .await?;
    Ok(rows == 1)
}

/// The wishes with these ids.
pub async fn by_ids(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> Result<Vec<Row>, Error> {
    let text = format!("select {COLUMNS} from control where id = any ($1) order by id");
    Ok(statement(text)
        .bind::<Array<SqlUuid>, _>(ids)
        .load(conn)
        .await?)
}

/// What was done to an instance by hand, oldest first.
pub async fn of_instance(conn: &mut AsyncPgConnection, instance: Uuid) -> Result<Vec<Row>, Error> {
    let text = format!("select {COLUMNS} from control where instance = $1 order by id");
    Ok(statement(text)
        .bind::<SqlUuid, _>(instance)
        .load(conn)
        .await?)
}

/// Seconds until the next wish is due.
pub async fn next_due(conn: &mut AsyncPgConnection) -> Result<Option<f64>, Error> {
    super::seconds_until(
        conn,
        "select extract(epoch from min(due) - clock_timestamp())::float8 as seconds
         from control where done is null",
    )
    .await
}
