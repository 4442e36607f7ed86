//! The one statement that ends a step: state, waits, messages and history, all or nothing.
//!
//! Every part hangs on `own`, the guarded change of the instance row. Zero rows mean that the
//! instance went on without us: nothing at all was written.

use diesel::QueryableByName;
use diesel::sql_types::{
    Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff_diesel::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::Epoch;
use super::blob::Blob;
use crate::store::Error;
use crate::store::statement::{Statement, statement};

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
    /// Large values: those that are new, and all that the state refers to. Absent where there are
    /// none and were none.
    pub blobs: Option<Blobs>,
}

#[derive(Clone, Debug, Default)]
pub struct Blobs {
    pub new: Vec<Blob>,
    pub keep: Vec<String>,
}

/// What `own` is for a new or a known instance that waits or has ended. Parameters: see [`run`].
const START_WAITING: &str = "insert into instance
        (id, definition, business_key, state, alternative_key, rev, lease_epoch, lease_until,
         caller, caller_frame, suspended)
    select $1, $2, $3, $4, $5, 1, 1, case when $6 > 0 then now() + make_interval(secs => $6) end,
         $43, $44, $45
    where true{guards}
    returning id, rev";
const START_ENDED: &str = "select $1 as id, 1::bigint as rev where true{guards}";
const CONTINUE_WAITING: &str =
    "update instance set state = $4, alternative_key = $5, rev = rev + 1, suspended = $45,
        lease_until = case when $6 > 0 then now() + make_interval(secs => $6) end
    where id = $1 and rev = $10 and lease_epoch = $11{guards}
    returning id, rev";
const CONTINUE_ENDED: &str = "delete from instance
    where id = $1 and rev = $10 and lease_epoch = $11{guards}
    returning id, rev + 1 as rev";

/// Lock the inbox and outbox rows that the step consumes. Both are leased to us; should the
/// lease have passed to somebody else, the lock finds no row and `own` changes nothing.
const TAKEN: &str = "taken as (
    select 1 from inbox where task = $7 and lease_epoch = $8 and status = 'claimed' for update)";
const SENT: &str = "sent as (select 1 from outbox where id = $12 and lease_epoch = $13 for update)";

const GONE_SENT: &str = "gone_sent as (delete from outbox using own where outbox.id = $12)";
const GONE_SUBSCRIPTIONS: &str = "gone_subscriptions as (
    delete from subscription using own
    where subscription.instance = own.id and subscription.id = any ($19))";
const NEW_SUBSCRIPTIONS: &str = "new_subscriptions as (
    insert into subscription (instance, id, kind, name, activity, correlation_key)
    select own.id, s.* from own, unnest($14, $15, $16, $17, $18) s
    on conflict (instance, id) do update set correlation_key = excluded.correlation_key)";
const GONE_JOBS: &str =
    "gone_jobs as (delete from job using own where job.instance = own.id and job.id = any ($26))";
const NEW_JOBS: &str = "new_jobs as (
    insert into job (instance, id, kind, activity, due, retries, incident)
    select own.id, j.* from own, unnest($20, $21, $22, $23, $24, $25) j
    on conflict (instance, id) do update
        set due = excluded.due, retries = excluded.retries, incident = excluded.incident)";
const TASKS: &str = "tasks as (
    update inbox set
        document = coalesce(t.document, inbox.document),
        status = case when t.answered then 'answered' else 'delivered' end,
        instance = own.id,
        scope = case when inbox.task = $7 then $9 else inbox.scope end,
        starts = inbox.starts or coalesce(inbox.task = $7 and $9 is null, false),
        held_until = null
    from own, unnest($27, $28, $29) t (task, document, answered)
    where inbox.task = t.task)";
const NEW_OUTBOX: &str = "new_outbox as (
    insert into outbox (id, kind, instance, frame, task, document, address, call, deadline)
    select o.id, o.kind, own.id, o.frame, o.task, o.document, o.address, o.call,
           clock_timestamp() + make_interval(secs => o.patience)
    from own, unnest($30, $31, $32, $33, $34, $35, $42, $36)
        o (id, kind, frame, task, document, address, call, patience))";
const NEW_HISTORY: &str = "new_history as (
    insert into history (instance, rev, seq, at, event, activity, detail)
    select own.id, own.rev, h.seq, h.at, h.event, h.activity, h.detail
    from own, unnest($37, $38, $39, $40) with ordinality
        h (at, event, activity, detail, seq))";
const BEGUN: &str = "begun as (
    insert into history_instance
        (id, definition, business_key, started, ended, outcome, caller, caller_frame)
    select own.id, $2, $3, now(), case when $41 is not null then now() end, $41, $43, $44
    from own)";
const ENDED: &str = "ended as (
    update history_instance set ended = now(), outcome = $41
    from own where history_instance.id = own.id)";

