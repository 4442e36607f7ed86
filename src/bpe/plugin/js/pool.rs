//! Worker threads of one plugin, each with a sandbox that waits for the next call.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use super::bridge::Bridge;
use super::bytecode::Bytecode;
use super::program::Program;
use super::sandbox::{Deadline, Fresh, Origin};
use super::source_map;
use crate::bpe::plugin::runner::{Error, Limits, Outside, Runner};

/// Room for the frames of the engine beyond its own stack limit.
const STACK_RESERVE: usize = 1024 * 1024;

/// Runs the calls of one plugin. Its threads end with it.
pub struct Pool {
    program: Arc<Program>,
    /// Compiled by the thread that needs it first.
    bytecode: Arc<OnceLock<Result<Arc<Bytecode>, Error>>>,
    limits: Limits,
    idle: Mutex<Vec<Sender<Job>>>,
    permits: Semaphore,
}

struct Job {
    input: String,
    outside: Arc<dyn Outside>,
    answer: oneshot::Sender<Result<String, Error>>,
}

impl Pool {
    #[must_use]
    pub fn new(program: Program, limits: Limits) -> Self {
        Self {
            program: Arc::new(program),
            bytecode: Arc::default(),
            limits,
            idle: Mutex::default(),
            permits: Semaphore::new(limits.workers),
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Sender<Job>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hire(&self) -> Result<Sender<Job>, Error> {
        let (sender, jobs) = mpsc::channel();
        let worker = Worker {
            program: Arc::clone(&self.program),
            bytecode: Arc::clone(&self.bytecode),
            limits: self.limits,
            tokio: Handle::current(),
            jobs,
        };
        thread::Builder::new()
            .name("plugin".to_owned())
            .stack_size(self.limits.stack + STACK_RESERVE)
            .spawn(move || worker.work())
            .map_err(|error| Error::Engine(error.to_string()))?;
        Ok(sender)
    }
}

#[async_trait]
impl Runner for Pool {
    async fn call(&self, input: String, outside: Arc<dyn Outside>) -> Result<String, Error> {
        let lost = |_| Error::Engine("its thread ended".to_owned());
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|error| Error::Engine(error.to_string()))?;
        let worker = match self.idle().pop() {
            Some(worker) => worker,
            None => self.hire()?,
        };
        let (sender, answer) = oneshot::channel();
        worker
            .send(Job {
                input,
                outside,
                answer: sender,
            })
            .map_err(|_| Error::Engine("its thread ended".to_owned()))?;
        let answer = answer.await.map_err(lost)?;
        // It prepares its next sandbox meanwhile; work may queue behind that.
        self.idle().push(worker);
        answer
    }

    fn place(&self, stack: &str) -> Option<String> {
        source_map::place(stack, &self.program.maps)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("entry", &self.program.entry)
            .finish_non_exhaustive()
    }
}

struct Worker {
    program: Arc<Program>,
    bytecode: Arc<OnceLock<Result<Arc<Bytecode>, Error>>>,
    limits: Limits,
    tokio: Handle,
    jobs: Receiver<Job>,
}

impl Worker {
    /// One sandbox after the other until the pool is gone.
    fn work(self) {
        while self.serve_one() {}
    }

    fn serve_one(&self) -> bool {
        let deadline = Deadline::default();
        deadline.begin(&self.limits);
        let bridge = Bridge::new(self.tokio.clone());
        let fresh = self.origin().and_then(|origin| {
            let fresh = Fresh::new(&self.limits, &deadline)?;
            Ok((fresh, origin))
        });
        let (fresh, origin) = match fresh {
            Ok(fresh) => fresh,
            Err(error) => return self.refuse_one(error),
        };
        fresh.with(|sandbox| {
            let ready = match sandbox.prepare(&self.program, &origin, Some(bridge.line())) {
                Ok(ready) => ready,
                Err(error) => return self.refuse_one(error),
            };
            let Ok(job) = self.jobs.recv() else {
                return false;
            };
            deadline.begin(&self.limits);
            bridge.connect(job.outside);
            let result = sandbox.call(&ready, &job.input, &bridge);
            // A caller that went away needs no answer.
            let _ = job.answer.send(result);
            true
        })
    }

    fn origin(&self) -> Result<Origin, Error> {
        let compile = || Bytecode::of(&self.program).map(Arc::new);
        let bytecode = self.bytecode.get_or_init(compile).clone()?;
        Ok(Origin::Bytecode(bytecode))
    }

    fn refuse_one(&self, error: Error) -> bool {
        let Ok(job) = self.jobs.recv() else {
            return false;
        };
        let _ = job.answer.send(Err(error));
        true
    }
}
