//! Collects what the steps of one segment want stored into one [`crate::store::bpe::flush::Flush`].

use std::collections::BTreeMap;

use serde_json::json;

use crate::bpe::engine::{
    Change, Delta, Event, EventKind, Job, JobKind, Subscription, SubscriptionKind, UserTask, WaitId,
};
use crate::store::bpe::flush::{HistoryRow, JobRow, SubscriptionRow};

/// The waits and the history of a segment so far.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    subscriptions: Waits<Subscription>,
    jobs: Waits<Job>,
    tasks: Waits<UserTask>,
    history: Vec<Event>,
}

#[derive(Debug)]
struct Waits<T> {
    put: BTreeMap<WaitId, T>,
    delete: Vec<WaitId>,
}

impl<T> Default for Waits<T> {
    fn default() -> Self {
        Self {
            put: BTreeMap::new(),
            delete: Vec::new(),
        }
    }
}

impl<T> Waits<T> {
    /// A row made and removed within the segment never reaches the database; removing one that
    /// is not there does no harm.
    fn absorb(&mut self, delta: Delta<T>) {
        for gone in delta.delete {
            self.put.remove(&gone);
            self.delete.push(gone);
        }
        self.put.extend(delta.put);
    }

    fn deleted(&self) -> Vec<i64> {
        self.delete.iter().copied().map(key).collect()
    }
}

impl Gathered {
    pub(super) fn absorb(&mut self, change: Change) {
        self.subscriptions.absorb(change.subscriptions);
        self.jobs.absorb(change.jobs);
        self.tasks.absorb(change.tasks);
        self.history.extend(change.history);
    }

    pub(super) fn subscriptions(&self) -> (Vec<SubscriptionRow>, Vec<i64>) {
        let put = self.subscriptions.put.values().map(|row| SubscriptionRow {
            id: key(row.id),
            kind: match row.kind {
                SubscriptionKind::Message => "message",
                SubscriptionKind::Signal => "signal",
                SubscriptionKind::Conditional => "conditional",
            },
            name: row.name.clone(),
            activity: row.activity.clone(),
            correlation_key: row.correlation_key.clone(),
        });
        (put.collect(), self.subscriptions.deleted())
    }

    pub(super) fn jobs(&self) -> (Vec<JobRow>, Vec<i64>) {
        let put = self.jobs.put.values().map(|row| JobRow {
            id: key(row.id),
            kind: match row.kind {
                JobKind::AsyncBefore => "async-before",
                JobKind::AsyncAfter => "async-after",
                JobKind::Timer => "timer",
            },
            activity: row.activity.clone(),
            due: row.due,
            retries: i32::try_from(row.retries).unwrap_or(i32::MAX),
            incident: row.incident.clone(),
        });
        (put.collect(), self.jobs.deleted())
    }

    /// User tasks that were created or altered, and those that are gone.
    pub(super) fn tasks(&self) -> (impl Iterator<Item = &UserTask>, Vec<i64>) {
        (self.tasks.put.values(), self.tasks.deleted())
    }

    pub(super) fn history(&self) -> Vec<HistoryRow> {
        self.history.iter().map(history_row).collect()
    }

    /// Whether somebody may now wait for a message that came too early.
    pub(super) fn awaits_messages(&self) -> bool {
        let mut all = self.subscriptions.put.values();
        all.any(|row| row.kind == SubscriptionKind::Message)
    }

    pub(super) fn job_count(&self) -> usize {
        self.jobs.put.len()
    }
}

fn history_row(event: &Event) -> HistoryRow {
    let (name, detail) = match &event.kind {
        EventKind::Entered => ("entered", None),
        EventKind::Completed => ("completed", None),
        EventKind::Canceled => ("canceled", None),
        // The value stays out: history must not become a second store of research data.
        EventKind::Variable { name, value } => {
            let kind = value.as_ref().map(crate::bpe::model::Variable::type_name);
            ("variable", Some(json!({ "name": name, "type": kind })))
        }
        EventKind::Incident { message } => ("incident", Some(json!({ "message": message }))),
    };
    HistoryRow {
        at: event.at,
        event: name,
        activity: event.activity.clone(),
        detail,
    }
}

/// Ids of waits are counted from 1 within an instance; none comes near the sign.
pub(super) fn key(id: WaitId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}
