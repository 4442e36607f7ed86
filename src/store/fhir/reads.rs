//! Reads of current versions that arrive together are one statement, see [`crate::store::gather`].

use std::collections::HashMap;

use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use super::resource::{Head, Known, Seen, heads};
use crate::store::gather::{Batch, Gather, repeated};
use crate::store::{Error, Store};

/// The queue in front of the table. Cloning shares it.
#[derive(Clone)]
pub struct Reads(Gather<Rows>);

struct Rows(Store);

impl Reads {
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(Gather::new(Rows(store)))
    }

    /// The current version as of a moment after the call, also of a deleted resource; without its
    /// document if it is the one that the reader has.
    pub async fn run(&self, id: Uuid, known: Option<Known>) -> Result<Seen<Option<Head>>, Error> {
        self.0.run((id, known)).await
    }
}

impl Batch for Rows {
    type Job = (Uuid, Option<Known>);
    type Answer = Seen<Option<Head>>;
    const LANES: usize = 4;
    const CROWD: usize = 32;
    const MOST: usize = 64;
    const ROUNDS: usize = 3;

    async fn run(&self, jobs: Vec<Self::Job>) -> Vec<Result<Self::Answer, Error>> {
        let Self(store) = self;
        let asked = distinct(&jobs);
        let read = store
            .read(async |conn: &mut AsyncPgConnection| heads(conn, &asked).await)
            .await;
        match read {
            Ok(Seen { generation, found }) => {
                let found: HashMap<Uuid, Head> =
                    found.into_iter().map(|head| (head.id, head)).collect();
                let seen = |(id, _): &Self::Job| Seen {
                    generation,
                    found: found.get(id).cloned(),
                };
                jobs.iter().map(|job| Ok(seen(job))).collect()
            }
            Err(error) => jobs.iter().map(|_| Err(repeated(&error))).collect(),
        }
    }
}

/// Each id once. Whoever lacks its document gets it, and who else asked for the same gets it as well.
fn distinct(jobs: &[(Uuid, Option<Known>)]) -> Vec<(Uuid, Option<Known>)> {
    let mut known: HashMap<Uuid, Option<Known>> = HashMap::with_capacity(jobs.len());
    for (id, version) in jobs {
        known
            .entry(*id)
            .and_modify(|known| *known = known.filter(|known| Some(*known) == *version))
            .or_insert(*version);
    }
    known.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use diesel_async::SimpleAsyncConnection;
    use futures_util::future::join_all;
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::r4::ResourceType;
    use crate::store::Schema;
    use crate::store::testing::fresh_database;

    #[tokio::test]
    async fn reads_that_queue_up_each_get_their_own_row() {
        let settings = fresh_database().await;
        let store = Store::open(&settings, Schema::Fhir).await.unwrap();
        let ids: Vec<Uuid> = (0..100).map(|_| Uuid::new_v4()).collect();
        let task = ResourceType::Task.code();
        for id in &ids[..50] {
            let sql = format!(
                "INSERT INTO resource \
                     (id, type, version, last_updated, document, access, audience) \
                 VALUES ('{id}', {task}, 1, '1970-01-01Z', '{id}', '{{}}', audience_of({task}::smallint, '{{}}'))"
            );
            let insert = async |conn: &mut AsyncPgConnection| Ok(conn.batch_execute(&sql).await?);
            store.read::<_, Error, _>(insert).await.unwrap();
        }
        let reads = Reads::new(store);
        // Half of the readers have the version already; one of them another one, and one of them one
        // of that number that is no more.
        let held = (1, Timestamp::UNIX_EPOCH);
        let known = |at: usize| match at {
            47 => Some((1, Timestamp::UNIX_EPOCH + SignedDuration::from_millis(1))),
            49 => Some((7, held.1)),
            _ => (at % 2 == 1).then_some(held),
        };
        let asked = ids.iter().enumerate();
        let asked = asked.map(|(at, id)| reads.run(*id, known(at)));
        for (at, (id, seen)) in ids.iter().zip(join_all(asked).await).enumerate() {
            let head = seen.unwrap().found;
            assert_eq!(head.as_ref().map(|head| head.id), (at < 50).then_some(*id));
            let document = head.and_then(|head| head.document);
            let is_sent = at < 50 && known(at) != Some(held);
            assert_eq!(document, is_sent.then(|| id.to_string()));
        }
        // Of several that ask for the same together, all get what one of them lacks.
        let (with, without) = tokio::join!(reads.run(ids[0], Some(held)), reads.run(ids[0], None));
        assert!(without.unwrap().found.unwrap().document.is_some());
        assert_eq!(with.unwrap().found.unwrap().version, 1);
    }
}
