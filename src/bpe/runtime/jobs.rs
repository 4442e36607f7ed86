//! Timers and asynchronous continuations.

use std::sync::Arc;

use tokio::sync::Notify;

use super::loops::Work;
use super::{Advance, Error, Runtime};
use crate::store::bpe::job::{self, Taken};

/// How long to leave a job alone whose instance somebody else works on, in seconds.
const BUSY: f64 = 0.1;

/// Runs due jobs.
#[derive(Clone)]
pub struct Jobs(pub Runtime);

impl Work for Jobs {
    type Item = Arc<Taken>;

    fn name(&self) -> &'static str {
        "jobs"
    }

    fn bell(&self) -> &Notify {
        &self.0.bells.jobs
    }

    async fn take(&self, most: i64) -> Result<Vec<Arc<Taken>>, Error> {
        let seconds = self.0.settings.lease.as_secs_f64();
        let take = async |conn: &mut _| job::take(conn, most, seconds).await;
        let taken = self.0.store.read(take).await?;
        Ok(taken.into_iter().map(Arc::new).collect())
    }

    async fn next_due(&self) -> Result<Option<f64>, Error> {
        Ok(self
            .0
            .store
            .read(async |conn| job::next_due(conn).await)
            .await?)
    }

    /// A job is held by the lease of its instance, which the runtime keeps.
    async fn extend(&self, _: &Arc<Taken>) -> Result<(), Error> {
        Ok(())
    }

    async fn run(&self, taken: Arc<Taken>) -> Result<(), Error> {
        let (instance, job) = (taken.instance.id, taken.job);
        let postpone = async |seconds: f64| {
            let postpone = async |conn: &mut _| job::postpone(conn, instance, job, seconds).await;
            self.0.store.read(postpone).await
        };
        match self.0.run_taken(&taken).await? {
            Advance::Busy => postpone(BUSY).await?,
            Advance::Failed(failure) => {
                tracing::error!(
                    %instance, activity = taken.activity,
                    "a failed job could not be counted as failed: {failure}"
                );
                postpone(60.0).await?;
            }
            Advance::Done => self.0.bells.jobs.notify_one(),
            Advance::Stale => {}
        }
        Ok(())
    }
}
