//! Answers Tasks that are `in-progress` on the own server and that no instance here holds.
//!
//! They come from a database that was restored from a backup, or from an engine that is no more.
//! Without this they would stay `in-progress` for ever (spec/bpe.md §11.2 C2, §14 #16).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::server::{Server, Trouble, has_next};
use crate::bpe::runtime::{Error, Runtime, failed_with};
use crate::r4::Resource;
use crate::store::bpe::{history, inbox};

const EVERY: Duration = Duration::from_secs(5 * 60);
const REASON: &str = "No process instance works on this Task any more";
/// Instances whose history is removed in one statement.
const SWEEP: i64 = 100;

/// A failure of one round; the next one tries again.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Server(#[from] Trouble),
    #[error(transparent)]
    Runtime(#[from] Error),
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

/// Works until the shutdown. A Task must be found orphaned in two rounds before it is failed, so
/// that one which is just being claimed is left alone.
pub(super) async fn run(runtime: Runtime, server: Arc<Server>) {
    let mut suspects = HashSet::new();
    let shutdown = runtime.shutdown().clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.begun() => return,
        }
        match round(&runtime, &server, &suspects).await {
            Ok(now) => suspects = now,
            Err(failure) => tracing::warn!("Tasks not compared with instances: {failure}"),
        }
    }
}

async fn round(
    runtime: &Runtime,
    server: &Server,
    suspects: &HashSet<Uuid>,
) -> Result<HashSet<Uuid>, Failure> {
    let days = runtime.settings().history_days;
    while runtime
        .store()
        .read(async |conn| history::sweep(conn, days, SWEEP).await)
        .await?
        > 0
    {}
    let store = runtime.store();
    store
        .read(async |conn| inbox::sweep_heard(conn).await)
        .await?;
    let mut orphans = HashSet::new();
    for page in 1.. {
        let query = format!("Task?status=in-progress&_sort=_id&_page={page}");
        let bundle = server.search(&query).await?;
        let tasks: Vec<Resource> = bundle
            .list("entry")
            .filter_map(|entry| Resource::from_value(entry.get("resource")?.clone()))
            .filter(|resource| resource.type_name() == "Task")
            .collect();
        let ids: Vec<Uuid> = tasks.iter().filter_map(id).collect();
        let unknown = runtime
            .store()
            .read(async |conn| inbox::unknown(conn, &ids).await)
            .await?;
        for mut task in tasks {
            let Some(id) = id(&task).filter(|id| unknown.contains(id)) else {
                continue;
            };
            if suspects.contains(&id) {
                tracing::warn!(task = %id, "Task has no instance; it fails");
                failed_with(&mut task, REASON);
                server.update(&task, "minimal").await?;
            } else {
                orphans.insert(id);
            }
        }
        if ids.is_empty() || !has_next(&bundle) {
            break;
        }
    }
    Ok(orphans)
}

fn id(task: &Resource) -> Option<Uuid> {
    task.id()?.parse().ok()
}
