//! The statements of the BPE role on a real PostgreSQL.

use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use super::definition::{self, Model};
use super::flush::{self, Flush, JobRow, Left, OutboxRow, Own, Received, SubscriptionRow, TaskRow};
use super::instance::{self, Lease};
use super::{inbox, job, outbox};
use crate::store::{Error, Schema, Store, testing};

const PROCESS: Model<'_> = Model {
    key: "dsfdev_ping",
    version_tag: "1.0",
    plugin: "ping-pong",
    source: "<definitions/>",
    sha256: b"digest",
};

async fn store() -> Store {
    let settings = testing::fresh_database().await;
    Store::open(&settings, Schema::Bpe).await.unwrap()
}

/// Everything of a step that starts an instance by a Task, sends a message and waits.
fn start(definition: Uuid, task: Uuid, epoch: i64) -> Flush {
    Flush {
        instance: task,
        own: Own::Start {
            definition,
            business_key: Some("key".to_owned()),
            caller: None,
        },
        left: Left::Waiting {
            state: "{}".to_owned(),
            alternative_key: None,
            suspended: false,
        },
        lease_seconds: 0.0,
        received: Some(Received {
            task,
            epoch,
            scope: None,
        }),
        sent: None,
        put_subscriptions: vec![SubscriptionRow {
            id: 1,
            kind: "message",
            name: "pong".to_owned(),
            activity: "Wait".to_owned(),
            correlation_key: Some("one".to_owned()),
        }],
        delete_subscriptions: Vec::new(),
        put_jobs: vec![JobRow {
            id: 2,
            kind: "timer",
            activity: "Timer".to_owned(),
            due: jiff::Timestamp::UNIX_EPOCH,
            retries: 3,
            incident: None,
        }],
        delete_jobs: Vec::new(),
        tasks: Vec::new(),
        outbox: vec![message()],
        history: Vec::new(),
        blobs: None,
    }
}

fn message() -> OutboxRow {
    OutboxRow {
        id: Uuid::now_v7(),
        kind: "message",
        frame: Some(7),
        task: None,
        document: "{}".to_owned(),
        address: Some("https://peer.example/fhir".to_owned()),
        call: None,
        patience_seconds: 60.0,
    }
}

/// A Task in the inbox, claimed; its lease epoch.
async fn claimed(conn: &mut AsyncPgConnection, task: Uuid, key: &str) -> inbox::Entry {
    assert!(inbox::receive(conn, task, 1, "{}", key).await.unwrap());
    let taken = inbox::take(conn, 10, 60.0).await.unwrap();
    let entry = taken.into_iter().find(|entry| entry.task == task).unwrap();
    assert!(inbox::claimed(conn, &entry, "{}").await.unwrap());
    entry
}

async fn leased(conn: &mut AsyncPgConnection, id: Uuid) -> instance::Leased {
    match instance::lease(conn, id, 60.0).await.unwrap() {
        Lease::Taken(leased) => *leased,
        other => panic!("{other:?}"),
    }
}

