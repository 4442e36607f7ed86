//! Runs process instances on the store: one trigger to the next wait is one guarded statement.
//!
//! A trigger (a claimed Task, a due job, the outcome of a message) leases its instance, runs the
//! pure engine until everything waits, calling plugin code in between with no transaction open,
//! and stores the result by [`crate::store::bpe::flush`]. Whoever lost the lease meanwhile
//! changes nothing. What the statement put into the outbox is sent afterwards.

mod failure;
mod gather;
mod graphs;
mod jobs;
mod loops;
mod segment;
mod tasks;
mod trigger;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::bpe::engine;
use crate::bpe::plugin::{Host, ProcessId};
use crate::kernel::{Clock, Shutdown};
use crate::store::{self, Store};

pub use graphs::{Definition, Graphs};
pub use jobs::Jobs;
pub use loops::{LEASE, Pace, Work, work};
pub use tasks::failed_with;
use turns::Turns;

pub use trigger::{Advance, Incoming, Starting};

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
}

/// The engine of one node. Cloning shares it.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) store: Store,
    host: Arc<dyn Host>,
    graphs: Arc<Graphs>,
    turns: Arc<Turns>,
    clock: Clock,
    shutdown: Shutdown,
    settings: Arc<Settings>,
    bells: Arc<Bells>,
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
            store,
            host,
            graphs: Arc::new(Graphs::default()),
            turns: Arc::default(),
            clock,
            shutdown,
            settings: Arc::new(settings),
            bells: Arc::default(),
        }
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
