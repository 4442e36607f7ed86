//! Several nodes of one organisation on one database.

use std::sync::Arc;

use dsf::store::testing::fresh_database;
use serde_json::json;

use super::harness::sample::{SID, path, patient, with, word};
use super::harness::socket::subscribe;
use super::harness::{Launch, Listener, ORGANIZATION, World};

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
