//! Delivers what steps have stored: messages to peers, answers to our Tasks, signals.
//!
//! A message is tried until its deadline as long as the failure is of the passing kind; the
//! instance waits meanwhile, and every try carries the same `Idempotency-Key`. An answer whose
//! version is out of date is read again and repeated.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::server::{Server, Trouble};
use crate::bpe::plugin::Delivery;
use crate::bpe::runtime::{Advance, Error, LEASE, Runtime, Work};
use crate::kernel::{Backoff, Random};
use crate::r4::view::task::{Status, Task};
use crate::r4::{Resource, json};
use crate::store::bpe::inbox;
use crate::store::bpe::outbox::{self, Entry};

/// How soon to look again when the instance is busy, in seconds.
const BUSY: f64 = 0.05;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));

/// The worker of the outbox.
#[derive(Clone)]
pub(super) struct Outbox {
    pub runtime: Runtime,
    pub server: Arc<Server>,
}

impl Work for Outbox {
    type Item = Entry;

    fn name(&self) -> &'static str {
        "outbox"
    }

    fn bell(&self) -> &Notify {
        &self.runtime.bells().outbox
    }

    async fn take(&self, most: i64) -> Result<Vec<Entry>, Error> {
        let store = self.runtime.store();
        Ok(store
            .read(async |conn| outbox::take(conn, most, LEASE.as_secs_f64()).await)
            .await?)
    }

    async fn next_due(&self) -> Result<Option<f64>, Error> {
        Ok(self
            .runtime
            .store()
            .read(async |conn| outbox::next_due(conn).await)
            .await?)
    }

    async fn extend(&self, entry: &Entry) -> Result<(), Error> {
        let store = self.runtime.store();
        Ok(store
            .read(async |conn| outbox::extend(conn, entry, LEASE.as_secs_f64()).await)
            .await?)
    }

    async fn run(&self, entry: Entry) -> Result<(), Error> {
        match entry.kind.as_str() {
            "message" => self.message(&entry).await,
            "answer" => self.answer(&entry).await,
            "update" => self.update(&entry).await,
            _ => self.signal(&entry).await,
        }
    }
}

impl Outbox {
    async fn message(&self, entry: &Entry) -> Result<(), Error> {
        let address = entry.address.as_deref().unwrap_or_default();
        let delivery = match self.server.send(address, &entry.document, entry.id).await {
            Ok(()) => Delivery::Accepted,
            Err(trouble) if trouble.transient() && !entry.overdue => {
                tracing::warn!(%address, attempt = entry.attempts, "message not delivered: {trouble}");
                return self.again(entry, &trouble).await;
            }
            Err(trouble) => Delivery::Failed {
                status: trouble.status(),
                message: trouble.to_string(),
            },
        };
        let advance = self.runtime.delivered(entry, delivery).await?;
        self.settle(entry, advance).await
    }

    /// Writes the end of a Task. A version that somebody changed meanwhile is read again; a Task
    /// that has ended otherwise, or that the server will not let us end, stays as it is.
    async fn answer(&self, entry: &Entry) -> Result<(), Error> {
        let Ok(task) = json::parse(entry.document.as_bytes()) else {
            tracing::error!(entry = %entry.id, "a stored answer does not parse; it is dropped");
            return self.discard(entry).await;
        };
        match self.put(task).await {
            Ok(()) => self.answered(entry).await,
            Err(trouble) if trouble.transient() && !entry.overdue => {
                self.again(entry, &trouble).await
            }
            Err(trouble) => {
                tracing::error!(task = ?entry.task, "Task could not be answered: {trouble}");
                self.answered(entry).await
            }
        }
    }

    /// Shows the outputs that a Task has so far. Its end carries them too, so this may fail.
    async fn update(&self, entry: &Entry) -> Result<(), Error> {
        let id = entry.task.unwrap_or_default();
        let store = self.runtime.store();
        // As it is by now: of several updates the last one counts, whichever is sent last.
        let held = store.read(async |conn| inbox::held(conn, id).await).await?;
        let Some(Ok(task)) = held.map(|document| json::parse(document.as_bytes())) else {
            return self.discard(entry).await;
        };
        match self.put(task).await {
            Ok(()) => self.discard(entry).await,
            Err(trouble) if trouble.transient() && !entry.overdue => {
                self.again(entry, &trouble).await
            }
            Err(trouble) => {
                tracing::warn!(task = ?entry.task, "outputs are not shown yet: {trouble}");
                self.discard(entry).await
            }
        }
    }

    async fn put(&self, task: Resource) -> Result<(), Trouble> {
        match self.server.update(&task, "minimal").await {
            Err(trouble) if trouble.status() == Some(412) => self.newer(task).await,
            outcome => outcome.map(drop),
        }
    }

    /// Puts our end of the Task on top of the version that the server has.
    async fn newer(&self, task: Resource) -> Result<(), Trouble> {
        let id = task.id().and_then(|id| id.parse().ok()).unwrap_or_default();
        let current = self.server.read_task(id).await?;
        if Task(&current).status() != Some(Status::InProgress) {
            // Our own earlier PUT, or somebody else's decision.
            return Ok(());
        }
        let mut task = task;
        if let Some(meta) = current.get("meta") {
            task.members_mut().insert("meta".to_owned(), meta.clone());
        }
        self.server.update(&task, "minimal").await.map(drop)
    }

    async fn signal(&self, entry: &Entry) -> Result<(), Error> {
        let advance = self.runtime.deliver_signal(entry).await?;
        self.settle(entry, advance).await
    }

    /// The entry is gone when the step was stored; otherwise it must be dealt with here.
    async fn settle(&self, entry: &Entry, advance: Advance) -> Result<(), Error> {
        match advance {
            Advance::Done => Ok(()),
            Advance::Busy => self.postpone(entry, BUSY, "the instance is busy").await,
            Advance::Stale => self.discard(entry).await,
            // The message is delivered, the step after it cannot run: the instance would wait
            // for ever, so it is ended with the reason.
            Advance::Failed(failure) => {
                if let Some(instance) = entry.instance {
                    tracing::error!(%instance, "the step after a message failed: {failure}");
                    self.runtime.cancel(instance, &failure.to_string()).await?;
                }
                self.discard(entry).await
            }
        }
    }

    async fn again(&self, entry: &Entry, trouble: &Trouble) -> Result<(), Error> {
        let failures = u32::try_from(entry.attempts).unwrap_or(u32::MAX);
        let delay = BACKOFF.delay(failures, &Random::system());
        self.postpone(entry, delay.as_secs_f64(), &trouble.to_string())
            .await
    }

    async fn postpone(&self, entry: &Entry, seconds: f64, why: &str) -> Result<(), Error> {
        let store = self.runtime.store();
        Ok(store
            .read(async |conn| outbox::postpone(conn, entry, seconds, why).await)
            .await?)
    }

    async fn discard(&self, entry: &Entry) -> Result<(), Error> {
        let store = self.runtime.store();
        Ok(store
            .read(async |conn| outbox::discard(conn, entry).await)
            .await?)
    }

    async fn answered(&self, entry: &Entry) -> Result<(), Error> {
        let store = self.runtime.store();
        Ok(store
            .read(async |conn| outbox::answered(conn, entry).await)
            .await?)
    }
}
