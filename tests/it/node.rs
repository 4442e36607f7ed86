//! Several nodes of one organisation on one database.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dsf::store::testing::fresh_database;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::task::JoinSet;

use super::harness::sample::{SID, path, patient, with, word};
use super::harness::socket::subscribe;
use super::harness::{Launch, Listener, ORGANIZATION, World, until};

#[tokio::test]
async fn what_is_written_at_one_node_is_pushed_and_obeyed_by_the_other() {
    let (world, database) = (Arc::new(World::new()), fresh_database().await);
    let node = || Launch::of(&world, "local").database(&database);
    // At once, on an empty database: one migrates and loads, the other waits.
    let (first, second) = tokio::join!(node().start(), node().elsewhere().start());

    let word = word();
    let subscription = subscribe(&first.local(), &format!("Patient?identifier={SID}|{word}")).await;
    let mut socket = Listener::bound(&second.local(), &subscription).await;
    for _ in 0..5 {
        let stored = first.local().create(&patient(&word)).await;
        assert_eq!(socket.event().await, stored);
    }

    let local = first.local();
    assert_eq!(second.client("external").get("metadata").await.status, 200);
    let query = format!("Organization?identifier={ORGANIZATION}|External_Organization");
    let organization = local.search(&query).await.remove(0);
    local
        .put(
            &path(&organization),
            &with(&organization, "active", json!(false)),
        )
        .await;
    let refused = second
        .client("external")
        .post("Patient", &patient(&word))
        .await;
    assert_eq!(
        refused.status, 403,
        "the other node knows the new allow list: {refused}"
    );
    assert!(first.stop() && second.stop(), "both end in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_under_load_loses_nothing_that_it_has_acknowledged() {
    let (world, database) = (Arc::new(World::new()), fresh_database().await);
    let node = || Launch::of(&world, "local").database(&database);
    let doomed = node().start().await;
    let other = node().elsewhere().start().await;
    let word = word();
    let subscription = subscribe(&other.local(), &format!("Patient?identifier={SID}|{word}")).await;
    let mut socket = Listener::bound(&other.local(), &subscription).await;

    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        let (local, sent) = (doomed.local(), serde_json::to_vec(&patient(&word)).unwrap());
        let acknowledged = Arc::clone(&acknowledged);
        writers.spawn(async move {
            let mut ids = Vec::new();
            // Until the node is gone.
            while let Ok(answer) = local.send("POST", "Patient", &[], sent.clone()).await {
                if answer.status != 201 {
                    break;
                }
                ids.push(answer.json()["id"].as_str().unwrap().to_owned());
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            ids
        });
    }
    until("there is load", Duration::from_secs(60), async || {
        acknowledged.load(Ordering::Relaxed) > 100
    })
    .await;
    doomed.signal(Signal::SIGKILL);
    let ids: Vec<String> = writers.join_all().await.into_iter().flatten().collect();
    assert!(ids.len() > 100);

    let mut missing: HashSet<&str> = ids.iter().map(String::as_str).collect();
    while !missing.is_empty() {
        let event = socket.event().await;
        missing.remove(event["id"].as_str().unwrap());
    }
    for id in &ids {
        assert_eq!(
            other.local().get(&format!("Patient/{id}")).await.status,
            200
        );
    }
}
