//! Sockets of many kinds at once (`spec/bpe.md` §1.3 to §1.8).

use std::time::Duration;

use dsf::net::websocket::Event;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::harness::sample::{SID, path, patient, tag, with, word};
use super::harness::socket::subscribe;
use super::harness::{Client, JSON, Listener, Server, XML, until};

/// How many at once, if the system lets a process have so many files.
const MANY: usize = 1000;

async fn subscription(local: &Client, criteria: &str, payload: Option<&str>) -> String {
    let mut channel = json!({"type": "websocket"});
    if let Some(payload) = payload {
        channel["payload"] = json!(payload);
    }
    let resource = json!({
        "resourceType": "Subscription",
        "meta": {"tag": [tag("LOCAL")]},
        "status": "active",
        "reason": "test",
        "criteria": criteria,
        "channel": channel,
    });
    local.create(&resource).await["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// §1.4, §1.5
#[tokio::test]
async fn each_subscription_has_its_payload_and_a_socket_may_have_several() {
    let server = Server::start().await;
    let local = server.local();
    let criteria = format!("Patient?identifier={SID}|{}", word());
    let as_json = subscription(&local, &criteria, Some(JSON)).await;
    let as_xml = subscription(&local, &criteria, Some(XML)).await;
    let ping = subscription(&local, &criteria, None).await;
    let mut all = Listener::open(&local).await.unwrap();
    for id in [&as_json, &as_xml, &ping] {
        all.say(&format!("bind {id}")).await;
        assert_eq!(all.hear().await, Event::Text(format!("bound {id}")));
    }
    let mut other = Listener::bound(&local, &as_json).await;

    let mut sent = patient(criteria.rsplit('|').next().unwrap());
    sent["name"] = json!([{"text": "two\nlines & more"}]);
    let stored = local.create(&sent).await;
    let (mut heard, mut pinged, mut read) = (None, false, None);
    for _ in 0..3 {
        match all.hear().await {
            Event::Text(text) if text.starts_with('{') => heard = Some(text),
            Event::Text(text) if text.starts_with('<') => read = Some(text),
            Event::Text(text) => pinged = text == format!("ping {ping}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(pinged, "a Subscription without payload says that, not what");
    assert_eq!(
        serde_json::from_str::<Value>(&heard.unwrap()).unwrap(),
        stored
    );
    assert_eq!(other.event().await, stored);
    // The XML frame is the resource: sent back, it is an update without any change.
    let headers = [("content-type", XML), ("accept", JSON)];
    let back = local
        .send("PUT", &path(&stored), &headers, read.unwrap())
        .await
        .unwrap();
    assert_eq!(back.json()["name"], stored["name"], "{back}");
}

/// §1.4; the Java server answers a bind right after the 201 with 1003, sometimes.
#[tokio::test]
async fn a_subscription_can_be_bound_at_once_and_only_by_its_exact_id() {
    let server = Server::start().await;
    let local = server.local();
    for _ in 0..10 {
        let id = subscribe(&local, &format!("Patient?identifier={SID}|{}", word())).await;
        Listener::bound(&local, &id).await.close().await;
    }
    let id = subscribe(&local, &format!("Patient?identifier={SID}|{}", word())).await;
    let off = subscribe(&local, &format!("Patient?identifier={SID}|{}", word())).await;
    let resource = local.get(&format!("Subscription/{off}")).await.json();
    local
        .put(&path(&resource), &with(&resource, "status", json!("off")))
        .await;
    for wrong in [
        format!("{id} "),
        format!("{id}/_history/1"),
        id.to_uppercase(),
        off,
    ] {
        let mut socket = Listener::open(&local).await.unwrap();
        socket.say(&format!("BIND {id}")).await;
        socket.say(&format!("bind {wrong}")).await;
        let reason = format!("Subscription with {wrong} not found");
        assert_eq!(
            socket.hear().await,
            Event::Closed {
                code: Some(1003),
                reason
            }
        );
    }
}

/// §1.7: the node forgets what one who does not read has missed; he finds it by a search.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_cut_off_and_catches_up() {
    let server = Server::start().await;
    let local = server.local();
    let word = word();
    let id = subscribe(&local, &format!("Patient?identifier={SID}|{word}")).await;
    let mut slow = Listener::bound(&local, &id).await;
    let mut large = patient(&word);
    // A string has a mebibyte at most.
    large["name"] = json!(vec![json!({"text": "x".repeat(1_000_000)}); 4]);
    let mut written = 0;
    // The queue of a socket and the buffers of two kernels are full at some point.
    while !server.log().contains("Events were interrupted") {
        local.create(&large).await;
        written += 1;
        assert!(written < 40, "a socket that is not read is never given up");
    }
    let heard = slow.drain().await;
    assert!(heard < written, "{heard} of {written}");
    let query = format!("Patient?identifier={SID}|{word}&_sort=_lastUpdated&_count=0");
    assert_eq!(local.get(&query).await.json()["total"], written);
    let mut again = Listener::bound(&local, &id).await;
    let stored = local.create(&patient(&word)).await;
    assert_eq!(again.event().await, stored);
}

/// Bounded by what the system allows a process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sockets_hear_the_same_event() {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let files: usize = files
        .split_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap_or(usize::MAX);
    let many = MANY.min(files.saturating_sub(300));
    let server = Server::start().await;
    let local = server.local();
    let word = word();
    let id = subscribe(&local, &format!("Patient?identifier={SID}|{word}")).await;
    let mut sockets = Vec::new();
    while sockets.len() < many {
        let some = (0..20.min(many - sockets.len())).map(|_| Listener::bound(&local, &id));
        sockets.extend(join_all(some).await);
    }
    let stored = local.create(&patient(&word)).await;
    let heard = join_all(sockets.iter_mut().map(Listener::event)).await;
    assert!(heard.iter().all(|resource| *resource == stored));
    // They go as one, too, and the node goes on.
    drop(sockets);
    let mut socket = Listener::bound(&local, &id).await;
    let stored = local.create(&patient(&word)).await;
    assert_eq!(socket.event().await, stored);
    until(
        "the node has let go of them",
        Duration::from_secs(30),
        async || {
            let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid()))
                .unwrap()
                .count();
            open < 300
        },
    )
    .await;
}
