//! The parameters of the statement, see [`super::text`].

use diesel::sql_types::{
    Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use jiff_diesel::Timestamp;
use uuid::Uuid;

use super::{Caller, Flush, HistoryRow, Left, Own};
use crate::store::statement::Statement;

/// Adds the parameters of these steps.
pub(super) fn binds<'a>(query: Statement<'a>, steps: &[&'a Flush]) -> Statement<'a> {
    let query = message_binds(wait_binds(own_binds(query, steps), steps), steps);
    page_binds(blob_binds(history_binds(query, steps), steps), steps)
}

/// $1 to $16: the instances and what the steps consume.
fn own_binds<'a>(query: Statement<'a>, steps: &[&'a Flush]) -> Statement<'a> {
    let guard = |flush: &Flush| match flush.own {
        Own::Start { .. } => None,
        Own::Continue { rev, epoch } => Some((rev, epoch)),
    };
    let waiting = |flush: &'a Flush| match &flush.left {
        Left::Waiting {
            state,
            alternative_key,
            suspended,
        } => (Some(state.as_str()), alternative_key.as_deref(), *suspended),
        Left::Ended { .. } => (None, None, false),
    };
    let outcome = |flush: &'a Flush| match &flush.left {
        Left::Waiting { .. } => None,
        Left::Ended { outcome } => Some(outcome.as_str()),
    };
    let start = |flush: &'a Flush| match &flush.own {
        Own::Start {
            definition,
            business_key,
            caller,
        } => (Some(*definition), business_key.as_deref(), *caller),
        Own::Continue { .. } => (None, None, None),
    };
    let caller = |flush: &'a Flush| -> Option<Caller> { start(flush).2 };
    let received = |flush: &'a Flush| flush.received.as_ref();
    query
        .bind::<Array<SqlUuid>, _>(column(steps, |it| it.instance))
        .bind::<Array<Nullable<BigInt>>, _>(column(steps, |it| guard(it).map(|it| it.0)))
        .bind::<Array<Nullable<BigInt>>, _>(column(steps, |it| guard(it).map(|it| it.1)))
        .bind::<Array<Nullable<Text>>, _>(column(steps, |it| waiting(it).0))
        .bind::<Array<Nullable<Text>>, _>(column(steps, |it| waiting(it).1))
        .bind::<Array<Double>, _>(column(steps, |it| it.lease_seconds))
        .bind::<Array<Bool>, _>(column(steps, |it| waiting(it).2))
        .bind::<Array<Nullable<Text>>, _>(column(steps, outcome))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(steps, |it| start(it).0))
        .bind::<Array<Nullable<Text>>, _>(column(steps, |it| start(it).1))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(steps, |it| caller(it).map(|it| it.instance)))
        .bind::<Array<Nullable<BigInt>>, _>(column(steps, |it| caller(it).map(|it| it.frame)))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(steps, |it| received(it).map(|it| it.task)))
        .bind::<Array<Nullable<BigInt>>, _>(column(steps, |it| received(it).map(|it| it.epoch)))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(steps, |it| it.sent.map(|sent| sent.0)))
        .bind::<Array<Nullable<BigInt>>, _>(column(steps, |it| it.sent.map(|sent| sent.1)))
}

