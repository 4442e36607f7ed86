//! What runs the code of a plugin: JavaScript within this process, or a process beside it.
//!
//! A runner is told a call and answers what became of it; both are JSON texts whose form
//! `docs/plugin-worker.md` gives. During the call it asks its [`Outside`] for everything that code
//! cannot do by itself, in the questions of `service::question`. So all
//! languages meet the same host, and one set of tests holds for all of them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;

/// Runs the calls of one plugin, several at a time.
#[async_trait]
pub trait Runner: Send + Sync + std::fmt::Debug {
    /// Runs one call to its end.
    ///
    /// # Errors
    /// When it has none: a limit was met, or the runner failed.
    async fn call(&self, input: String, outside: Arc<dyn Outside>) -> Result<String, Error>;

    /// Where in the plugin's own sources a stack begins that an answer tells of.
    fn place(&self, stack: &str) -> Option<String>;
}

/// What code can reach outside of its runner.
#[async_trait]
pub trait Outside: Send + Sync {
    /// A line for the log; the level `data` is for what may be about patients.
    fn log(&self, level: &str, text: &str);

    /// Answers a question; both are JSON.
    async fn ask(&self, question: String) -> String;
}

/// What one call may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Computing, without the time spent waiting for the host.
    pub compute: Duration,
    /// From beginning to end.
    pub time: Duration,
    /// Bytes.
    pub memory: usize,
    /// Bytes of the native stack.
    pub stack: usize,
    /// Calls of one plugin at the same time.
    pub workers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            compute: Duration::from_secs(60),
            time: Duration::from_secs(30 * 60),
            memory: 64 * 1024 * 1024,
            stack: 1024 * 1024,
            workers: 8,
        }
    }
}

/// Why a call has no answer. Exceptions of the code are answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the code computed longer than {0:?}")]
    Compute(Duration),
    #[error("the call took longer than {0:?}")]
    Time(Duration),
    #[error("the code needed more than {0} MiB of memory")]
    Memory(usize),
    #[error("the code waits for something that never comes: a promise that nobody resolves")]
    Stuck,
    #[error("{0}")]
    Code(String),
    #[error("the process that runs the plugin cannot be started: {0}")]
    Start(String),
    #[error("the process that runs the plugin ended during the call: {0}")]
    Crashed(String),
    #[error("the plugin answered what the host does not understand: {0}")]
    Rubbish(String),
    #[error("the engine of the plugin failed: {0}")]
    Engine(String),
}

impl Error {
    /// Names the failure as an exception's class would.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Compute(_) | Self::Time(_) => "TimeLimitExceeded",
            Self::Memory(_) => "MemoryLimitExceeded",
            Self::Stuck => "NeverSettled",
            Self::Code(_) => "Error",
            Self::Start(_) => "WorkerNotStarted",
            Self::Crashed(_) => "WorkerCrashed",
            Self::Rubbish(_) => "InvalidAnswer",
            Self::Engine(_) => "InternalError",
        }
    }
}

/// What the code of a package has for the host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Offer {
    pub activities: Vec<Shape>,
    /// It has an `onProcessesDeployed`.
    #[serde(default)]
    pub listens: bool,
}

/// An entry of `activities`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    pub key: String,
    /// `function`, `object` or whatever else it is.
    pub kind: String,
    /// Those functions of an object that the host calls.
    pub members: Vec<String>,
    pub business_key_strategy: Option<String>,
}

impl Shape {
    #[must_use]
    pub fn is_function(&self) -> bool {
        self.kind == "function"
    }

    #[must_use]
    pub fn has(&self, member: &str) -> bool {
        self.members.iter().any(|name| name == member)
    }
}
