//! Tasks on their way from our FHIR server into the engine.
//!
//! `received` (known, nothing done) → `claiming` (the PUT to `in-progress` may have happened) →
//! `claimed` (it has) → `delivered` (an instance has it) → `answered` (its end is in the outbox).

use diesel::QueryableByName;
use diesel::sql_types::{
    Array, BigInt, Binary, Bool, Double, Integer, Nullable, Text, Uuid as SqlUuid,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use uuid::Uuid;

use super::{Epoch, FORGETTABLE};
use crate::store::Error;
use crate::store::statement::statement;

/// A Task to work on, leased to us.
#[derive(Clone, Debug, QueryableByName)]
pub struct Entry {
    #[diesel(sql_type = SqlUuid)]
    pub task: Uuid,
    #[diesel(sql_type = BigInt)]
    pub version: i64,
    #[diesel(sql_type = Text)]
    pub status: String,
    #[diesel(sql_type = Text)]
    pub document: String,
    #[diesel(sql_type = Text)]
    pub business_key: String,
    #[diesel(sql_type = BigInt)]
    pub lease_epoch: Epoch,
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    /// It waits for a receiver, and its time is over.
    #[diesel(sql_type = Bool)]
    pub overdue: bool,
}

/// Notes a Task; `false` when it is known already. A crash of the database may forget it: until the
/// claim the server knows the Task as one that waits.
pub async fn receive(
    conn: &mut AsyncPgConnection,
    task: Uuid,
    version: i64,
    document: &str,
    business_key: &str,
) -> Result<bool, Error> {
    let rows = statement(format!(
        "insert into inbox (task, version, status, document, business_key)
         select $1, $2, 'received', $3, $4 where {FORGETTABLE} on conflict (task) do nothing",
    ))
    .bind::<SqlUuid, _>(task)
    .bind::<BigInt, _>(version)
    .bind::<Text, _>(document)
    .bind::<Text, _>(business_key)
    .execute(conn)
    .await?;
    Ok(rows == 1)
}

/// Whether nothing older of the same conversation is open, unless it waits for its receiver.
const NEXT: &str = "not exists (
    select 1 from inbox e
    where e.business_key = i.business_key and e.status in ('received', 'claiming', 'claimed')
        and e.held_until is null and (e.received, e.task) < (i.received, i.task)
    offset 0)";

/// Leases the oldest open Tasks, at most one of each business key at a time, so that messages of
/// one conversation are handled in the order in which they came. A Task that waits for its
/// receiver does not block the ones behind it.
pub async fn take(
    conn: &mut AsyncPgConnection,
    most: i64,
    lease_seconds: f64,
) -> Result<Vec<Entry>, Error> {
    let rows = statement(format!(
        "with open as (
             select task from inbox i
             where status in ('received', 'claiming', 'claimed') and due <= statement_timestamp()
                 and {NEXT}
             order by received limit $1 for update skip locked)
         update inbox set
             status = case when inbox.status = 'received' then 'claiming' else inbox.status end,
             lease_epoch = inbox.lease_epoch + 1, attempts = inbox.attempts + 1,
             due = clock_timestamp() + make_interval(secs => $2)
         from open, inbox before
         where inbox.task = any (array[open.task]) and before.task = any (array[open.task])
         returning inbox.task, inbox.version, before.status, inbox.document, inbox.business_key,
             inbox.lease_epoch, inbox.attempts,
             coalesce(inbox.held_until < clock_timestamp(), false) as overdue",
    ))
    .bind::<BigInt, _>(most)
    .bind::<Double, _>(lease_seconds)
    .load(conn)
    .await?;
    Ok(rows)
}

/// How a claim is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    Ours,
    /// It says what this other Task said, which was taken in before.
    Again(Uuid),
    /// Somebody else works on it.
    Lost,
}

/// The Task is ours on the server; `document` is what the server answered, `digest` what names a
/// message that may come twice. A crash of the database may forget it: the server then shows the
/// claim as ours.
pub async fn claimed(
    conn: &mut AsyncPgConnection,
    entry: &Entry,
    document: &str,
    digest: Option<&[u8]>,
) -> Result<Claimed, Error> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<SqlUuid>)]
        before: Option<Uuid>,
    }
    let rows: Vec<Row> = statement(format!(
        "with before as (select task from heard where digest = $4 and task <> $1),
             own as (
                 update inbox set
                     status = case when exists (select from before) then status else 'claimed' end,
                     document = case when exists (select from before) then document else $3 end
                 where task = $1 and lease_epoch = $2 and {FORGETTABLE} returning task),
             noted as (
                 insert into heard (digest, task) select $4, task from own where $4 is not null
                 on conflict (digest) do nothing)
         select (select task from before) as before from own",
    ))
    .bind::<SqlUuid, _>(entry.task)
    .bind::<BigInt, _>(entry.lease_epoch)
    .bind::<Text, _>(document)
    .bind::<Nullable<Binary>, _>(digest)
    .load(conn)
    .await?;
    Ok(match rows.as_slice() {
        [] => Claimed::Lost,
        [Row { before: Some(task) }, ..] => Claimed::Again(*task),
        [Row { before: None }, ..] => Claimed::Ours,
    })
}

