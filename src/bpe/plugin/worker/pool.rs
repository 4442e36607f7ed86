//! The processes of one plugin: as many as there are calls at a time, kept for the next ones.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::Program;
use super::folder::Folder;
use super::process::Process;
use crate::bpe::plugin::runner::{Error, Limits, Outside, Runner};
use crate::kernel::{Backoff, Random};

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
/// Processes of one plugin: each has memory of its own.
const MOST: usize = 4;

/// Runs the calls of one plugin; its processes end with it.
pub struct Pool {
    shared: Arc<Shared>,
    permits: Semaphore,
}

struct Shared {
    program: Program,
    limits: Limits,
    folder: OnceLock<Result<Folder, Error>>,
    idle: Mutex<Vec<Process>>,
    failing: Mutex<Failing>,
}

/// Starts that failed in a row, and when the next one may be tried.
#[derive(Default)]
struct Failing {
    failures: u32,
    until: Option<Instant>,
}

impl Pool {
    #[must_use]
    pub fn new(program: Program, limits: Limits) -> Self {
        Self {
            permits: Semaphore::new(limits.workers.min(MOST)),
            shared: Arc::new(Shared {
                program,
                limits,
                folder: OnceLock::new(),
                idle: Mutex::default(),
                failing: Mutex::default(),
            }),
        }
    }

    /// A process that cannot be started is not tried again at once, whoever asks for it.
    async fn pause(&self) {
        let until = self.shared.failing().until;
        if let Some(until) = until {
            tokio::time::sleep_until(until.into()).await;
        }
    }
}

#[async_trait]
impl Runner for Pool {
    async fn call(&self, input: String, outside: Arc<dyn Outside>) -> Result<String, Error> {
        let engine = |error: &dyn std::fmt::Display| Error::Engine(error.to_string());
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|error| engine(&error))?;
        self.pause().await;
        let (shared, tokio) = (Arc::clone(&self.shared), Handle::current());
        tokio::task::spawn_blocking(move || shared.call(&input, &outside, &tokio))
            .await
            .map_err(|error| engine(&error))?
    }

    /// `File "…/package/lib/text.py", line 4, in name`, the innermost one of the package.
    fn place(&self, stack: &str) -> Option<String> {
        stack.lines().rev().find_map(|line| {
            let (_, rest) = line.split_once("/package/")?;
            let (file, rest) = rest.split_once("\", line ")?;
            let number = rest.split(|one: char| !one.is_ascii_digit()).next()?;
            Some(format!("{file}:{number}"))
        })
    }
}

impl Shared {
    fn call(
        &self,
        input: &str,
        outside: &Arc<dyn Outside>,
        tokio: &Handle,
    ) -> Result<String, Error> {
        let idle = self.idle().pop();
        let mut process = match idle {
            Some(process) => process,
            None => self.hire()?,
        };
        // A process whose call failed is dropped, and killed with that.
        let answer = process.call(input, outside, tokio, &self.limits)?;
        self.idle().push(process);
        Ok(answer)
    }

    fn hire(&self) -> Result<Process, Error> {
        let folder = self.folder.get_or_init(|| Folder::of(&self.program));
        let folder = folder.as_ref().map_err(Clone::clone)?;
        let started =
            Process::start(&self.program, folder, &self.limits).and_then(|mut process| {
                process.offer(&self.limits)?;
                Ok(process)
            });
        let mut failing = self.failing();
        match started {
            Ok(process) => {
                *failing = Failing::default();
                Ok(process)
            }
            Err(error) => {
                failing.failures += 1;
                let pause = BACKOFF.delay(failing.failures, &Random::system());
                failing.until = Some(Instant::now() + pause);
                Err(error)
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Process>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failing(&self) -> std::sync::MutexGuard<'_, Failing> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("entry", &self.shared.program.entry)
            .finish_non_exhaustive()
    }
}
