//! A private cluster for the tests of one process, and an empty database for each test.
//!
//! The cluster lives in a temporary folder and dies with the process, however that ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::OnceCell;

use super::{Cluster, Settings};

/// The cluster of this process. Not a static of the product: nothing but tests comes here.
static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static DATABASES: AtomicUsize = AtomicUsize::new(0);

/// An empty database of its own.
///
/// # Panics
/// If PostgreSQL is not installed: a test without it proves nothing.
#[expect(clippy::expect_used, reason = "a test harness fails by panicking")]
pub async fn fresh_database() -> Settings {
    let cluster = CLUSTER.get_or_init(start).await;
    let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    cluster
        .ensure_database(&name)
        .await
        .expect("the test cluster makes databases");
    Settings {
        url: Some(cluster.url(&name)),
        ..Settings::default()
    }
}

/// A folder that is removed when this process ends.
#[must_use]
pub fn temporary_folder(purpose: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("dsf-{purpose}-{}", std::process::id()));
    remove_with_us(&folder);
    folder
}

#[expect(clippy::expect_used, reason = "a test harness fails by panicking")]
async fn start() -> Cluster {
    let home = temporary_folder("test");
    Cluster::start_as(&home, None, false)
        .await
        .expect("PostgreSQL starts for the tests")
}

/// A shell that outlives us waits for the end of our side of its input, then cleans up.
#[expect(clippy::zombie_processes, reason = "it outlives us on purpose")]
#[expect(clippy::expect_used, reason = "a test harness fails by panicking")]
fn remove_with_us(folder: &Path) {
    let script = "trap '' INT TERM HUP; cat >/dev/null; i=0; \
                  while [ -e \"$1/cluster/postmaster.pid\" ] && [ $i -lt 100 ]; \
                  do sleep 0.1; i=$((i+1)); done; rm -rf \"$1\"";
    let mut shell = Command::new("/bin/sh")
        .args(["-c", script, "dsf-test-clean"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    // Open until the process ends.
    std::mem::forget(shell.stdin.take());
}
