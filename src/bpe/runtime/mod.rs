//! Runs process instances on the store: one trigger to the next wait is one guarded statement.
//!
//! A trigger (a claimed Task, a due job, the outcome of a message) leases its instance, runs the
//! pure engine until everything waits, calling plugin code in between with no transaction open,
//! and stores the result by [`crate::store::bpe::flush`]. Whoever lost the lease meanwhile
//! changes nothing. What the statement put into the outbox is sent afterwards.

mod apart;
mod conclude;
mod control;
mod failure;
mod gather;
mod graphs;
mod jobs;
mod lease;
mod look;
mod loops;
mod member;
mod part;
mod segment;
mod signal;
mod start_timer;
mod tasks;
mod trigger;
mod turns;
mod user_task;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::bpe::engine;
use crate::bpe::plugin::{Host, ProcessId};
use crate::kernel::{Clock, Shutdown};
use crate::store::bpe::steps::Steps;
use crate::store::{self, Store};

pub use apart::whole_state;
pub use control::{Action, Controls, ask};
pub use graphs::{Definition, Graphs};
pub use jobs::Jobs;
pub use look::{Look, look};
pub use loops::{LEASE, Pace, Work, work};
pub use tasks::failed_with;
use turns::Turns;

pub use signal::signal_start;
pub use start_timer::{DeployError, StartTimers, deploy};
pub use trigger::{Advance, Begin, Incoming, SUSPENDED, Starting};
pub use user_task::Composed;
pub use watch::{Counts, Watch};

/// What administrators may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long an instance stays ours without a sign of life.
    pub lease: Duration,
    /// How long a message for an instance that does not wait for it yet is kept.
    pub grace: Duration,
    /// How long the delivery of a message is tried.
    pub send_deadline: Duration,
    /// How long the answer to an own Task is tried.
    pub answer_deadline: Duration,
    /// Instances worked on at the same time.
    pub threads: usize,
    /// How long the history of an ended instance is kept, in days.
    pub history_days: i64,
    /// A BPMN error that nobody catches fails its step instead of ending its path. Only scenarios
    /// choose this; DSF's processes rely on the other.
    pub strict_errors: bool,
    /// Calls of code in one segment; more than that is a loop without a wait. A multi-instance over
    /// all partners needs far fewer.
    pub most_calls: u32,
    /// Instances of a parallel multi-instance from which on each is stored by itself.
    pub crowd: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: LEASE,
            grace: Duration::from_secs(30),
            send_deadline: Duration::from_secs(60 * 60),
            answer_deadline: Duration::from_secs(7 * 24 * 60 * 60),
            threads: 4,
            history_days: 30,
            strict_errors: false,
            most_calls: 50_000,
            crowd: engine::CROWD,
        }
    }
}

/// A failure of the runtime itself; what goes wrong inside a process is not one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("definition {0} is not in the database")]
    UnknownDefinition(Uuid),
    #[error("definition {id} does not parse any more: {problem}")]
    Unreadable { id: Uuid, problem: String },
    #[error("the stored state of instance {id} cannot be read: {problem}")]
    State { id: Uuid, problem: String },
}

/// Where the parts of the runtime tell each other that there is work.
#[derive(Debug, Default)]
pub struct Bells {
    pub inbox: Notify,
    pub outbox: Notify,
    pub jobs: Notify,
    pub timers: Notify,
    pub control: Notify,
    pub forms: Notify,
}

/// The engine of one node. Cloning shares it.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) store: Store,
    steps: Steps,
    host: Arc<dyn Host>,
    graphs: Arc<Graphs>,
    turns: Arc<Turns>,
    clock: Clock,
    shutdown: Shutdown,
    settings: Arc<Settings>,
    bells: Arc<Bells>,
    watch: Arc<dyn Watch>,
}

impl Runtime {
    #[must_use]
    pub fn new(
        store: Store,
        host: Arc<dyn Host>,
        clock: Clock,
        shutdown: Shutdown,
        settings: Settings,
    ) -> Self {
        Self {
            steps: Steps::new(store.clone()),
            store,
            host,
            graphs: Arc::new(Graphs::default()),
            turns: Arc::default(),
            clock,
            shutdown,
            settings: Arc::new(settings),
            bells: Arc::default(),
            watch: Arc::new(Counts::default()),
        }
    }

    /// Tells somebody else what happens.
    #[must_use]
    pub fn watched(mut self, watch: Arc<dyn Watch>) -> Self {
        self.watch = watch;
        self
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    #[must_use]
    pub fn bells(&self) -> &Bells {
        &self.bells
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// A deployed model.
    pub async fn definition_by_id(&self, id: Uuid) -> Result<Definition, Error> {
        self.graphs.by_id(&self.store, id).await
    }

    /// The newest model of a process and version, suspended or not.
    pub async fn definition(&self, process: &ProcessId) -> Result<Option<Definition>, Error> {
        self.graphs.newest(&self.store, process).await
    }
}

/// Why a step failed, in the words that a Task's error output carries (spec/bpe.md §3.5).
#[must_use]
pub fn failure_text(failure: &engine::Failure) -> String {
    format!("{}: {}", failure.kind, failure.message)
}

#[cfg(test)]
pub(in crate::bpe) mod tests;
