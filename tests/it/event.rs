//! Subscriptions (`spec/bpe.md` §1).

use dsf::net::websocket::Event;
use serde_json::json;

use super::harness::sample::{SID, path, patient, with, word};
use super::harness::socket::{built_in, subscribe};
use super::harness::{Listener, Process, Server};

/// §1.4, §1.5: the frame is the stored resource itself; order is that of the commits.
#[tokio::test]
async fn a_bound_socket_hears_each_matching_change_once_and_in_order() {
    let server = Server::start().await;
    let local = server.local();
    let word = word();
    let subscription = subscribe(&local, &format!("Patient?identifier={SID}|{word}")).await;
    let mut socket = Listener::bound(&local, &subscription).await;

    let stored = local.create(&patient(&word)).await;
    assert_eq!(socket.event().await, stored);
    local.create(&patient("another")).await;
    local
        .put(&path(&stored), &with(&stored, "active", json!(false)))
        .await;
    let frame = socket.event().await;
    assert_eq!(
        (&frame["meta"]["versionId"], &frame["active"]),
        (&json!("2"), &json!(false))
    );
    local.delete(&path(&stored)).await;
    assert!(socket.is_silent().await, "a deletion is no event");

    let mut made = Vec::new();
    for _ in 0..20 {
        made.push(local.create(&patient(&word)).await);
    }
    for resource in made {
        assert_eq!(socket.event().await, resource);
    }
    socket.close().await;
}

#[tokio::test]
async fn a_task_of_a_partner_reaches_the_own_engine() {
    let server = Server::start().await;
    let (local, external) = (server.local(), server.client("external"));
    let process = Process::deploy(&local).await;
    let mut socket =
        Listener::bound(&local, &built_in(&local, "Task?status=requested").await).await;
    let task = external
        .create(&process.task("External_Organization"))
        .await;
    assert_eq!(socket.event().await, task);
}

/// §1.3, §1.8
#[tokio::test]
async fn sockets_are_for_the_own_organisation_and_for_subscriptions_that_exist() {
    let server = Server::start().await;
    let closed = |code: u16, reason: &str| Event::Closed {
        code: Some(code),
        reason: reason.to_owned(),
    };
    for name in ["external", "practitioner"] {
        let mut socket = Listener::open(&server.client(name)).await.unwrap();
        assert_eq!(socket.hear().await, closed(1008, "Forbidden"), "{name}");
    }
    assert!(Listener::open(&server.client("unknown")).await.is_err());
    let mut socket = Listener::open(&server.local()).await.unwrap();
    socket.say("hello").await;
    socket.say("bind nothing").await;
    assert_eq!(
        socket.hear().await,
        closed(1003, "Subscription with nothing not found")
    );
}

/// §1.7: one who does not read holds up nobody, and is heard of no more than his queue allows.
#[tokio::test]
async fn a_slow_reader_does_not_hold_up_the_others() {
    let server = Server::start().await;
    let local = server.local();
    let word = word();
    let subscription = subscribe(&local, &format!("Patient?identifier={SID}|{word}")).await;
    let slow = Listener::bound(&local, &subscription).await;
    let mut quick = Listener::bound(&local, &subscription).await;
    let mut large = patient(&word);
    large["name"] = json!([{"text": "x".repeat(500_000)}]);
    for _ in 0..12 {
        let stored = local.create(&large).await;
        assert_eq!(quick.event().await["id"], stored["id"]);
    }
    drop(slow);
    let stored = local.create(&patient(&word)).await;
    assert_eq!(quick.event().await, stored);
}