/// $17 to $33: subscriptions and jobs.
fn wait_binds<'a>(query: Statement<'a>, steps: &[&'a Flush]) -> Statement<'a> {
    let gone = rows(steps, |it| &it.delete_subscriptions);
    let new = rows(steps, |it| &it.put_subscriptions);
    let query = query
        .bind::<Array<SqlUuid>, _>(column(&gone, |row| row.0))
        .bind::<Array<BigInt>, _>(column(&gone, |row| *row.1))
        .bind::<Array<SqlUuid>, _>(column(&new, |row| row.0))
        .bind::<Array<BigInt>, _>(column(&new, |row| row.1.id))
        .bind::<Array<Text>, _>(column(&new, |row| row.1.kind))
        .bind::<Array<Text>, _>(column(&new, |row| row.1.name.as_str()))
        .bind::<Array<Text>, _>(column(&new, |row| row.1.activity.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column(&new, |row| row.1.correlation_key.as_deref()));
    let gone = rows(steps, |it| &it.delete_jobs);
    let new = rows(steps, |it| &it.put_jobs);
    query
        .bind::<Array<SqlUuid>, _>(column(&gone, |row| row.0))
        .bind::<Array<BigInt>, _>(column(&gone, |row| *row.1))
        .bind::<Array<SqlUuid>, _>(column(&new, |row| row.0))
        .bind::<Array<BigInt>, _>(column(&new, |row| row.1.id))
        .bind::<Array<Text>, _>(column(&new, |row| row.1.kind))
        .bind::<Array<Text>, _>(column(&new, |row| row.1.activity.as_str()))
        .bind::<Array<Timestamptz>, _>(column(&new, |row| Timestamp::from(row.1.due)))
        .bind::<Array<Integer>, _>(column(&new, |row| row.1.retries))
        .bind::<Array<Nullable<Text>>, _>(column(&new, |row| row.1.incident.as_deref()))
}

/// A Task of a step: its document if that has changed, whether it is answered, whether the step
/// received it, and where.
type TaskOf<'a> = (Uuid, Uuid, Option<&'a str>, bool, bool, Option<i64>);

/// The Tasks of a step. A Task that is handed over is among them, changed or not, since one
/// statement may change a row only once.
fn tasks(flush: &Flush) -> Vec<TaskOf<'_>> {
    let received = flush.received.as_ref();
    let row = |task: Uuid, document, answered| {
        let received = received.filter(|received| received.task == task);
        let scope = received.and_then(|received| received.scope);
        let is_received = received.is_some();
        (flush.instance, task, document, answered, is_received, scope)
    };
    let known = flush.tasks.iter();
    let mut all: Vec<_> = known
        .map(|it| row(it.task, Some(it.document.as_str()), it.answered))
        .collect();
    if let Some(received) = received
        && all.iter().all(|row| row.1 != received.task)
    {
        all.push(row(received.task, None, false));
    }
    all
}

