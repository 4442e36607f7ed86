//! One trigger of an instance at a time on this node, so that the others wait for their turn and not
//! for the next time they are offered. Between nodes the lease decides.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

/// Longer than most steps, and short enough to leave the worker to other instances.
const PATIENCE: Duration = Duration::from_millis(250);

type Gate = tokio::sync::Mutex<()>;

/// Whose turn it is until dropped.
pub(super) type Turn = OwnedMutexGuard<()>;

/// The instances that are worked on here.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Uuid, Weak<Gate>>>);

impl Turns {
    /// The turn on an instance; nothing when the one before takes long.
    pub async fn wait(&self, instance: Uuid) -> Option<Turn> {
        let gate = self.gate(instance);
        tokio::time::timeout(PATIENCE, gate.lock_owned()).await.ok()
    }

    fn gate(&self, instance: Uuid) -> Arc<Gate> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(&instance).and_then(Weak::upgrade) {
            return gate;
        }
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::default();
        gates.insert(instance, Arc::downgrade(&gate));
        gate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn triggers_of_one_instance_take_turns_and_those_of_others_do_not_wait() {
        let turns = Arc::new(Turns::default());
        let first = turns.wait(Uuid::from_u128(1)).await;
        assert!(turns.wait(Uuid::from_u128(2)).await.is_some());
        let second = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.wait(Uuid::from_u128(1)).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.unwrap());
        assert!(turns.wait(Uuid::from_u128(1)).await.is_some());
    }
}
