//! Whether transactions of this process may be changing what others read at this moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the transactions of a store. Cloning shares the counts.
#[derive(Clone, Debug, Default)]
pub struct Changes(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    under_way: AtomicU64,
    /// Grows when a transaction begins, and when it ends.
    steps: AtomicU64,
    lost: AtomicU64,
}

/// A moment at which no transaction was under way. As long as [`Changes::moment`] says the same
/// again, none was in between either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    steps: u64,
    lost: u64,
}

impl Moment {
    /// How many transactions had ended by then in a way that nobody here knows; see [`Changes::lost`].
    #[must_use]
    pub fn lost(self) -> u64 {
        self.lost
    }
}

impl Changes {
    /// Now, unless a transaction is under way.
    #[must_use]
    pub fn moment(&self) -> Option<Moment> {
        let Self(counts) = self;
        // One that begins after this look changes the steps, now or when it ends.
        let is_calm = counts.under_way.load(Ordering::SeqCst) == 0;
        is_calm.then(|| Moment {
            steps: counts.steps.load(Ordering::SeqCst),
            lost: self.lost(),
        })
    }

    /// How many transactions were given up so that they may still take effect: their commit was on
    /// the way when the connection broke or the caller went away.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::SeqCst)
    }

    /// One that is about to begin.
    pub(super) fn begin(&self) -> Change {
        let Self(counts) = self;
        counts.under_way.fetch_add(1, Ordering::SeqCst);
        counts.steps.fetch_add(1, Ordering::SeqCst);
        Change {
            counts: Arc::clone(counts),
            is_over: false,
        }
    }
}

/// A transaction under way. Dropped without [`Change::over`] it is lost.
pub(super) struct Change {
    counts: Arc<Counts>,
    is_over: bool,
}

impl Change {
    /// It was committed or rolled back.
    pub fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if !self.is_over {
            self.counts.lost.fetch_add(1, Ordering::SeqCst);
        }
        self.counts.steps.fetch_add(1, Ordering::SeqCst);
        self.counts.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_same_only_without_a_transaction_in_between() {
        let changes = Changes::default();
        let before = changes.moment();
        assert!(before.is_some());
        assert_eq!(changes.moment(), before);
        let (one, other) = (changes.begin(), changes.begin());
        one.over();
        assert_eq!(changes.moment(), None, "the other is under way");
        other.over();
        let after = changes.moment();
        assert!(after.is_some() && after != before);
        assert_eq!(changes.lost(), 0);
        drop(changes.begin());
        assert_eq!(changes.lost(), 1);
        assert!(changes.moment().is_some() && changes.moment() != after);
    }
}
