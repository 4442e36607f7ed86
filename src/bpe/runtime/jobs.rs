//! Timers and asynchronous continuations.

use tokio::sync::Notify;

use super::loops::Work;
use super::{Advance, Error, Runtime};
use crate::store::bpe::job::{self, Due};

/// How long to leave a job alone whose instance somebody else works on, in seconds.
const BUSY: f64 = 0.1;

/// Runs due jobs.
#[derive(Clone)]
pub struct Jobs(pub Runtime);

impl Work for Jobs {
    type Item = Due;

    fn name(&self) -> &'static str {
        "jobs"
    }

    fn bell(&self) -> &Notify {
        &self.0.bells.jobs
    }

    async fn take(&self, most: i64) -> Result<Vec<Due>, Error> {
        Ok(self
            .0
            .store
            .read(async |conn| job::due(conn, most).await)
            .await?)
    }

    async fn next_due(&self) -> Result<Option<f64>, Error> {
        Ok(self
            .0
            .store
            .read(async |conn| job::next_due(conn).await)
            .await?)
    }

    /// A job is held by the lease of its instance, which the runtime keeps.
    async fn extend(&self, _: &Due) -> Result<(), Error> {
        Ok(())
    }

    async fn run(&self, due: Due) -> Result<(), Error> {
        match self.0.run_job(due.instance, due.id).await? {
            Advance::Busy => {
                self.0
                    .store
                    .read(async |conn| job::postpone(conn, due.instance, due.id, BUSY).await)
                    .await?;
            }
            Advance::Failed(failure) => {
                tracing::error!(
                    instance = %due.instance, activity = due.activity,
                    "a failed job could not be counted as failed: {failure}"
                );
                self.0
                    .store
                    .read(async |conn| job::postpone(conn, due.instance, due.id, 60.0).await)
                    .await?;
            }
            Advance::Done => self.0.bells.jobs.notify_one(),
            Advance::Stale => {}
        }
        Ok(())
    }
}
