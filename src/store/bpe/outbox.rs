//! What must reach a FHIR server: messages to peers, answers to our own Tasks.

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Epoch, FORGETTABLE};
use crate::store::Error;
use crate::store::statement::statement;

/// Something to send, leased to us.
#[derive(Clone, Debug, QueryableByName)]
pub struct Entry {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    /// `message`, `answer`, `signal`, `signal-delivery` or `signal-start`.
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub instance: Option<Uuid>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub frame: Option<i64>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub task: Option<Uuid>,
    #[diesel(sql_type = Text)]
    pub document: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub address: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub call: Option<String>,
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    #[diesel(sql_type = BigInt)]
    pub lease_epoch: Epoch,
    /// Its time is over: one more failure is the last.
    #[diesel(sql_type = Bool)]
    pub overdue: bool,
}

/// Leases due entries, oldest first. A lease that a crash of the database forgets means one more
/// try with the same key.
pub async fn take(
    conn: &mut AsyncPgConnection,
    most: i64,
    lease_seconds: f64,
) -> Result<Vec<Entry>, Error> {
    let rows = statement(format!(
        "with due as (
             select id from outbox where due <= statement_timestamp()
             order by due limit $1 for update skip locked)
         update outbox set lease_epoch = lease_epoch + 1, attempts = attempts + 1,
             due = clock_timestamp() + make_interval(secs => $2)
         from due where outbox.id = any (array[due.id]) and {FORGETTABLE}
         returning outbox.id, kind, instance, frame, task, document, address, call, attempts, lease_epoch,
             deadline < clock_timestamp() as overdue",
    ))
    .bind::<BigInt, _>(most)
    .bind::<Double, _>(lease_seconds)
    .load(conn)
    .await?;
    Ok(rows)
}

/// Keeps an entry ours for so many seconds more; whoever took it meanwhile is not disturbed.
pub async fn extend(
    conn: &mut AsyncPgConnection,
    entry: &Entry,
    seconds: f64,
) -> Result<(), Error> {
    statement(
        "update outbox set due = clock_timestamp() + make_interval(secs => $3)
         where id = $1 and lease_epoch = $2",
    )
    .bind::<SqlUuid, _>(entry.id)
    .bind::<BigInt, _>(entry.lease_epoch)
    .bind::<Double, _>(seconds)
    .execute(conn)
    .await?;
    Ok(())
}

/// Tries an entry again after a while.
pub async fn postpone(
    conn: &mut AsyncPgConnection,
    entry: &Entry,
    seconds: f64,
    error: &str,
) -> Result<(), Error> {
    statement(
        "update outbox set due = clock_timestamp() + make_interval(secs => $3), error = $4
         where id = $1 and lease_epoch = $2",
    )
    .bind::<SqlUuid, _>(entry.id)
    .bind::<BigInt, _>(entry.lease_epoch)
    .bind::<Double, _>(seconds)
    .bind::<Text, _>(error)
    .execute(conn)
    .await?;
    Ok(())
}

/// The server has the answer to a Task (or will never take it): entry and Task are done.
pub async fn answered(conn: &mut AsyncPgConnection, entry: &Entry) -> Result<(), Error> {
    statement(
        "with own as (
             delete from outbox where id = $1 and lease_epoch = $2 returning task)
         delete from inbox using own where inbox.task = own.task",
    )
    .bind::<SqlUuid, _>(entry.id)
    .bind::<BigInt, _>(entry.lease_epoch)
    .execute(conn)
    .await?;
    Ok(())
}

/// Nobody waits for the outcome any more.
pub async fn discard(conn: &mut AsyncPgConnection, entry: &Entry) -> Result<(), Error> {
    statement("delete from outbox where id = $1 and lease_epoch = $2")
        .bind::<SqlUuid, _>(entry.id)
        .bind::<BigInt, _>(entry.lease_epoch)
        .execute(conn)
        .await?;
    Ok(())
}

/// A start event that a signal reaches: the definition and, as `call` of the new entry, the place.
#[derive(Clone, Debug)]
pub struct Start {
    pub call: String,
}

/// Replaces a signal by one entry for each receiver that waits for it now, oldest first, and for
/// each start event. The instance that threw it has told its own receivers.
pub async fn spread_signal(
    conn: &mut AsyncPgConnection,
    entry: &Entry,
    name: &str,
    starts: &[Start],
) -> Result<usize, Error> {
    let rows = statement(
        "with own as (
             delete from outbox where id = $1 and lease_epoch = $2
             returning instance, document, deadline),
         receivers as (
             select s.instance, s.id from subscription s join instance i on i.id = s.instance
             where s.kind = 'signal' and s.name = $3 and not i.suspended order by s.seq),
         starts as (
             insert into outbox (id, kind, call, document, deadline)
             select gen_random_uuid(), 'signal-start', start, own.document, own.deadline
             from own, unnest($4) start)
         insert into outbox (id, kind, instance, frame, document, deadline)
         select gen_random_uuid(), 'signal-delivery', r.instance, r.id, own.document, own.deadline
         from own, receivers r where r.instance is distinct from own.instance",
    )
    .bind::<SqlUuid, _>(entry.id)
    .bind::<BigInt, _>(entry.lease_epoch)
    .bind::<Text, _>(name)
    .bind::<Array<Text>, _>(
        starts
            .iter()
            .map(|start| start.call.as_str())
            .collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(rows)
}

/// Seconds until the next entry is due; negative when overdue.
pub async fn next_due(conn: &mut AsyncPgConnection) -> Result<Option<f64>, Error> {
    super::seconds_until(
        conn,
        "select extract(epoch from min(due) - clock_timestamp())::float8 as seconds from outbox",
    )
    .await
}