/// A change of a running instance that only ends it.
fn end(leased: &instance::Leased) -> Flush {
    let own = Own::Continue {
        rev: leased.rev,
        epoch: leased.lease_epoch,
    };
    Flush {
        own,
        left: Left::Ended {
            outcome: "completed".to_owned(),
        },
        received: None,
        put_subscriptions: Vec::new(),
        put_jobs: Vec::new(),
        outbox: Vec::new(),
        tasks: vec![TaskRow {
            task: leased.id,
            document: "{}".to_owned(),
            answered: true,
        }],
        ..start(leased.definition, leased.id, 0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_starts_one_instance_however_often_the_step_is_stored() {
    let store = store().await;
    let task = Uuid::now_v7();
    store
        .read(async |conn| {
            let definition = definition::deploy(conn, PROCESS, 1).await?.id;
            let entry = claimed(conn, task, "key").await;
            let flush = start(definition, task, entry.lease_epoch);
            assert!(flush::run(conn, &flush).await?);
            assert!(
                !flush::run(conn, &flush).await?,
                "the Task is delivered already"
            );
            let found = instance::candidates(conn, "dsfdev_ping", "1.0", "key", "pong").await?;
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].correlation_key.as_deref(), Some("one"));
            assert_eq!(inbox::of_instance(conn, task).await?.len(), 1);
            let taken = job::take(conn, 10, 60.0).await?;
            assert_eq!(taken.len(), 1);
            let tasks = taken[0]
                .instance
                .tasks()
                .expect("nobody changed it meanwhile");
            assert_eq!((tasks.len(), tasks[0].task), (1, task));
            assert!(job::take(conn, 10, 60.0).await?.is_empty(), "it is leased");
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_its_lease_changes_nothing() {
    let store = store().await;
    let task = Uuid::now_v7();
    store
        .read(async |conn| {
            let definition = definition::deploy(conn, PROCESS, 1).await?.id;
            let entry = claimed(conn, task, "key").await;
            assert!(flush::run(conn, &start(definition, task, entry.lease_epoch)).await?);
            let first = leased(conn, task).await;
            assert!(matches!(
                instance::lease(conn, task, 60.0).await?,
                Lease::Busy
            ));
            let due = job::take(conn, 10, 60.0).await?;
            assert!(due.is_empty(), "somebody works on it");
            instance::renew(conn, task, first.lease_epoch, -1.0).await?;
            let second = leased(conn, task).await;
            assert!(!flush::run(conn, &end(&first)).await?);
            assert!(!instance::renew(conn, task, first.lease_epoch, 60.0).await?);
            assert!(flush::run(conn, &end(&second)).await?);
            assert!(matches!(
                instance::lease(conn, task, 60.0).await?,
                Lease::Gone
            ));
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_of_a_message_is_taken_in_once() {
    let store = store().await;
    let task = Uuid::now_v7();
    store
        .read(async |conn| {
            let definition = definition::deploy(conn, PROCESS, 1).await?.id;
            let entry = claimed(conn, task, "key").await;
            assert!(flush::run(conn, &start(definition, task, entry.lease_epoch)).await?);
            let sent = outbox::take(conn, 10, 60.0).await?.remove(0);
            let stale = (sent.id, sent.lease_epoch - 1);
            let held = leased(conn, task).await;
            assert!(
                !flush::run(
                    conn,
                    &Flush {
                        sent: Some(stale),
                        ..end(&held)
                    }
                )
                .await?
            );
            let sent = Some((sent.id, sent.lease_epoch));
            assert!(flush::run(conn, &Flush { sent, ..end(&held) }).await?);
            assert!(outbox::take(conn, 10, 60.0).await?.is_empty());
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_one_conversation_are_handled_one_after_the_other() {
    let store = store().await;
    store
        .read(async |conn| {
            let ids: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
            for (id, key) in ids.iter().zip(["a", "a", "b"]) {
                assert!(inbox::receive(conn, *id, 1, "{}", key).await?);
            }
            assert!(
                !inbox::receive(conn, ids[0], 1, "{}", "a").await?,
                "known already"
            );
            let taken = inbox::take(conn, 10, 60.0).await?;
            let tasks: Vec<Uuid> = taken.iter().map(|entry| entry.task).collect();
            assert_eq!(tasks, [ids[0], ids[2]]);
            assert!(inbox::take(conn, 10, 60.0).await?.is_empty());
            // A message that waits for its receiver lets the next one pass.
            inbox::hold(conn, &taken[0], 60.0, 60.0).await?;
            let next = inbox::take(conn, 10, 60.0).await?;
            assert_eq!(next.len(), 1);
            assert_eq!(next[0].task, ids[1]);
            assert_eq!(inbox::wake_held(conn, &["a".to_owned()]).await?, 1);
            assert_eq!(inbox::take(conn, 10, 60.0).await?[0].task, ids[0]);
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
}
