//! The statements of the BPE role on a real PostgreSQL.

mod plans;

use std::collections::BTreeSet;

use diesel_async::AsyncPgConnection;
use futures_util::future::join_all;
use uuid::Uuid;

use super::definition::{self, Model};
use super::flush::{
    self, Flush, HistoryRow, JobRow, Left, OutboxRow, Own, Received, SubscriptionRow, TaskRow,
};
use super::instance::{self, Lease};
use super::steps::Steps;
use super::{inbox, job, outbox, snapshot};
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
        pages: None,
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
    let outcome = inbox::claimed(conn, &entry, "{}", None).await.unwrap();
    assert_eq!(outcome, inbox::Claimed::Ours);
    entry
}

async fn leased(conn: &mut AsyncPgConnection, id: Uuid) -> instance::Leased {
    match instance::lease(conn, id, None, 60.0).await.unwrap() {
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
            let found =
                instance::candidates(conn, "dsfdev_ping", "1.0", "key", ("pong", None)).await?;
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].correlation_key.as_deref(), Some("one"));
            for (key, waits) in [("one", true), ("two", false)] {
                let what = ("pong", Some(key));
                let found = instance::candidates(conn, "dsfdev_ping", "1.0", "key", what).await?;
                assert_eq!(found[0].subscription.is_some(), waits);
            }
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
                instance::lease(conn, task, None, 60.0).await?,
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
                instance::lease(conn, task, None, 60.0).await?,
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

/// An instance that begins without a Task and waits for a message and a timer.
fn begin(definition: Uuid, instance: Uuid) -> Flush {
    Flush {
        received: None,
        outbox: Vec::new(),
        ..start(definition, instance, 0)
    }
}

/// Its first step from there: one job for another, a message, a line of history.
fn go_on(definition: Uuid, instance: Uuid) -> Flush {
    let begun = start(definition, instance, 0);
    let job = JobRow {
        id: 3,
        ..begun.put_jobs[0].clone()
    };
    let line = HistoryRow {
        at: jiff::Timestamp::UNIX_EPOCH,
        event: "completed",
        activity: "Timer".to_owned(),
        detail: None,
    };
    Flush {
        own: Own::Continue { rev: 1, epoch: 1 },
        received: None,
        put_subscriptions: Vec::new(),
        put_jobs: vec![job],
        delete_jobs: vec![2],
        history: vec![line],
        ..begun
    }
}

/// Instances of which a step is stored: by its line of history, its job and its message.
async fn gone_on(store: &Store) -> [BTreeSet<Uuid>; 3] {
    store
        .read(async |conn| {
            let lines = snapshot::history(conn).await?;
            let waits = snapshot::waits(conn).await?;
            let waits = waits.iter().filter(|wait| wait.id == 3);
            let sent = outbox::take(conn, 1_000, 60.0).await?;
            let count = (lines.len(), sent.len());
            let found = [
                lines.iter().map(|line| line.instance).collect(),
                waits.map(|wait| wait.instance).collect(),
                sent.iter().filter_map(|entry| entry.instance).collect(),
            ];
            let [lines, _, sent]: &[BTreeSet<Uuid>; 3] = &found;
            assert_eq!((lines.len(), sent.len()), count, "nothing is stored twice");
            Ok::<_, Error>(found)
        })
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_queue_up_are_stored_once_each_and_a_stale_or_a_bad_one_is_refused_alone() {
    let store = store().await;
    let deploy = async |conn: &mut _| definition::deploy(conn, PROCESS, 1).await;
    let definition = store.read(deploy).await.unwrap().id;
    let ids: Vec<Uuid> = (0..100).map(|_| Uuid::now_v7()).collect();
    let steps = Steps::new(store.clone());
    let begun = join_all(ids.iter().map(|id| steps.run(begin(definition, *id)))).await;
    assert!(begun.iter().all(|stored| matches!(stored, Ok(true))));
    let mut all: Vec<Flush> = ids.iter().map(|id| go_on(definition, *id)).collect();
    all[20].own = Own::Continue { rev: 1, epoch: 7 };
    all[40].own = Own::Continue { rev: 2, epoch: 1 };
    // PostgreSQL has no NUL in texts.
    all[60].history[0].activity = "\0".to_owned();
    // The outcome of a message that somebody else has.
    all[80].sent = Some((Uuid::now_v7(), 1));
    all.push(all[99].clone());
    let answers = join_all(all.into_iter().map(|step| steps.run(step))).await;

    let refused = [20, 40, 60, 80];
    for (number, answer) in answers.iter().enumerate().take(99) {
        match number {
            60 => assert!(answer.is_err(), "{answer:?}"),
            _ => assert_eq!(*answer.as_ref().unwrap(), !refused.contains(&number)),
        }
    }
    let once = answers[99..].iter().filter(|it| matches!(it, Ok(true)));
    assert_eq!(once.count(), 1, "the same step twice: {:?}", &answers[99..]);
    let kept = (0..100).filter(|number| !refused.contains(number));
    let kept: BTreeSet<Uuid> = kept.map(|number| ids[number]).collect();
    assert_eq!(gone_on(&store).await, [kept.clone(), kept.clone(), kept]);
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_of_every_kind_share_a_statement_and_are_guarded_one_by_one() {
    let store = store().await;
    store
        .read(async |conn| {
            let definition = definition::deploy(conn, PROCESS, 1).await?.id;
            let ids: Vec<Uuid> = (0..6).map(|_| Uuid::now_v7()).collect();
            for id in &ids[2..] {
                assert!(flush::run(conn, &begin(definition, *id)).await?);
            }
            let task = claimed(conn, ids[0], "key").await;
            let other = claimed(conn, ids[1], "other").await;
            let over = Left::Ended {
                outcome: "completed".to_owned(),
            };
            let all = [
                start(definition, task.task, task.lease_epoch),
                start(definition, other.task, other.lease_epoch - 1),
                go_on(definition, ids[2]),
                Flush {
                    put_jobs: Vec::new(),
                    left: over.clone(),
                    ..go_on(definition, ids[3])
                },
                Flush {
                    left: over.clone(),
                    put_jobs: Vec::new(),
                    own: Own::Continue { rev: 1, epoch: 2 },
                    ..go_on(definition, ids[4])
                },
                Flush {
                    put_subscriptions: Vec::new(),
                    put_jobs: Vec::new(),
                    left: over,
                    ..begin(definition, Uuid::now_v7())
                },
            ];
            let stored = flush::run_together(conn, &all.iter().collect::<Vec<_>>()).await?;
            assert_eq!(stored, [true, false, true, true, false, true]);

            let known = snapshot::instances(conn).await?;
            let runs = known.iter().filter(|it| it.runs).map(|it| it.id);
            let runs: BTreeSet<Uuid> = runs.collect();
            assert_eq!(runs, [0, 2, 4, 5].map(|number| ids[number]).into());
            assert_eq!(
                known.len(),
                6,
                "five that ran, and the one that only passed by"
            );
            assert_eq!(inbox::of_instance(conn, ids[0]).await?.len(), 1);
            assert!(inbox::of_instance(conn, ids[1]).await?.is_empty());
            let sent = outbox::take(conn, 10, 60.0).await?;
            let sent: BTreeSet<Option<Uuid>> = sent.iter().map(|it| it.instance).collect();
            assert_eq!(sent, [0, 2, 3].map(|number| Some(ids[number])).into());
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
}
