//! Remembers exact totals while nothing changes.
//!
//! Counting costs as much as there are matches; a page does not. A total stays true until an event
//! is written, so each statement compares the newest event with the one the total was counted at,
//! in its own snapshot, and counts only when they differ.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::sql::Bind;

/// More searches than these are counted anew each time.
const CAPACITY: usize = 256;

/// The WHERE clause with its values.
pub(super) type Key = (String, Vec<Bind>);

/// The position of the newest event, as text: `(transaction, number)`.
pub(super) type Stamp = String;

/// Totals known to one node; of no worth to others, and never wrong.
#[derive(Debug, Default)]
pub struct Totals(Mutex<HashMap<Key, (Stamp, i64)>>);

impl Totals {
    pub(super) fn known(&self, key: &Key) -> Option<(Stamp, i64)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    pub(super) fn learn(&self, key: Key, stamp: Stamp, total: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CAPACITY && !known.contains_key(&key) {
            known.clear();
        }
        known.insert(key, (stamp, total));
    }
}
