//! What becomes of a node when its database goes away.

use std::sync::Arc;
use std::time::Duration;

use dsf::store::testing::temporary_folder;
use dsf::store::{Cluster, Settings};

use super::harness::sample::{patient, word};
use super::harness::socket::subscribe;
use super::harness::{Launch, Listener, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_the_answer_is_503_and_with_it_again_everything_goes_on() {
    let home = temporary_folder("outage");
    let cluster = Cluster::start(&home, None).await.unwrap();
    cluster.ensure_database("dsf").await.unwrap();
    let settings = Settings {
        url: Some(cluster.url("dsf")),
        ..Settings::default()
    };
    let server = Launch::of(&Arc::new(World::new()), "local")
        .database(&settings)
        .start()
        .await;
    let local = server.local();
    let stored = local.create(&patient(&word())).await;
    let subscription = subscribe(&local, "Patient?active=true").await;
    let mut socket = Listener::bound(&local, &subscription).await;

    cluster.stop().await;
    let answer = local.post("Patient", &patient(&word())).await;
    assert_eq!(answer.status, 503, "{answer}");
    assert!(
        answer.header("retry-after").is_some(),
        "{:?}",
        answer.headers
    );
    assert_eq!(answer.json()["resourceType"], "OperationOutcome");

    let _cluster = Cluster::start(&home, None).await.unwrap();
    let read = format!("Patient/{}", stored["id"].as_str().unwrap());
    until(
        "the node answers again",
        Duration::from_secs(20),
        async || local.get(&read).await.status == 200,
    )
    .await;
    let later = local.create(&patient(&word())).await;
    assert_eq!(
        socket.event().await,
        later,
        "the socket has outlived the outage"
    );
}
