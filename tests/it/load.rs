//! Many at once. The Java server stalls for ever here: its requests hold one database connection
//! while they wait for a second one (`docs/architecture.md`).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dsf::store::testing::fresh_database;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::NoTls;

use super::harness::sample::{patient, word};
use super::harness::{Client, Launch, Process, World, until};

const CREATES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_parallel_creates_never_stall_on_two_connections() {
    let (world, database) = (Arc::new(World::new()), fresh_database().await);
    let launch = Launch::of(&world, "local")
        .database(&database)
        .set("database.pool-size=2");
    let server = launch.start().await;
    let process = Process::deploy(&server.local()).await;
    let running = Arc::new(AtomicBool::new(true));
    let most = tokio::spawn(most_at_work(database.url.unwrap(), Arc::clone(&running)));

    let mut creates = JoinSet::new();
    for index in 0..CREATES {
        let (name, requester) = match index % 2 {
            0 => ("local", "Test_Organization"),
            _ => ("external", "External_Organization"),
        };
        let (client, task) = (server.client(name), process.task(requester));
        creates.spawn(async move { client.create(&task).await["id"].to_string() });
    }
    let ids = timeout(Duration::from_secs(60), creates.join_all())
        .await
        .expect("no stall");
    assert_eq!(ids.into_iter().collect::<HashSet<_>>().len(), CREATES);
    running.store(false, Ordering::Relaxed);
    assert!(most.await.unwrap() <= 2, "a pool of two is two connections");
    let local: Client = server.local();
    let query = "Task?status=requested&_count=0";
    assert_eq!(local.get(query).await.json()["total"], CREATES);
}

/// A node that is stopped answers what it has begun; what it does not answer it has not done.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_answered_when_the_end_comes() {
    let (world, database) = (Arc::new(World::new()), fresh_database().await);
    let launch = || Launch::of(&world, "local").database(&database);
    let server = launch().start().await;
    let mut senders = JoinSet::new();
    for _ in 0..8 {
        let client = Client::new(&world, Some("local"), &server.base_url);
        senders.spawn(async move {
            let mut answered = 0;
            loop {
                let body = patient(&word()).to_string();
                match client.send("POST", "Patient", &[], body).await {
                    Ok(answer) if answer.status == 201 => answered += 1,
                    Ok(answer) => panic!("{answer}"),
                    Err(_) => return answered,
                }
            }
        });
    }
    let count =
        async |client: Client| client.get("Patient?_count=0").await.json()["total"].as_u64();
    until("the load is on", Duration::from_secs(20), async || {
        count(server.local()).await > Some(50)
    })
    .await;
    assert!(server.stop(), "it ends in order");
    let answered: u64 = senders.join_all().await.into_iter().sum();
    let again = launch().start().await;
    assert_eq!(count(again.local()).await, Some(answered));
}

/// The most connections of the role's pool that were seen within a statement or transaction.
async fn most_at_work(url: String, running: Arc<AtomicBool>) -> i64 {
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND starts_with(application_name, 'dsf-fhir') AND state <> 'idle'";
    let mut most = 0;
    while running.load(Ordering::Relaxed) {
        most = most.max(client.query_one(query, &[]).await.unwrap().get(0));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    most
}
