//! What large things cost the mailbox: few Tasks among many, long Bundles, large Binaries, memory.
//!
//! ```text
//! cargo bench --bench bulk                       all, some two minutes
//! cargo bench --bench bulk -- bundles memory     only these
//! TASKS=1000000 BINARY_MIB=1024 REQUESTS=1000000 VERSIONS=1000 cargo bench --bench bulk
//! ```
//! Client, node and database share this machine. The database commits durably. A million Tasks
//! take some 4 GB of disk, a Binary twice its size; everything is removed at the end.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot set its stage fails by panicking"
)]

#[path = "../tests/it/harness/mod.rs"]
mod harness;

mod common;

#[path = "bulk/binary.rs"]
mod binary;
#[path = "bulk/bundles.rs"]
mod bundles;
#[path = "bulk/few.rs"]
mod few;
#[path = "bulk/memory.rs"]
mod memory;

use std::sync::Arc;

use dsf::store::testing::temporary_folder;
use dsf::store::{Cluster, Settings};

use harness::{Launch, World};

/// Where everything happens: a database for each part, so that none finds what another one left.
pub struct Stage {
    cluster: Cluster,
    world: Arc<World>,
}

impl Stage {
    /// The database of a part.
    async fn database(&self, name: &str) -> Settings {
        self.cluster.ensure_database(name).await.unwrap();
        Settings {
            url: Some(self.cluster.url(name)),
            ..Settings::default()
        }
    }

    /// A node on a database that limits nobody.
    fn launch(&self, settings: &Settings) -> Launch {
        Launch::of(&self.world, "local")
            .database(settings)
            .set("database.pool-size=32")
            .set("fhir.max-request-rate=1000000")
            .set("log.level=warn")
    }
}

/// A count that the environment may set.
fn count(name: &str, usual: usize) -> usize {
    let given = std::env::var(name).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[tokio::main]
async fn main() {
    let folder = temporary_folder("bulk");
    let stage = Stage {
        cluster: Cluster::start(&folder, None).await.unwrap(),
        world: Arc::new(World::new()),
    };
    // Cargo adds --bench.
    let named: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|one| one == name);
    if wanted("few") {
        few::run(&stage).await;
    }
    if wanted("bundles") {
        bundles::run(&stage).await;
    }
    if wanted("binary") {
        binary::run(&stage).await;
    }
    if wanted("memory") {
        memory::run(&stage).await;
    }
    stage.cluster.stop().await;
}
