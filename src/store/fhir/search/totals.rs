//! Remembers exact totals and carries them forward; see docs/adr/0015.
//!
//! Counting costs as much as there are matches; a page does not. A total is kept together with the
//! snapshot it was counted in. The next search asks, within its own statement, for the events that
//! this snapshot does not contain, and adds or subtracts the few resources they are about.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::sql::Bind;

/// When there are more searches than these, all are counted anew.
const CAPACITY: usize = 1024;
/// Events are kept much longer than this.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The WHERE clause with its values.
pub(super) type Key = (String, Vec<Bind>);

/// The number of matches in a snapshot, which is in PostgreSQL's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Total {
    pub snapshot: String,
    pub count: i64,
}

/// Totals known to one node; of no worth to others, and never wrong.
#[derive(Debug, Default)]
pub struct Totals(Mutex<HashMap<Key, (Total, Instant)>>);

impl Totals {
    pub(super) fn known(&self, key: &Key) -> Option<Total> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, learned) = known.get(key)?;
        (learned.elapsed() < LIFETIME).then(|| total.clone())
    }

    pub(super) fn learn(&self, key: Key, total: Total) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CAPACITY && !known.contains_key(&key) {
            known.clear();
        }
        known.insert(key, (total, Instant::now()));
    }
}
