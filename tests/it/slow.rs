//! Clients that take their time, on purpose or not: each costs the node a connection for a while,
//! and nobody else anything.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::harness::memory::resident;
use super::harness::sample::{path, patient, tag, word};
use super::harness::{JSON, Server, raw};

const MIB: usize = 1 << 20;

/// "Slowloris": heads and bodies that come byte by byte, or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_and_bodies_that_trickle_in_are_given_up() {
    let server = Server::start().await;
    let began = Instant::now();
    let mut heads = Vec::new();
    for _ in 0..20 {
        let mut connection = raw::connect(&server, "local", "http/1.1").await;
        connection
            .write_all(b"GET /fhir/metadata HTTP/1.1\r\nhost: l")
            .await
            .unwrap();
        connection.flush().await.unwrap();
        heads.push(connection);
    }
    let mut bodies = Vec::new();
    for kind in [JSON, "application/octet-stream"] {
        let mut connection = raw::connect(&server, "local", "http/1.1").await;
        let target = if kind == JSON {
            "POST /fhir/Patient"
        } else {
            "POST /fhir/Binary"
        };
        let headers = [
            ("accept", JSON),
            ("content-type", kind),
            ("content-length", "100000"),
            (
                "x-security-context",
                "DocumentReference/00000000-0000-4000-8000-000000000000",
            ),
        ];
        raw::send_head(&mut connection, target, &headers).await;
        connection.write_all(b"{\"resourceType\":").await.unwrap();
        connection.flush().await.unwrap();
        bodies.push(connection);
    }
    // Meanwhile others are served.
    let stored = server.local().create(&patient(&word())).await;
    assert_eq!(server.local().get(&path(&stored)).await.status, 200);

    for mut connection in heads {
        let answer = timeout(Duration::from_secs(20), raw::rest(&mut connection)).await;
        let answer = answer.expect("an unfinished head is given up");
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }
    for connection in bodies {
        let (mut reader, mut writer) = tokio::io::split(connection);
        // One byte a second would keep a timer of silence alone waiting for ever.
        let trickle = tokio::spawn(async move {
            while writer.write_all(b" ").await.is_ok() && writer.flush().await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let answer = timeout(Duration::from_secs(60), raw::rest(&mut reader)).await;
        let answer = answer.expect("a body that trickles is given up");
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("did not arrive in time"), "{answer}");
        trickle.abort();
    }
    assert!(began.elapsed() < Duration::from_secs(100));
    assert_eq!(server.local().get("Patient").await.json()["total"], 1);
}

#[tokio::test]
async fn clients_that_stop_reading_hold_little_memory_and_hold_up_nobody() {
    let server = Server::start().await;
    let local = server.local();
    let context = local
        .create(&json!({
            "resourceType": "Group",
            "meta": {"tag": [tag("ALL")]},
            "type": "person",
            "actual": false,
        }))
        .await;
    let context = path(&context);
    let headers = [
        ("content-type", "application/octet-stream"),
        ("x-security-context", context.as_str()),
        ("prefer", "return=minimal"),
    ];
    let stored = local
        .send("POST", "Binary", &headers, vec![5_u8; 32 * MIB])
        .await
        .unwrap();
    let location = stored.header("location").unwrap();
    let target = format!("GET {}", &location[location.find("/fhir").unwrap()..]);
    let download = async || {
        let path = &location[location.find("Binary").unwrap()..];
        let whole = local.get_with(path, &[("accept", "*/*")]).await;
        assert_eq!(whole.body.len(), 32 * MIB);
    };
    // Warm: what any download takes is taken before.
    download().await;

    let before = resident(server.pid());
    let mut stuck = Vec::new();
    for _ in 0..20 {
        let mut connection = raw::connect(&server, "local", "http/1.1").await;
        raw::send_head(&mut connection, &target, &[("accept", "*/*")]).await;
        stuck.push(connection);
    }
    // The node has filled what it may fill when a whole download of another client is through.
    download().await;
    local.create(&patient(&word())).await;
    let grown = resident(server.pid()).saturating_sub(before);
    assert!(
        grown < 20 * 4 * MIB,
        "20 clients that do not read hold {} MiB",
        grown / MIB
    );
    drop(stuck);
}
