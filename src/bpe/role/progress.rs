//! What the health check may know of the start.

use std::sync::{Arc, Mutex, PoisonError};

use crate::kernel::Health;

#[derive(Clone, Default)]
pub(super) struct Progress(Arc<Mutex<Option<String>>>);

impl Progress {
    pub(super) fn register(health: &Health) -> Self {
        let progress = Self::default();
        progress.set(Some("has not begun".to_owned()));
        let shared = progress.clone();
        health.register("processes", move || {
            let state = shared
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            async move { state.map_or(Ok(()), Err) }
        });
        progress
    }

    pub(super) fn set(&self, waits_for: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waits_for;
    }
}
