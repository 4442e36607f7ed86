//! An orderly end: tell everyone once, then wait for what has been accepted.
//!
//! One [`Shutdown`] is cloned into everything that runs. Loops select on [`Shutdown::begun`];
//! work that must not be cut off is started with [`Shutdown::spawn`], and the end of the process
//! waits for it in [`Shutdown::drain`].

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The agreement of all parts of a process on when it ends. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    begun: CancellationToken,
    work: TaskTracker,
}

/// The deadline passed while tasks were still at work.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{running} tasks were still at work when the time to finish ran out")]
pub struct Unfinished {
    pub running: usize,
}

impl Shutdown {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells everyone that the end has come. Once is enough, more does no harm.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Waits until the end has come. Cancel-safe, for `select!`.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// A shutdown that begins with this one, or before it, and has its own work to wait for:
    /// for a part that must end before others do.
    #[must_use]
    pub fn part(&self) -> Self {
        Self {
            begun: self.begun.child_token(),
            work: TaskTracker::new(),
        }
    }

    /// Starts work that [`Shutdown::drain`] waits for. The work itself decides how soon after
    /// [`Shutdown::begun`] it is done.
    pub fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.work.spawn(work)
    }

    /// Begins the end and waits for all work, at most `patience`.
    ///
    /// # Errors
    /// When work is left after that time.
    pub async fn drain(&self, patience: Duration) -> Result<(), Unfinished> {
        self.begin();
        self.work.close();
        tokio::time::timeout(patience, self.work.wait())
            .await
            .map_err(|_| Unfinished {
                running: self.work.len(),
            })
    }

    /// Begins the end at the first SIGTERM, SIGINT or SIGQUIT. SIGHUP is left to those who read
    /// their files again.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn on_signals(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut quit = signal(SignalKind::quit())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                _ = quit.recv() => "SIGQUIT",
                () = shutdown.begun() => return,
            };
            tracing::info!(signal = name, "shutting down");
            shutdown.begin();
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn draining_waits_for_accepted_work() {
        let shutdown = Shutdown::new();
        let heard = shutdown.clone();
        let work = shutdown.spawn(async move {
            heard.begun().await;
            tokio::task::yield_now().await;
            "answered"
        });
        shutdown.drain(Duration::from_secs(5)).await.unwrap();
        assert_eq!(work.await.unwrap(), "answered");
    }

    #[tokio::test]
    async fn draining_gives_up_at_its_deadline_and_says_how_much_is_left() {
        let shutdown = Shutdown::new();
        let stuck = shutdown.spawn(std::future::pending::<()>());
        let left = shutdown.drain(Duration::from_millis(5)).await;
        assert_eq!(left, Err(Unfinished { running: 1 }));
        stuck.abort();
    }

    #[tokio::test]
    async fn a_part_ends_with_the_whole_but_not_the_whole_with_a_part() {
        let whole = Shutdown::new();
        let (first, second) = (whole.part(), whole.part());
        first.begin();
        assert!(first.is_begun() && !whole.is_begun());
        whole.begin();
        assert!(second.is_begun());
    }
}
