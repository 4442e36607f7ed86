//! Tasks for people: forms that are wanted, open, answered, or no longer needed.
//!
//! `wanted` (the form may be on the server or not) → `open` (it is) → `answered` (somebody has
//! completed it) → `amending` (the instance has taken that in; the server must be told) → gone.
//! A task that ends in another way is `withdrawn`: its form has to be stopped.

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::Epoch;
use crate::store::Error;
use crate::store::statement::statement;

/// A task whose form needs something, leased to us.
#[derive(Clone, Debug, QueryableByName)]
pub struct Entry {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub instance: Uuid,
    #[diesel(sql_type = BigInt)]
    pub task: i64,
    #[diesel(sql_type = BigInt)]
    pub frame: i64,
    #[diesel(sql_type = Text)]
    pub business_key: String,
    #[diesel(sql_type = Text)]
    pub form: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub listener: Option<String>,
    #[diesel(sql_type = Text)]
    pub status: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub document: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub response: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    pub answer: Option<String>,
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    #[diesel(sql_type = BigInt)]
    pub lease_epoch: Epoch,
    /// Its time is over: one more failure is the last.
    #[diesel(sql_type = Bool)]
    pub overdue: bool,
}

/// A task that a step has created.
#[derive(Clone, Debug)]
pub struct New {
    pub id: Uuid,
    pub task: i64,
    pub frame: i64,
    pub business_key: String,
    pub form: String,
    pub listener: Option<String>,
    pub patience_seconds: f64,
}

/// What a step changes of the tasks of its instance.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub new: Vec<New>,
    pub gone: Vec<i64>,
    /// The instance has ended.
    pub all_gone: bool,
}

/// What a step has done with the entry that it was made for.
#[derive(Clone, Debug)]
pub struct Taken {
    pub id: Uuid,
    pub epoch: Epoch,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    /// Code has had its say in the form.
    Composed { document: String },
    /// The form is on the server.
    Opened { response: Uuid },
    /// The answer has been taken in.
    Completed,
}

impl Changes {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.gone.is_empty() && !self.all_gone
    }
}

/// Stores what a step has done with its entry; `false` when that is no longer ours.
pub async fn settle(conn: &mut AsyncPgConnection, taken: &Taken) -> Result<bool, Error> {
    let (document, response, completed) = match &taken.what {
        What::Composed { document } => (Some(document.as_str()), None, false),
        What::Opened { response } => (None, Some(*response), false),
        What::Completed => (None, None, true),
    };
    let rows = statement(
        "update user_task set
             document = coalesce($3, document), response = coalesce($4, response),
             status = case when $5 then 'amending'
                           when $4 is null then status
                           when answer is null then 'open' else 'answered' end,
             due = clock_timestamp(), attempts = 0
         where id = $1 and lease_epoch = $2
             and status = case when $5 then 'answered' else 'wanted' end",
    )
    .bind::<SqlUuid, _>(taken.id)
    .bind::<BigInt, _>(taken.epoch)
    .bind::<Nullable<Text>, _>(document)
    .bind::<Nullable<SqlUuid>, _>(response)
    .bind::<Bool, _>(completed)
    .execute(conn)
    .await?;
    Ok(rows == 1)
}

/// Stores what a step changes of the tasks of its instance.
pub async fn change(
    conn: &mut AsyncPgConnection,
    instance: Uuid,
    changes: &Changes,
) -> Result<(), Error> {
    for new in &changes.new {
        statement(
            "insert into user_task
                 (id, instance, task, frame, business_key, form, listener, deadline)
             values ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + make_interval(secs => $8))
             on conflict do nothing",
        )
        .bind::<SqlUuid, _>(new.id)
        .bind::<SqlUuid, _>(instance)
        .bind::<BigInt, _>(new.task)
        .bind::<BigInt, _>(new.frame)
        .bind::<Text, _>(new.business_key.as_str())
        .bind::<Text, _>(new.form.as_str())
        .bind::<Nullable<Text>, _>(new.listener.as_deref())
        .bind::<Double, _>(new.patience_seconds)
        .execute(conn)
        .await?;
    }
    // What is being amended was completed by this very step, or by one before it.
    statement(
        "update user_task set status = 'withdrawn', due = clock_timestamp(), attempts = 0
         where instance = $1 and (task = any ($2) or $3)
             and status in ('wanted', 'open', 'answered')",
    )
    .bind::<SqlUuid, _>(instance)
    .bind::<Array<BigInt>, _>(changes.gone.as_slice())
    .bind::<Bool, _>(changes.all_gone)
    .execute(conn)
    .await?;
    Ok(())
}

