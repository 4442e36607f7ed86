//! Runs plugin code in QuickJS. The only place that knows the JavaScript engine.
//!
//! Every call gets a runtime of its own, so nothing survives a call but what the code gave to the
//! host: no variable of the module, no changed prototype, no timer. To keep calls fast, a worker
//! thread prepares the next runtime (prelude read, module evaluated) as soon as the last call is
//! over and then waits for work. Memory and time are limited per runtime and call; when a limit is
//! met the runtime is thrown away with everything in it.

mod bridge;
mod pool;
mod program;
mod sandbox;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;

pub use pool::Pool;
pub use program::{Program, Shape, shapes};

/// What one call may use up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub time: Duration,
    /// Bytes.
    pub memory: usize,
    /// Bytes of the native stack.
    pub stack: usize,
    /// Calls of one plugin at the same time; each has a thread.
    pub workers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(60),
            memory: 64 * 1024 * 1024,
            stack: 1024 * 1024,
            workers: 8,
        }
    }
}

/// Why a call has no answer. Exceptions of the code are answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the code ran longer than {0:?}")]
    Time(Duration),
    #[error("the code needed more than {0} MiB of memory")]
    Memory(usize),
    #[error("the code waits for something that never comes: a promise that nobody resolves")]
    Stuck,
    #[error("{0}")]
    Code(String),
    #[error("the JavaScript engine failed: {0}")]
    Engine(String),
}

impl Error {
    /// Names the failure as an exception's class would.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Time(_) => "TimeLimitExceeded",
            Self::Memory(_) => "MemoryLimitExceeded",
            Self::Stuck => "NeverSettled",
            Self::Code(_) => "Error",
            Self::Engine(_) => "InternalError",
        }
    }
}

/// What code can reach outside of its sandbox.
#[async_trait]
pub trait Outside: Send + Sync {
    fn log(&self, level: &str, text: &str);

    /// Answers a question of the prelude; both are JSON.
    async fn ask(&self, question: String) -> String;
}
