//! Looks at the generation of the directory that come together are one statement, see
//! [`crate::store::gather`].

use diesel_async::AsyncPgConnection;

use super::directory;
use crate::store::gather::{Batch, Gather, repeated};
use crate::store::{Error, Store};

/// The queue in front of the directory. Cloning shares it.
#[derive(Clone)]
pub struct Generations(Gather<Row>);

struct Row(Store);

impl Generations {
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(Gather::new(Row(store)))
    }

    /// The generation as of a moment after the call.
    pub async fn newest(&self) -> Result<i64, Error> {
        self.0.run(()).await
    }
}

impl Batch for Row {
    type Job = ();
    type Answer = i64;
    const LANES: usize = 2;
    const CROWD: usize = 64;
    const MOST: usize = 1024;

    async fn run(&self, jobs: Vec<()>) -> Vec<Result<i64, Error>> {
        let Self(store) = self;
        let look = async |conn: &mut AsyncPgConnection| directory::generation(conn).await;
        match store.read(look).await {
            Ok(generation) => jobs.iter().map(|()| Ok(generation)).collect(),
            Err(error) => jobs.iter().map(|()| Err(repeated(&error))).collect(),
        }
    }
}
