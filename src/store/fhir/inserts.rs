//! Creates that arrive together are stored by one statement, see [`crate::store::gather`].

use diesel_async::AsyncPgConnection;

use super::many::{Inserted, NewInsert, insert_all};
use crate::store::gather::{Batch, Gather};
use crate::store::{Error, Store};

/// The queue in front of the table. Cloning shares it.
#[derive(Clone)]
pub struct Inserts(Gather<Rows>);

struct Rows(Store);

impl Inserts {
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(Gather::new(Rows(store)))
    }

    /// Stores version 1. What is queued is stored even if nobody waits for the answer any more.
    pub async fn run(&self, insert: NewInsert) -> Result<Inserted, Error> {
        self.0.run(insert).await
    }
}

impl Batch for Rows {
    type Job = NewInsert;
    type Answer = Inserted;
    const LANES: usize = 3;
    const CROWD: usize = 32;
    const MOST: usize = 64;

    async fn run(&self, jobs: Vec<NewInsert>) -> Vec<Result<Inserted, Error>> {
        match self.store(&jobs).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(error) if jobs.len() == 1 => vec![Err(error)],
            // Nothing was stored; each shall fail for its own reason only.
            Err(error) => {
                tracing::debug!(%error, count = jobs.len(), "creates are stored one by one");
                let mut outcomes = Vec::with_capacity(jobs.len());
                for job in &jobs {
                    let stored = self.store(std::slice::from_ref(job)).await;
                    outcomes.push(stored.and_then(|all| {
                        let lost = || Error::Unreachable("the insert has no answer".to_owned());
                        all.into_iter().next().ok_or_else(lost)
                    }));
                }
                outcomes
            }
        }
    }
}

impl Rows {
    async fn store(&self, jobs: &[NewInsert]) -> Result<Vec<Inserted>, Error> {
        let Self(store) = self;
        store
            .read(async |conn: &mut AsyncPgConnection| insert_all(conn, jobs).await)
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use futures_util::future::join_all;
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::r4::ResourceType;
    use crate::store::fhir::NewRow;
    use crate::store::fhir::directory;
    use crate::store::fhir::many::Idempotency;
    use crate::store::testing::fresh_database;
    use crate::store::{Schema, fhir::search::IndexTerms};

    fn task(generation: i64, document: &str, key: Option<&str>) -> NewInsert {
        let row = NewRow {
            id: Uuid::new_v4(),
            kind: ResourceType::Task,
            at: Timestamp::UNIX_EPOCH,
            document: document.to_owned(),
            access: Vec::new(),
            context: None,
            keys: None,
            terms: IndexTerms::default(),
            content: None,
        };
        let once = key.map(|key| Idempotency {
            owner: "a".to_owned(),
            key: key.to_owned(),
        });
        NewInsert {
            generation,
            row,
            once,
        }
    }

    #[tokio::test]
    async fn creates_that_queue_up_are_stored_once_each_and_a_bad_one_fails_alone() {
        let settings = fresh_database().await;
        let store = Store::open(&settings, Schema::Fhir).await.unwrap();
        let read = async |conn: &mut AsyncPgConnection| directory::generation(conn).await;
        let generation = store.read(read).await.unwrap();
        let inserts = Inserts::new(store.clone());
        let run = |insert: NewInsert| {
            let inserts = inserts.clone();
            async move { inserts.run(insert).await }
        };
        let plain = join_all((0..100).map(|_| run(task(generation, "{}", None))));
        let repeated = join_all((0..20).map(|_| run(task(generation, "{}", Some("k")))));
        let stale = run(task(generation - 1, "{}", None));
        // PostgreSQL has no NUL in texts.
        let bad = run(task(generation, "\0", None));
        let (plain, repeated, stale, bad) = tokio::join!(plain, repeated, stale, bad);

        let stored = |outcome: &Result<Inserted, Error>| matches!(outcome, Ok(Inserted::Stored));
        assert!(plain.iter().all(stored));
        assert_eq!(repeated.iter().filter(|outcome| stored(outcome)).count(), 1);
        let earlier: HashSet<Uuid> = repeated
            .iter()
            .filter_map(|outcome| match outcome {
                Ok(Inserted::Earlier(id)) => Some(*id),
                _ => None,
            })
            .collect();
        assert_eq!(earlier.len(), 1);
        assert_eq!(stale.unwrap(), Inserted::Stale);
        assert!(bad.is_err());
    }
}
