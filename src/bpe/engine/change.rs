//! What a step asks to be stored beside the state: waits as rows to be found by, and history.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::{FrameId, WaitId};
use super::timer::Every;
use crate::bpe::model::{NodeIx, Variable};

/// Rows to write with the state, in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    pub subscriptions: Delta<Subscription>,
    /// Asynchronous continuations and timers.
    pub jobs: Delta<Job>,
    pub tasks: Delta<UserTask>,
    pub history: Vec<Event>,
}

/// Created or altered rows, and ids of deleted ones, which need not have been stored yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta<T> {
    pub put: BTreeMap<WaitId, T>,
    pub delete: Vec<WaitId>,
}

impl<T> Delta<T> {
    pub(super) fn put(&mut self, row: T, id: impl Fn(&T) -> WaitId) {
        self.put.insert(id(&row), row);
    }

    /// Deleting what the store never saw does no harm there.
    pub(super) fn delete(&mut self, gone: WaitId) {
        self.put.remove(&gone);
        self.delete.push(gone);
    }
}

impl<T> Default for Delta<T> {
    fn default() -> Self {
        Self {
            put: BTreeMap::new(),
            delete: Vec::new(),
        }
    }
}

/// An open subscription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    pub id: WaitId,
    pub kind: SubscriptionKind,
    /// Message or signal name; for conditions the id of the activity.
    pub name: String,
    /// The node that reacts: catch event, boundary event, start of an event sub-process.
    pub node: NodeIx,
    pub activity: String,
    /// The frame that owns the subscription.
    pub frame: FrameId,
    /// The frame is the scope in which the reaction runs, not a node in it.
    pub scope: bool,
    /// The local variable `correlationKey` of that frame, kept up to date.
    pub correlation_key: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubscriptionKind {
    Message,
    Signal,
    Conditional,
}

/// Work that is due at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: WaitId,
    pub kind: JobKind,
    pub node: NodeIx,
    /// `id#multiInstanceBody` for a multi-instance body.
    pub activity: String,
    pub frame: FrameId,
    pub due: Timestamp,
    pub retries: u32,
    /// Whether it has failed before.
    pub failed: bool,
    /// May not run while another job of the instance runs.
    pub exclusive: bool,
    /// Present when the retries are used up: somebody must look at it.
    pub incident: Option<String>,
    /// A timer that comes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
}

/// The rest of a timer's series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repeat {
    /// How often it still fires, this time included; nothing: for ever.
    pub left: Option<u32>,
    pub every: Every,
    /// Where the series began.
    pub anchor: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    AsyncBefore,
    AsyncAfter,
    Timer,
}

/// A task for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserTask {
    pub id: WaitId,
    pub node: NodeIx,
    pub activity: String,
    pub frame: FrameId,
    pub created: Timestamp,
    pub name: Option<String>,
    pub description: Option<String>,
    pub assignee: Option<String>,
    pub candidate_users: Vec<String>,
    pub candidate_groups: Vec<String>,
    pub due: Option<Timestamp>,
    pub follow_up: Option<Timestamp>,
    pub priority: i32,
    pub form_key: Option<String>,
}

/// One line of history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub at: Timestamp,
    pub kind: EventKind,
    pub frame: FrameId,
    /// The frame around it.
    pub parent: FrameId,
    pub activity: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    Entered,
    Completed,
    Canceled,
    /// A variable was written or, without a value, removed.
    Variable {
        name: String,
        value: Option<Variable>,
    },
    Incident {
        message: String,
    },
}
