//! The one statement that ends a step: state, waits, messages and history, all or nothing.
//!
//! It takes steps of any number of instances ([`run_together`]). Each step is guarded for itself:
//! where the instance went on without us, nothing at all of that step is written.

use diesel::QueryableByName;
use diesel::sql_types::{Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff_diesel::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::Epoch;
use super::blob::Blob;
use super::page::Pages;
use crate::store::Error;
use crate::store::statement::statement;

mod binds;
mod text;

/// What happens to the instance row.
#[derive(Clone, Debug)]
pub enum Own {
    /// It is new.
    Start {
        definition: Uuid,
        business_key: Option<String>,
        /// The call activity that waits for its end.
        caller: Option<Caller>,
    },
    /// It must still be at this revision, and ours.
    Continue { rev: i64, epoch: Epoch },
}

/// A call activity of another instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub instance: Uuid,
    pub frame: i64,
}

/// A start timer that fires with the step: it moves on to its next time, or goes.
#[derive(Clone, Debug)]
pub struct Fired {
    pub timer: Uuid,
    pub due: jiff::Timestamp,
    pub next: Option<(jiff::Timestamp, String)>,
}

/// How the step left the instance.
#[derive(Clone, Debug)]
pub enum Left {
    /// It waits: the state is stored.
    Waiting {
        state: String,
        alternative_key: Option<String>,
        suspended: bool,
    },
    /// It is over: its rows go, its history stays.
    Ended { outcome: String },
}

/// The Task that made the step happen: it is handed over in the same statement.
#[derive(Clone, Debug)]
pub struct Received {
    pub task: Uuid,
    pub epoch: Epoch,
    /// The activity instance that received it; absent for the Task that starts the instance.
    pub scope: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct SubscriptionRow {
    pub id: i64,
    pub kind: &'static str,
    pub name: String,
    pub activity: String,
    pub correlation_key: Option<String>,
}

#[derive(Clone, Debug)]
pub struct JobRow {
    pub id: i64,
    pub kind: &'static str,
    pub activity: String,
    pub due: jiff::Timestamp,
    pub retries: i32,
    pub incident: Option<String>,
}

#[derive(Clone, Debug)]
pub struct OutboxRow {
    pub id: Uuid,
    pub kind: &'static str,
    pub frame: Option<i64>,
    pub task: Option<Uuid>,
    pub document: String,
    pub address: Option<String>,
    pub call: Option<String>,
    pub patience_seconds: f64,
}

#[derive(Clone, Debug)]
pub struct HistoryRow {
    pub at: jiff::Timestamp,
    pub event: &'static str,
    pub activity: String,
    pub detail: Option<Value>,
}

/// A Task of the instance: its document, or that its answer is on its way.
#[derive(Clone, Debug)]
pub struct TaskRow {
    pub task: Uuid,
    pub document: String,
    pub answered: bool,
}

/// Everything a step wants stored.
#[derive(Clone, Debug)]
pub struct Flush {
    pub instance: Uuid,
    pub own: Own,
    pub left: Left,
    /// Keep the lease for this long; 0 gives it back.
    pub lease_seconds: f64,
    pub received: Option<Received>,
    /// The outbox row whose outcome the step has taken in.
    pub sent: Option<(Uuid, Epoch)>,
    pub put_subscriptions: Vec<SubscriptionRow>,
    pub delete_subscriptions: Vec<i64>,
    pub put_jobs: Vec<JobRow>,
    pub delete_jobs: Vec<i64>,
    pub tasks: Vec<TaskRow>,
    pub outbox: Vec<OutboxRow>,
    pub history: Vec<HistoryRow>,
    /// Large values that are new or gone; absent where none is.
    pub blobs: Option<Blobs>,
    /// Absent where no page has changed.
    pub pages: Option<Pages>,
}

#[derive(Clone, Debug)]
pub struct Blobs {
    pub new: Vec<Blob>,
    pub gone: Vec<String>,
}

/// Stores a step; `false` when the instance, the Task or the message is no longer ours, and then
/// nothing has changed.
pub async fn run(conn: &mut AsyncPgConnection, flush: &Flush) -> Result<bool, Error> {
    let stored = run_together(conn, &[flush]).await?;
    Ok(stored == [true])
}

/// Stores steps of different instances by one statement. For each, in their order, `false` means
/// the same as with [`run`]. An error stores none of them.
pub async fn run_together(
    conn: &mut AsyncPgConnection,
    steps: &[&Flush],
) -> Result<Vec<bool>, Error> {
    #[derive(QueryableByName)]
    struct Stored {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    // Whoever locks several instances does so in the order of their ids.
    let mut sorted = steps.to_vec();
    sorted.sort_by_key(|flush| flush.instance);
    let query = binds::binds(statement(text::text(&sorted)), &sorted);
    let rows: Vec<Stored> = query.load(conn).await?;
    let is_stored = |flush: &&Flush| rows.iter().any(|row| row.id == flush.instance);
    Ok(steps.iter().map(is_stored).collect())
}

/// Stores what several instances want stored, all or nothing, in a transaction; `false` when one of
/// them is no longer ours, and then the transaction must not be committed.
pub async fn run_all(conn: &mut AsyncPgConnection, flushes: &[Flush]) -> Result<bool, Error> {
    let all: Vec<&Flush> = flushes.iter().collect();
    let stored = run_together(conn, &all).await?;
    Ok(stored.into_iter().all(|is_stored| is_stored))
}

/// Takes a start timer; `false` when somebody else has.
pub async fn fire(conn: &mut AsyncPgConnection, fired: &Fired) -> Result<bool, Error> {
    let (next, schedule) = match &fired.next {
        Some((due, schedule)) => (Some(Timestamp::from(*due)), schedule.as_str()),
        None => (None, ""),
    };
    let rows = statement(
        "with gone as (delete from start_timer where id = $1 and due = $2 and $3 is null
                       returning 1),
              moved as (update start_timer set due = $3, schedule = $4
                        where id = $1 and due = $2 and $3 is not null returning 1)
         select 1 from gone union all select 1 from moved",
    )
    .bind::<SqlUuid, _>(fired.timer)
    .bind::<Timestamptz, _>(Timestamp::from(fired.due))
    .bind::<Nullable<Timestamptz>, _>(next)
    .bind::<Text, _>(schedule)
    .execute(conn)
    .await?;
    Ok(rows == 1)
}
