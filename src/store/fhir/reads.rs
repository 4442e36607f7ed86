//! Reads of current versions that arrive together are one statement, see [`crate::store::gather`].

use std::collections::HashMap;

use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use super::Row;
use super::resource::{Seen, read_all};
use crate::r4::ResourceType;
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

    /// The current version as of a moment after the call, also of a deleted resource.
    pub async fn run(&self, kind: ResourceType, id: Uuid) -> Result<Seen<Option<Row>>, Error> {
        let mut seen = self.0.run(id).await?;
        seen.found = seen.found.filter(|row| row.kind == kind);
        Ok(seen)
    }
}

impl Batch for Rows {
    type Job = Uuid;
    type Answer = Seen<Option<Row>>;
    const LANES: usize = 4;
    const CROWD: usize = 16;
    const MOST: usize = 32;

    async fn run(&self, ids: Vec<Uuid>) -> Vec<Result<Self::Answer, Error>> {
        let Self(store) = self;
        let read = store
            .read(async |conn: &mut AsyncPgConnection| read_all(conn, &ids).await)
            .await;
        match read {
            Ok(Seen { generation, found }) => {
                let rows: HashMap<Uuid, Row> = found.into_iter().map(|row| (row.id, row)).collect();
                let seen = |id| Seen {
                    generation,
                    found: rows.get(id).cloned(),
                };
                ids.iter().map(|id| Ok(seen(id))).collect()
            }
            Err(error) => ids.iter().map(|_| Err(repeated(&error))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use diesel_async::SimpleAsyncConnection;
    use futures_util::future::join_all;

    use super::*;
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
                 VALUES ('{id}', {task}, 1, now(), '{id}', '{{}}', audience_of({task}::smallint, '{{}}'))"
            );
            let insert = async |conn: &mut AsyncPgConnection| Ok(conn.batch_execute(&sql).await?);
            store.read::<_, Error, _>(insert).await.unwrap();
        }
        let reads = Reads::new(store);
        let asked = ids.iter().map(|id| reads.run(ResourceType::Task, *id));
        for (id, (position, seen)) in ids.iter().zip(join_all(asked).await.iter().enumerate()) {
            let row = seen.as_ref().unwrap().found.as_ref();
            assert_eq!(row.map(|row| row.id), (position < 50).then_some(*id));
        }
        let other = reads.run(ResourceType::Binary, ids[0]).await.unwrap();
        assert!(other.found.is_none());
    }
}