/// $46 to $48: only where there are large values.
const BLOBS: &str = "new_blobs as (
    insert into blob (instance, digest, content)
    select own.id, b.* from own, unnest($46, $47) b on conflict do nothing),
gone_blobs as (
    delete from blob using own where blob.instance = own.id and blob.digest <> all ($48))";

const CHANGED: &str = "select count(*) as changed from own";

#[derive(QueryableByName)]
struct Changed {
    #[diesel(sql_type = BigInt)]
    changed: i64,
}

/// Runs the statement; `false` when the instance, the Task or the message is no longer ours, and
/// then nothing has changed.
pub async fn run(conn: &mut AsyncPgConnection, flush: &Flush) -> Result<bool, Error> {
    let query = own_binds(statement(text(flush)), flush);
    let query = wait_binds(query, flush);
    let query = message_binds(query, flush);
    let query = blob_binds(history_binds(query, flush), flush);
    let row: Changed = query.get_result(conn).await?;
    Ok(row.changed == 1)
}

/// Runs what several instances want stored, in one transaction; `false` when one of them is no
/// longer ours, and then the transaction must not be committed.
pub async fn run_all(conn: &mut AsyncPgConnection, flushes: &[Flush]) -> Result<bool, Error> {
    for flush in flushes {
        if !run(conn, flush).await? {
            return Ok(false);
        }
    }
    Ok(true)
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

/// The statement with the parts that the step needs: each one costs PostgreSQL some time even where
/// it finds nothing to do. Of the combinations, which each connection keeps prepared, models use a
/// few dozen.
fn text(flush: &Flush) -> String {
    let (is_new, is_over) = (
        matches!(flush.own, Own::Start { .. }),
        matches!(flush.left, Left::Ended { .. }),
    );
    let own = match (is_new, is_over) {
        (true, false) => START_WAITING,
        (true, true) => START_ENDED,
        (false, false) => CONTINUE_WAITING,
        (false, true) => CONTINUE_ENDED,
    };
    let (received, sent) = (flush.received.is_some(), flush.sent.is_some());
    let mut guards = String::new();
    for (is_used, name) in [(received, "taken"), (sent, "sent")] {
        if is_used {
            guards.push_str(&format!(" and exists (select 1 from {name})"));
        }
    }
    let own = format!("own as ({})", own.replace("{guards}", &guards));
    let parts = [
        (received, TAKEN),
        (sent, SENT),
        (true, own.as_str()),
        (sent, GONE_SENT),
        (!flush.delete_subscriptions.is_empty(), GONE_SUBSCRIPTIONS),
        (!flush.put_subscriptions.is_empty(), NEW_SUBSCRIPTIONS),
        (!flush.delete_jobs.is_empty(), GONE_JOBS),
        (!flush.put_jobs.is_empty(), NEW_JOBS),
        (received || !flush.tasks.is_empty(), TASKS),
        (!flush.outbox.is_empty(), NEW_OUTBOX),
        (!flush.history.is_empty(), NEW_HISTORY),
        (is_new, BEGUN),
        (is_over && !is_new, ENDED),
        (flush.blobs.is_some(), BLOBS),
    ];
    let needed: Vec<&str> = parts
        .into_iter()
        .filter_map(|(is_needed, part)| is_needed.then_some(part))
        .collect();
    format!("with {}\n{CHANGED}", needed.join(",\n"))
}

/// $1 to $13: the instance row and what the step consumes.
fn own_binds<'a>(query: Statement<'a>, flush: &'a Flush) -> Statement<'a> {
    let (definition, business_key, rev, epoch) = match &flush.own {
        Own::Start {
            definition,
            business_key,
            ..
        } => (Some(*definition), business_key.as_deref(), None, None),
        Own::Continue { rev, epoch } => (None, None, Some(*rev), Some(*epoch)),
    };
    let (state, alternative_key) = match &flush.left {
        Left::Waiting {
            state,
            alternative_key,
            ..
        } => (Some(state.as_str()), alternative_key.as_deref()),
        Left::Ended { .. } => (None, None),
    };
    let received = flush.received.as_ref();
    query
        .bind::<SqlUuid, _>(flush.instance)
        .bind::<Nullable<SqlUuid>, _>(definition)
        .bind::<Nullable<Text>, _>(business_key)
        .bind::<Nullable<Text>, _>(state)
        .bind::<Nullable<Text>, _>(alternative_key)
        .bind::<Double, _>(flush.lease_seconds)
        .bind::<Nullable<SqlUuid>, _>(received.map(|received| received.task))
        .bind::<Nullable<BigInt>, _>(received.map(|received| received.epoch))
        .bind::<Nullable<BigInt>, _>(received.and_then(|received| received.scope))
        .bind::<Nullable<BigInt>, _>(rev)
        .bind::<Nullable<BigInt>, _>(epoch)
        .bind::<Nullable<SqlUuid>, _>(flush.sent.map(|sent| sent.0))
        .bind::<Nullable<BigInt>, _>(flush.sent.map(|sent| sent.1))
}

/// $14 to $26: subscriptions and jobs.
fn wait_binds<'a>(query: Statement<'a>, flush: &'a Flush) -> Statement<'a> {
    let subscriptions = &flush.put_subscriptions;
    let jobs = &flush.put_jobs;
    query
        .bind::<Array<BigInt>, _>(column(subscriptions, |row| row.id))
        .bind::<Array<Text>, _>(column(subscriptions, |row| row.kind))
        .bind::<Array<Text>, _>(column(subscriptions, |row| row.name.as_str()))
        .bind::<Array<Text>, _>(column(subscriptions, |row| row.activity.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column(subscriptions, |row| {
            row.correlation_key.as_deref()
        }))
        .bind::<Array<BigInt>, _>(flush.delete_subscriptions.as_slice())
        .bind::<Array<BigInt>, _>(column(jobs, |row| row.id))
        .bind::<Array<Text>, _>(column(jobs, |row| row.kind))
        .bind::<Array<Text>, _>(column(jobs, |row| row.activity.as_str()))
        .bind::<Array<Timestamptz>, _>(column(jobs, |row| Timestamp::from(row.due)))
        .bind::<Array<Integer>, _>(column(jobs, |row| row.retries))
        .bind::<Array<Nullable<Text>>, _>(column(jobs, |row| row.incident.as_deref()))
        .bind::<Array<BigInt>, _>(flush.delete_jobs.as_slice())
}

/// $27 to $36: Tasks and the outbox. A Task that is handed over is among the Tasks, changed or
/// not, since one statement may change a row only once.
fn message_binds<'a>(query: Statement<'a>, flush: &'a Flush) -> Statement<'a> {
    let mut tasks: Vec<(Uuid, Option<&str>, bool)> = column(&flush.tasks, |row| {
        (row.task, Some(row.document.as_str()), row.answered)
    });
    if let Some(received) = &flush.received
        && tasks.iter().all(|row| row.0 != received.task)
    {
        tasks.push((received.task, None, false));
    }
    let outbox = &flush.outbox;
    query
        .bind::<Array<SqlUuid>, _>(column(&tasks, |row| row.0))
        .bind::<Array<Nullable<Text>>, _>(column(&tasks, |row| row.1))
        .bind::<Array<Bool>, _>(column(&tasks, |row| row.2))
        .bind::<Array<SqlUuid>, _>(column(outbox, |row| row.id))
        .bind::<Array<Text>, _>(column(outbox, |row| row.kind))
        .bind::<Array<Nullable<BigInt>>, _>(column(outbox, |row| row.frame))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(outbox, |row| row.task))
        .bind::<Array<Text>, _>(column(outbox, |row| row.document.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column(outbox, |row| row.address.as_deref()))
        .bind::<Array<Double>, _>(column(outbox, |row| row.patience_seconds))
}

/// $37 to $45: history, how the instance ended, the calls that send, who called the instance, and
/// whether it stands still.
fn history_binds<'a>(query: Statement<'a>, flush: &'a Flush) -> Statement<'a> {
    let history = &flush.history;
    let (outcome, suspended) = match &flush.left {
        Left::Waiting { suspended, .. } => (None, *suspended),
        Left::Ended { outcome } => (Some(outcome.as_str()), false),
    };
    let caller = match &flush.own {
        Own::Start { caller, .. } => *caller,
        Own::Continue { .. } => None,
    };
    query
        .bind::<Array<Timestamptz>, _>(column(history, |row| Timestamp::from(row.at)))
        .bind::<Array<Text>, _>(column(history, |row| row.event))
        .bind::<Array<Text>, _>(column(history, |row| row.activity.as_str()))
        .bind::<Array<Nullable<Jsonb>>, _>(column(history, |row| row.detail.clone()))
        .bind::<Nullable<Text>, _>(outcome)
        .bind::<Array<Nullable<Text>>, _>(column(&flush.outbox, |row| row.call.as_deref()))
        .bind::<Nullable<SqlUuid>, _>(caller.map(|caller| caller.instance))
        .bind::<Nullable<BigInt>, _>(caller.map(|caller| caller.frame))
        .bind::<Bool, _>(suspended)
}

fn blob_binds<'a>(query: Statement<'a>, flush: &'a Flush) -> Statement<'a> {
    let Some(blobs) = &flush.blobs else {
        return query;
    };
    query
        .bind::<Array<Text>, _>(column(&blobs.new, |blob| blob.digest.as_str()))
        .bind::<Array<Text>, _>(column(&blobs.new, |blob| blob.content.as_str()))
        .bind::<Array<Text>, _>(blobs.keep.as_slice())
}

fn column<'a, T, C>(rows: &'a [T], value: impl Fn(&'a T) -> C) -> Vec<C> {
    rows.iter().map(value).collect()
}
