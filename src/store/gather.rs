//! What arrives together is done together.
//!
//! A statement costs PostgreSQL and both sockets much the same for one row as for ten, and a disk
//! takes some milliseconds to make any commit durable. So what has queued up while a statement was
//! on its way shares the next one. Nobody waits for company: who comes alone is served alone, at
//! once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diesel::result::Error::QueryBuilderError;
use tokio::sync::oneshot;

use crate::store::Error;

/// Work that can be done for many callers at once.
pub(super) trait Batch: Send + Sync + 'static {
    type Job: Send;
    type Answer: Send;
    /// Most batches at the same time.
    const LANES: usize;
    /// Jobs that must have gathered before another batch begins beside one that is on its way:
    /// the larger the batches, the less each job costs, but one that hangs must not hold up all.
    const CROWD: usize;
    /// Most jobs of one batch.
    const MOST: usize;
    /// How often a lane lets everything else that is ready go first, before it takes what has
    /// gathered: worth more than once where a batch is over so soon that few come meanwhile.
    const ROUNDS: usize = 1;

    /// An answer for each job, in their order.
    fn run(
        &self,
        jobs: Vec<Self::Job>,
    ) -> impl Future<Output = Vec<Result<Self::Answer, Error>>> + Send;
}

/// The queue in front of a [`Batch`]. Cloning shares it.
pub(super) struct Gather<B: Batch>(Arc<Inner<B>>);

impl<B: Batch> Clone for Gather<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<B: Batch> {
    batch: B,
    queue: Mutex<Queue<B>>,
}

struct Queue<B: Batch> {
    waiting: Vec<(B::Job, Caller<B>)>,
    lanes: usize,
}

/// Jobs, and who waits for each of them.
type Gathered<B> = (Vec<<B as Batch>::Job>, Vec<Caller<B>>);
type Caller<B> = oneshot::Sender<Result<<B as Batch>::Answer, Error>>;

impl<B: Batch> Gather<B> {
    pub fn new(batch: B) -> Self {
        let queue = Mutex::new(Queue {
            waiting: Vec::new(),
            lanes: 0,
        });
        Self(Arc::new(Inner { batch, queue }))
    }

    /// Does the job, with others if there are any. A lane that is opened for it hands over when it
    /// is done. What shares a batch is done even if nobody waits
    /// for it any more.
    pub async fn run(&self, job: B::Job) -> Result<B::Answer, Error> {
        let (caller, answer) = oneshot::channel();
        self.queue().waiting.push((job, caller));
        if let Some(lane) = self.lane()
            && let Some(alone) = lane.next_if_alone()
        {
            lane.serve(alone).await;
        }
        let lost = |_| Error::Unreachable("the statement was given up".to_owned());
        answer.await.map_err(lost)?
    }

    fn queue(&self) -> MutexGuard<'_, Queue<B>> {
        let queue = self.0.queue.lock();
        queue.unwrap_or_else(PoisonError::into_inner)
    }

    /// A free lane, if there is one.
    fn lane(&self) -> Option<Lane<B>> {
        let mut queue = self.queue();
        let crowded = queue.lanes < B::LANES && queue.waiting.len() >= B::CROWD;
        (queue.lanes == 0 || crowded).then(|| {
            queue.lanes += 1;
            Lane::new(self.clone(), true)
        })
    }
}

/// One batch after the other until the queue is empty.
struct Lane<B: Batch> {
    gather: Gather<B>,
    /// The queue does not count it any more.
    left: bool,
    /// It is served by a caller, who may go away: a task goes on with those behind.
    hands_over: bool,
}

impl<B: Batch> Lane<B> {
    fn new(gather: Gather<B>, hands_over: bool) -> Self {
        Self {
            gather,
            left: false,
            hands_over,
        }
    }

    async fn work(mut self) {
        while let Some(gathered) = self.next() {
            self.serve(gathered).await;
            // Those who have their answers may have more to do: they come along instead of behind.
            for _ in 0..B::ROUNDS {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn serve(&self, (jobs, callers): Gathered<B>) {
        let answers = self.gather.0.batch.run(jobs).await;
        for (caller, answer) in callers.into_iter().zip(answers) {
            // Whoever went away needs no answer.
            let _ = caller.send(answer);
        }
    }

    /// What has gathered. Leaves under the same lock that finds nothing: who comes next opens a lane.
    fn next(&mut self) -> Option<Gathered<B>> {
        let mut queue = self.gather.queue();
        if queue.waiting.is_empty() {
            queue.lanes -= 1;
            self.left = true;
            return None;
        }
        let count = queue.waiting.len().min(B::MOST);
        Some(queue.waiting.drain(..count).unzip())
    }

    /// A job that nobody shares its batch with.
    fn next_if_alone(&self) -> Option<Gathered<B>> {
        let mut queue = self.gather.queue();
        (queue.waiting.len() == 1).then(|| queue.waiting.drain(..).unzip())
    }
}

impl<B: Batch> Drop for Lane<B> {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        let mut queue = self.gather.queue();
        let heir = tokio::runtime::Handle::try_current()
            .ok()
            .filter(|_| self.hands_over && !queue.waiting.is_empty());
        match heir {
            None => queue.lanes -= 1,
            Some(runtime) => {
                // A runtime that is ending drops what it is given, and that wants the queue.
                drop(queue);
                let gather = self.gather.clone();
                runtime.spawn(Lane::new(gather, false).work());
            }
        }
    }
}

/// The same failure for another caller of the same statement.
pub(super) fn repeated(error: &Error) -> Error {
    match error {
        Error::Busy => Error::Busy,
        Error::Unreachable(cause) => Error::Unreachable(cause.clone()),
        Error::Collision => Error::Collision,
        Error::TooSlow => Error::TooSlow,
        Error::NoSpace(cause) => Error::NoSpace(cause.clone()),
        other => Error::Internal(QueryBuilderError(other.to_string().into())),
    }
}
