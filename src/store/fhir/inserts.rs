//! Creates that arrive together are stored together.
//!
//! A disk takes some milliseconds to make a commit durable, and a commit costs as much computing as
//! the insert before it. So what has queued up while a transaction was on its way shares the next
//! one. Nobody waits for company: a create that is alone is stored alone, at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diesel_async::AsyncPgConnection;
use futures_util::future::{join_all, try_join_all};
use tokio::sync::oneshot;

use super::NewRow;
use super::resource::{Idempotency, Inserted, insert};
use crate::store::{Error, Store};

/// Transactions at the same time: while one is on its way to the disk, others gather and run.
const LANES: usize = 3;
/// Most creates of one transaction.
const MOST: usize = 64;

/// What one create stores.
#[derive(Clone, Debug)]
pub struct Insert {
    /// Of the directory that the create was judged by.
    pub generation: i64,
    pub row: NewRow,
    pub once: Option<Idempotency>,
}

/// The queue in front of the store. Cloning shares it.
#[derive(Clone)]
pub struct Inserts(Arc<Inner>);

struct Inner {
    store: Store,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Job>,
    lanes: usize,
}

struct Job {
    insert: Insert,
    answer: oneshot::Sender<Result<Inserted, Error>>,
}

impl Inserts {
    #[must_use]
    pub fn new(store: Store) -> Self {
        let queue = Mutex::default();
        Self(Arc::new(Inner { store, queue }))
    }

    /// Stores version 1, as [`insert`] does. What is queued is stored even if nobody waits for the
    /// answer any more.
    pub async fn run(&self, insert: Insert) -> Result<Inserted, Error> {
        let (answer, outcome) = oneshot::channel();
        self.queue().waiting.push(Job { insert, answer });
        if let Some(lane) = self.lane() {
            tokio::spawn(lane.work());
        }
        let lost = |_| Error::Unreachable("the insert was given up".to_owned());
        outcome.await.map_err(lost)?
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        let queue = self.0.queue.lock();
        queue.unwrap_or_else(PoisonError::into_inner)
    }

    /// A free lane, if there is one.
    fn lane(&self) -> Option<Lane> {
        let mut queue = self.queue();
        (queue.lanes < LANES).then(|| {
            queue.lanes += 1;
            let inserts = self.clone();
            Lane {
                inserts,
                left: false,
            }
        })
    }

    async fn store_all(&self, jobs: Vec<Job>) {
        if jobs.len() == 1 {
            for job in jobs {
                // Whoever went away needs no answer.
                let _ = job.answer.send(self.alone(&job.insert).await);
            }
            return;
        }
        match self.together(&jobs).await {
            Ok(outcomes) => {
                for (job, outcome) in jobs.into_iter().zip(outcomes) {
                    let _ = job.answer.send(Ok(outcome));
                }
            }
            // Nothing was stored; each shall fail for its own reason only.
            Err(error) => {
                tracing::debug!(%error, count = jobs.len(), "creates are stored one by one");
                join_all(jobs.into_iter().map(async |job| {
                    let outcome = self.alone(&job.insert).await;
                    let _ = job.answer.send(outcome);
                }))
                .await;
            }
        }
    }

    async fn together(&self, jobs: &[Job]) -> Result<Vec<Inserted>, Error> {
        let store = &self.0.store;
        store
            .write(async |conn: &mut AsyncPgConnection| {
                // Sent without waiting for each other's answers.
                let mut runs = Vec::with_capacity(jobs.len());
                for Job { insert: one, .. } in jobs {
                    runs.push(insert(conn, one.generation, &one.row, one.once.as_ref()));
                }
                try_join_all(runs).await
            })
            .await
    }

    async fn alone(&self, one: &Insert) -> Result<Inserted, Error> {
        let store = &self.0.store;
        store
            .read(async |conn: &mut AsyncPgConnection| {
                insert(conn, one.generation, &one.row, one.once.as_ref()).await
            })
            .await
    }
}

/// One transaction after the other until the queue is empty.
struct Lane {
    inserts: Inserts,
    /// The queue does not count it any more.
    left: bool,
}

impl Lane {
    async fn work(mut self) {
        while let Some(jobs) = self.next() {
            self.inserts.store_all(jobs).await;
        }
    }

    /// What has gathered. Leaves under the same lock that finds nothing: who comes next opens a lane.
    fn next(&mut self) -> Option<Vec<Job>> {
        let mut queue = self.inserts.queue();
        if queue.waiting.is_empty() {
            queue.lanes -= 1;
            self.left = true;
            return None;
        }
        let count = queue.waiting.len().min(MOST);
        Some(queue.waiting.drain(..count).collect())
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if !self.left {
            self.inserts.queue().lanes -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::r4::ResourceType;
    use crate::store::fhir::directory;
    use crate::store::testing::fresh_database;
    use crate::store::{Schema, fhir::search::IndexTerms};

    fn task(generation: i64, document: &str, key: Option<&str>) -> Insert {
        let row = NewRow {
            id: Uuid::new_v4(),
            kind: ResourceType::Task,
            at: Timestamp::UNIX_EPOCH,
            document: document.to_owned(),
            access: Vec::new(),
            context: None,
            keys: None,
            terms: IndexTerms::default(),
            content: None,
        };
        let once = key.map(|key| Idempotency {
            owner: "a".to_owned(),
            key: key.to_owned(),
        });
        Insert {
            generation,
            row,
            once,
        }
    }

    #[tokio::test]
    async fn creates_that_queue_up_are_stored_once_each_and_a_bad_one_fails_alone() {
        let settings = fresh_database().await;
        let store = Store::open(&settings, Schema::Fhir).await.unwrap();
        let read = async |conn: &mut AsyncPgConnection| directory::generation(conn).await;
        let generation = store.read(read).await.unwrap();
        let inserts = Inserts::new(store.clone());
        let run = |insert: Insert| {
            let inserts = inserts.clone();
            async move { inserts.run(insert).await }
        };
        let plain = join_all((0..100).map(|_| run(task(generation, "{}", None))));
        let repeated = join_all((0..20).map(|_| run(task(generation, "{}", Some("k")))));
        let stale = run(task(generation - 1, "{}", None));
        // PostgreSQL has no NUL in texts.
        let bad = run(task(generation, "\0", None));
        let (plain, repeated, stale, bad) = tokio::join!(plain, repeated, stale, bad);

        let stored = |outcome: &Result<Inserted, Error>| matches!(outcome, Ok(Inserted::Stored));
        assert!(plain.iter().all(stored));
        assert_eq!(repeated.iter().filter(|outcome| stored(outcome)).count(), 1);
        let earlier: HashSet<Uuid> = repeated
            .iter()
            .filter_map(|outcome| match outcome {
                Ok(Inserted::Earlier(id)) => Some(*id),
                _ => None,
            })
            .collect();
        assert_eq!(earlier.len(), 1);
        assert_eq!(stale.unwrap(), Inserted::Stale);
        assert!(bad.is_err());
    }
}
