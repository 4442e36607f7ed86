//! What the runtime tells those who count: metrics, tests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use crate::bpe::engine::{End, Event};

/// Hears what the runtime has done, after it is stored. Must not block.
pub trait Watch: Send + Sync {
    /// A step is about to be stored.
    fn storing(&self) {}

    /// A step was stored: instances changed, time since its trigger was taken.
    fn stepped(&self, _instances: usize, _took: Duration) {}

    /// What happened in a stored step, in order.
    fn happened(&self, _events: &[(Uuid, Event)]) {}

    fn ended(&self, _instance: Uuid, _end: &End) {}

    /// A due job or timer was begun, so long after its time.
    fn began_job(&self, _lag: Duration) {}

    /// A job failed; without retries left it is an incident.
    fn failed_job(&self) {}

    /// An instance was wanted that somebody else works on.
    fn busy(&self) {}

    /// A step was thrown away: the lease was lost, or its trigger was gone.
    fn conflicted(&self) {}
}

/// Counts since the start of the node. Durations are sums, for averages over any interval.
#[derive(Debug, Default)]
pub struct Counts {
    pub steps: AtomicU64,
    pub step_microseconds: AtomicU64,
    pub ended: AtomicU64,
    pub jobs: AtomicU64,
    pub job_lag_microseconds: AtomicU64,
    pub failed_jobs: AtomicU64,
    pub busy: AtomicU64,
    pub conflicts: AtomicU64,
}

impl Counts {
    /// Names and values, as a metrics page lists them.
    pub fn list(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("steps", &self.steps),
            ("step_microseconds", &self.step_microseconds),
            ("ended_instances", &self.ended),
            ("jobs", &self.jobs),
            ("job_lag_microseconds", &self.job_lag_microseconds),
            ("failed_jobs", &self.failed_jobs),
            ("busy_instances", &self.busy),
            ("conflicts", &self.conflicts),
        ]
        .into_iter()
        .map(|(name, value)| (name, value.load(Ordering::Relaxed)))
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Watch for Counts {
    fn stepped(&self, _: usize, took: Duration) {
        add(&self.steps, 1);
        add(&self.step_microseconds, microseconds(took));
    }

    fn ended(&self, _: Uuid, _: &End) {
        add(&self.ended, 1);
    }

    fn began_job(&self, lag: Duration) {
        add(&self.jobs, 1);
        add(&self.job_lag_microseconds, microseconds(lag));
    }

    fn failed_job(&self) {
        add(&self.failed_jobs, 1);
    }

    fn busy(&self) {
        add(&self.busy, 1);
    }

    fn conflicted(&self) {
        add(&self.conflicts, 1);
    }
}
