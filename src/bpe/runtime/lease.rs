//! Instances in our hands: leased in the database, and our turn on this node.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::turns::Turn;
use super::{Error, Runtime};
use crate::bpe::engine::PageId;
use crate::store::bpe::{Epoch, instance};

/// How long a step waits for a further instance that it needs, such as its caller. Two steps that
/// wait for each other both give up then, and are repeated.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// The leases that one segment holds. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Leases(Arc<Mutex<Vec<Held>>>);

struct Held {
    instance: Uuid,
    epoch: Epoch,
    /// Lets the next trigger of this node go on when this one is stored. Absent where one was here
    /// first that cannot go on, since the lease is ours.
    _turn: Option<Turn>,
}

/// Whether an instance could be had.
pub(super) enum Had {
    Taken(Box<instance::Leased>),
    Busy,
    Gone,
}

impl Leases {
    /// Leases and loads an instance, with a page of its state.
    pub(super) async fn take(
        &self,
        runtime: &Runtime,
        id: Uuid,
        page: PageId,
    ) -> Result<Had, Error> {
        let Some(turn) = runtime.turns.wait(id).await else {
            runtime.watch.busy();
            return Ok(Had::Busy);
        };
        let seconds = runtime.settings.lease.as_secs_f64();
        let page = (page != PageId::FIRST).then_some(i64::from(page.0));
        let lease = runtime
            .store
            .read(async |conn| instance::lease(conn, id, page, seconds).await)
            .await?;
        Ok(match lease {
            instance::Lease::Taken(leased) => {
                self.add(Held {
                    instance: id,
                    epoch: leased.lease_epoch,
                    _turn: Some(turn),
                });
                Had::Taken(leased)
            }
            instance::Lease::Busy => {
                runtime.watch.busy();
                Had::Busy
            }
            instance::Lease::Gone => Had::Gone,
        })
    }

    /// Takes over an instance that is leased already.
    pub(super) async fn adopt(&self, runtime: &Runtime, leased: &instance::Leased) {
        self.add(Held {
            instance: leased.id,
            epoch: leased.lease_epoch,
            _turn: runtime.turns.wait(leased.id).await,
        });
    }

    /// The same as [`Self::take`], and waits a while for whoever has it.
    pub(super) async fn wait(
        &self,
        runtime: &Runtime,
        id: Uuid,
        page: PageId,
    ) -> Result<Had, Error> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            match self.take(runtime, id, page).await? {
                Had::Busy if tokio::time::Instant::now() < end => tokio::time::sleep(PAUSE).await,
                had => return Ok(had),
            }
        }
    }

    fn add(&self, held: Held) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(held);
    }

    fn all(&self) -> Vec<(Uuid, Epoch)> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter()
            .map(|held| (held.instance, held.epoch))
            .collect()
    }

    /// Waits for work and keeps the leases alive meanwhile; nothing when one was lost, and then the
    /// work is abandoned.
    pub(super) async fn keep<T>(
        &self,
        runtime: &Runtime,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let lease = runtime.settings.lease;
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                () = tokio::time::sleep(lease / 3) => {}
            }
            for (id, epoch) in self.all() {
                let seconds = lease.as_secs_f64();
                let renewed = runtime
                    .store
                    .read(async |conn| instance::renew(conn, id, epoch, seconds).await)
                    .await;
                match renewed {
                    Ok(true) => {}
                    Ok(false) => return None,
                    // Two thirds of its time are left; the guard decides in the end.
                    Err(error) => tracing::warn!(instance = %id, "lease not renewed: {error}"),
                }
            }
        }
    }

    /// Gives back what the step did not give back itself by changing it. What cannot be given back
    /// comes back by itself.
    pub(super) async fn release(&self, runtime: &Runtime, changed: &[Uuid]) {
        for (id, epoch) in self.all() {
            if changed.contains(&id) {
                continue;
            }
            let released = runtime
                .store
                .read(async |conn| instance::release(conn, id, epoch).await)
                .await;
            if let Err(error) = released {
                tracing::warn!(instance = %id, "lease not given back: {error}");
            }
        }
    }
}