/// Leases due entries, oldest first.
pub async fn take(
    conn: &mut AsyncPgConnection,
    most: i64,
    lease_seconds: f64,
) -> Result<Vec<Entry>, Error> {
    let rows = statement(
        "with ripe as (
             select id from user_task where status <> 'open' and due <= statement_timestamp()
             order by due limit $1 for update skip locked)
         update user_task set lease_epoch = lease_epoch + 1, attempts = attempts + 1,
             due = clock_timestamp() + make_interval(secs => $2)
         from ripe where user_task.id = any (array[ripe.id])
         returning user_task.id, instance, task, frame, business_key, form, listener, status,
             document, response, answer, attempts, lease_epoch,
             deadline < clock_timestamp() as overdue",
    )
    .bind::<BigInt, _>(most)
    .bind::<Double, _>(lease_seconds)
    .load(conn)
    .await?;
    Ok(rows)
}

/// Keeps an entry ours for so many seconds more, or lets it come again after them.
pub async fn postpone(
    conn: &mut AsyncPgConnection,
    entry: &Entry,
    seconds: f64,
    error: Option<&str>,
) -> Result<(), Error> {
    statement(
        "update user_task set due = clock_timestamp() + make_interval(secs => $3),
             error = coalesce($4, error)
         where id = $1 and lease_epoch = $2",
    )
    .bind::<SqlUuid, _>(entry.id)
    .bind::<BigInt, _>(entry.lease_epoch)
    .bind::<Double, _>(seconds)
    .bind::<Nullable<Text>, _>(error)
    .execute(conn)
    .await?;
    Ok(())
}

/// Nothing is left to do.
pub async fn forget(conn: &mut AsyncPgConnection, entry: &Entry) -> Result<(), Error> {
    statement("delete from user_task where id = $1 and lease_epoch = $2")
        .bind::<SqlUuid, _>(entry.id)
        .bind::<BigInt, _>(entry.lease_epoch)
        .execute(conn)
        .await?;
    Ok(())
}

/// Somebody has completed the form; `false` when no task waits for it. A form that is answered before
/// we know that it is on the server keeps its answer until we do.
pub async fn answer(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    response: Uuid,
    document: &str,
) -> Result<bool, Error> {
    let rows = statement(
        "update user_task set response = $2, answer = $3, attempts = 0,
             status = case status when 'open' then 'answered' else status end,
             due = case status when 'open' then clock_timestamp() else due end
         where id = $1 and status in ('wanted', 'open') and answer is null",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<SqlUuid, _>(response)
    .bind::<Text, _>(document)
    .execute(conn)
    .await?;
    Ok(rows == 1)
}

/// Where a task stands: its instance and its status.
pub async fn standing(
    conn: &mut AsyncPgConnection,
    id: Uuid,
) -> Result<Option<(Uuid, String)>, Error> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        instance: Uuid,
        #[diesel(sql_type = Text)]
        status: String,
    }
    let mut rows: Vec<Row> = statement("select instance, status from user_task where id = $1")
        .bind::<SqlUuid, _>(id)
        .load(conn)
        .await?;
    Ok(rows.pop().map(|row| (row.instance, row.status)))
}

/// A day before the oldest task that waits for its answer came into being: what changed earlier on
/// the server is of no interest. Nothing waits: nothing is of interest.
pub async fn waiting_since(conn: &mut AsyncPgConnection) -> Result<Option<String>, Error> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<Text>)]
        day: Option<String>,
    }
    let row: Row = statement(
        "select to_char(min(created) at time zone 'utc' - interval '1 day', 'YYYY-MM-DD') as day
         from user_task where status in ('wanted', 'open')",
    )
    .get_result(conn)
    .await?;
    Ok(row.day)
}

/// Seconds until the next entry is due; negative when overdue.
pub async fn next_due(conn: &mut AsyncPgConnection) -> Result<Option<f64>, Error> {
    super::seconds_until(
        conn,
        "select extract(epoch from min(due) - clock_timestamp())::float8 as seconds
         from user_task where status <> 'open'",
    )
    .await
}