/// $34 to $48: Tasks and the outbox.
fn message_binds<'a>(query: Statement<'a>, steps: &[&'a Flush]) -> Statement<'a> {
    let tasks: Vec<TaskOf<'a>> = steps.iter().flat_map(|flush| tasks(flush)).collect();
    let outbox = rows(steps, |it| &it.outbox);
    query
        .bind::<Array<SqlUuid>, _>(column(&tasks, |row| row.0))
        .bind::<Array<SqlUuid>, _>(column(&tasks, |row| row.1))
        .bind::<Array<Nullable<Text>>, _>(column(&tasks, |row| row.2))
        .bind::<Array<Bool>, _>(column(&tasks, |row| row.3))
        .bind::<Array<Bool>, _>(column(&tasks, |row| row.4))
        .bind::<Array<Nullable<BigInt>>, _>(column(&tasks, |row| row.5))
        .bind::<Array<SqlUuid>, _>(column(&outbox, |row| row.0))
        .bind::<Array<SqlUuid>, _>(column(&outbox, |row| row.1.id))
        .bind::<Array<Text>, _>(column(&outbox, |row| row.1.kind))
        .bind::<Array<Nullable<BigInt>>, _>(column(&outbox, |row| row.1.frame))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(&outbox, |row| row.1.task))
        .bind::<Array<Text>, _>(column(&outbox, |row| row.1.document.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column(&outbox, |row| row.1.address.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(column(&outbox, |row| row.1.call.as_deref()))
        .bind::<Array<Double>, _>(column(&outbox, |row| row.1.patience_seconds))
}

/// $49 to $55: what happened, numbered within each step.
fn history_binds<'a>(query: Statement<'a>, steps: &[&'a Flush]) -> Statement<'a> {
    let numbered = |flush: &'a Flush| {
        let rev = match flush.own {
            Own::Start { .. } => 1,
            Own::Continue { rev, .. } => rev + 1,
        };
        let rows = (1..).zip(&flush.history);
        rows.map(move |(seq, row)| (flush.instance, rev, seq, row))
    };
    let history = steps.iter().copied().flat_map(numbered);
    let history: Vec<(Uuid, i64, i32, &'a HistoryRow)> = history.collect();
    query
        .bind::<Array<SqlUuid>, _>(column(&history, |row| row.0))
        .bind::<Array<BigInt>, _>(column(&history, |row| row.1))
        .bind::<Array<Integer>, _>(column(&history, |row| row.2))
        .bind::<Array<Timestamptz>, _>(column(&history, |row| Timestamp::from(row.3.at)))
        .bind::<Array<Text>, _>(column(&history, |row| row.3.event))
        .bind::<Array<Text>, _>(column(&history, |row| row.3.activity.as_str()))
        .bind::<Array<Nullable<Jsonb>>, _>(column(&history, |row| row.3.detail.clone()))
}

/// $56 to $60: large values that are new, and those that are gone.
fn blob_binds<'a>(query: Statement<'a>, steps: &[&'a Flush]) -> Statement<'a> {
    let some = steps.iter().filter_map(|flush| {
        let blobs = flush.blobs.as_ref()?;
        Some((flush.instance, blobs))
    });
    let some: Vec<_> = some.collect();
    let new: Vec<_> = some
        .iter()
        .flat_map(|(id, blobs)| blobs.new.iter().map(|blob| (*id, blob)))
        .collect();
    let gone: Vec<_> = some
        .iter()
        .flat_map(|(id, blobs)| blobs.gone.iter().map(|digest| (*id, digest.as_str())))
        .collect();
    query
        .bind::<Array<SqlUuid>, _>(column(&new, |row| row.0))
        .bind::<Array<Text>, _>(column(&new, |row| row.1.digest.as_str()))
        .bind::<Array<Text>, _>(column(&new, |row| row.1.content.as_str()))
        .bind::<Array<SqlUuid>, _>(column(&gone, |row| row.0))
        .bind::<Array<Text>, _>(column(&gone, |row| row.1))
}

/// $61 to $65: pages that are new or changed, and those that are gone; only where there are any.
fn page_binds<'a>(query: Statement<'a>, steps: &[&'a Flush]) -> Statement<'a> {
    let some = steps.iter().filter_map(|flush| {
        let pages = flush.pages.as_ref()?;
        Some((flush.instance, pages))
    });
    let some: Vec<_> = some.collect();
    if some.is_empty() {
        return query;
    }
    let put: Vec<_> = some
        .iter()
        .flat_map(|(id, pages)| pages.put.iter().map(|row| (*id, row)))
        .collect();
    let gone: Vec<_> = some
        .iter()
        .flat_map(|(id, pages)| pages.gone.iter().map(|page| (*id, *page)))
        .collect();
    query
        .bind::<Array<SqlUuid>, _>(column(&put, |row| row.0))
        .bind::<Array<BigInt>, _>(column(&put, |row| row.1.page))
        .bind::<Array<Text>, _>(column(&put, |row| row.1.state.as_str()))
        .bind::<Array<SqlUuid>, _>(column(&gone, |row| row.0))
        .bind::<Array<BigInt>, _>(column(&gone, |row| row.1))
}

/// The rows of all steps with the instances that they belong to.
fn rows<'a, T>(steps: &[&'a Flush], of: impl Fn(&'a Flush) -> &'a Vec<T>) -> Vec<(Uuid, &'a T)> {
    let all = steps.iter().copied();
    all.flat_map(|flush| of(flush).iter().map(|row| (flush.instance, row)))
        .collect()
}

fn column<T: Copy, C>(rows: &[T], value: impl Fn(T) -> C) -> Vec<C> {
    rows.iter().copied().map(value).collect()
}
