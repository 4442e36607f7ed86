//! Steps of several instances that are ready at the same moment are stored by one statement, see
//! [`crate::store::gather`].

use std::collections::HashSet;

use diesel_async::AsyncPgConnection;

use super::flush::{Flush, run_together};
use crate::store::gather::{Batch, Gather, repeated};
use crate::store::{Error, Store};

/// The queue in front of the instances. Cloning shares it.
#[derive(Clone)]
pub struct Steps(Gather<Rows>);

struct Rows(Store);

impl Steps {
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(Gather::new(Rows(store)))
    }

    /// Stores a step as [`super::flush::run`] does. What is queued is stored even if nobody waits
    /// for the answer any more.
    pub async fn run(&self, step: Flush) -> Result<bool, Error> {
        self.0.run(step).await
    }
}

impl Batch for Rows {
    type Job = Flush;
    type Answer = bool;
    const LANES: usize = 2;
    const CROWD: usize = 16;
    const MOST: usize = 64;

    async fn run(&self, steps: Vec<Flush>) -> Vec<Result<bool, Error>> {
        let mut instances = HashSet::new();
        // Of two that want to change the same instance only one may, and the other must see that.
        if !steps.iter().all(|step| instances.insert(step.instance)) {
            return self.one_by_one(&steps).await;
        }
        match self.store(&steps.iter().collect::<Vec<_>>()).await {
            Ok(stored) => stored.into_iter().map(Ok).collect(),
            Err(error) if steps.len() == 1 => vec![Err(error)],
            // Nobody knows whether they are stored, or the next try would fare no better.
            Err(error @ (Error::Unreachable(_) | Error::Busy | Error::TooSlow)) => {
                steps.iter().map(|_| Err(repeated(&error))).collect()
            }
            // Nothing was stored; each shall fail for its own reason only.
            Err(error) => {
                tracing::debug!(%error, count = steps.len(), "steps are stored one by one");
                self.one_by_one(&steps).await
            }
        }
    }
}

impl Rows {
    async fn store(&self, steps: &[&Flush]) -> Result<Vec<bool>, Error> {
        let Self(store) = self;
        store
            .read(async |conn: &mut AsyncPgConnection| run_together(conn, steps).await)
            .await
    }

    async fn one_by_one(&self, steps: &[Flush]) -> Vec<Result<bool, Error>> {
        let mut answers = Vec::with_capacity(steps.len());
        for step in steps {
            let stored = self.store(&[step]).await;
            answers.push(stored.map(|stored| stored == [true]));
        }
        answers
    }
}