/// Forgets messages that came so long ago that nobody sends them again.
pub async fn sweep_heard(conn: &mut AsyncPgConnection) -> Result<(), Error> {
    statement("delete from heard where at < clock_timestamp() - interval '1 day'")
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets a Task that is not ours to handle.
pub async fn drop_entry(conn: &mut AsyncPgConnection, entry: &Entry) -> Result<(), Error> {
    statement("delete from inbox where task = $1 and lease_epoch = $2")
        .bind::<SqlUuid, _>(entry.task)
        .bind::<BigInt, _>(entry.lease_epoch)
        .execute(conn)
        .await?;
    Ok(())
}

/// Keeps an entry ours for so many seconds more, or lets it come again after them; whoever took it
/// meanwhile is not disturbed.
pub async fn extend(
    conn: &mut AsyncPgConnection,
    entry: &Entry,
    seconds: f64,
) -> Result<(), Error> {
    statement(
        "update inbox set due = clock_timestamp() + make_interval(secs => $3)
         where task = $1 and lease_epoch = $2",
    )
    .bind::<SqlUuid, _>(entry.task)
    .bind::<BigInt, _>(entry.lease_epoch)
    .bind::<Double, _>(seconds)
    .execute(conn)
    .await?;
    Ok(())
}

/// Nobody waits for the message yet: look again after `again`, give up after `grace` seconds.
pub async fn hold(
    conn: &mut AsyncPgConnection,
    entry: &Entry,
    again: f64,
    grace: f64,
) -> Result<(), Error> {
    statement(
        "update inbox set
             held_until = coalesce(held_until, clock_timestamp() + make_interval(secs => $4)),
             due = clock_timestamp() + make_interval(secs => $3)
         where task = $1 and lease_epoch = $2",
    )
    .bind::<SqlUuid, _>(entry.task)
    .bind::<BigInt, _>(entry.lease_epoch)
    .bind::<Double, _>(again)
    .bind::<Double, _>(grace)
    .execute(conn)
    .await?;
    Ok(())
}

/// Looks again at once at the held messages of a conversation: a receiver has begun to wait.
pub async fn wake_held(conn: &mut AsyncPgConnection, keys: &[String]) -> Result<usize, Error> {
    let rows = statement(
        "update inbox set due = clock_timestamp()
         where business_key = any ($1) and held_until is not null
             and status in ('received', 'claiming', 'claimed')",
    )
    .bind::<Array<Text>, _>(keys)
    .execute(conn)
    .await?;
    Ok(rows)
}

/// Ends a Task that reached no instance, and puts its answer into the outbox.
pub async fn fail(
    conn: &mut AsyncPgConnection,
    entry: &Entry,
    document: &str,
    patience_seconds: f64,
) -> Result<bool, Error> {
    let rows = statement(
        "with own as (
             update inbox set status = 'answered', document = $3
             where task = $1 and lease_epoch = $2 returning task)
         insert into outbox (id, kind, task, document, deadline)
         select $4, 'answer', own.task, $3,
             clock_timestamp() + make_interval(secs => $5) from own",
    )
    .bind::<SqlUuid, _>(entry.task)
    .bind::<BigInt, _>(entry.lease_epoch)
    .bind::<Text, _>(document)
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<Double, _>(patience_seconds)
    .execute(conn)
    .await?;
    Ok(rows == 1)
}

/// Seconds until the next open Task is due; negative when overdue.
pub async fn next_due(conn: &mut AsyncPgConnection) -> Result<Option<f64>, Error> {
    super::seconds_until(
        conn,
        format!(
            "select (
             select extract(epoch from i.due - clock_timestamp())::float8
             from inbox i where status in ('received', 'claiming', 'claimed')
                 and i.due > '-infinity'
                 and {NEXT}
             order by i.due limit 1) as seconds"
        ),
    )
    .await
}

/// A Task that an instance holds.
#[derive(Clone, Debug, QueryableByName, Deserialize)]
pub struct Held {
    #[diesel(sql_type = SqlUuid)]
    pub task: Uuid,
    #[diesel(sql_type = Text)]
    pub document: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub scope: Option<i64>,
    #[diesel(sql_type = Bool)]
    pub starts: bool,
}

/// The Tasks of an instance that are not answered yet, oldest first.
pub async fn of_instance(conn: &mut AsyncPgConnection, instance: Uuid) -> Result<Vec<Held>, Error> {
    let rows = statement(
        "select task, document, scope, starts from inbox
         where instance = $1 and status = 'delivered' order by received",
    )
    .bind::<SqlUuid, _>(instance)
    .load(conn)
    .await?;
    Ok(rows)
}

/// A Task as the instance that holds it left it; nothing when it is answered.
pub async fn held(conn: &mut AsyncPgConnection, task: Uuid) -> Result<Option<String>, Error> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        document: String,
    }
    let rows: Vec<Row> =
        statement("select document from inbox where task = $1 and status = 'delivered'")
            .bind::<SqlUuid, _>(task)
            .load(conn)
            .await?;
    Ok(rows.into_iter().next().map(|row| row.document))
}

/// Which of these Tasks nobody here knows.
pub async fn unknown(conn: &mut AsyncPgConnection, tasks: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let rows: Vec<Id> = statement(
        "select t.id from unnest($1) t (id)
         where not exists (select 1 from inbox where task = t.id)",
    )
    .bind::<Array<SqlUuid>, _>(tasks)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
