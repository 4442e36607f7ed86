//! Bad input: a clear answer, nothing stored, nobody else disturbed.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use openssl::ssl::{SslConnector, SslFiletype, SslMethod};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::harness::sample::{SID, path, patient, with, word};
use super::harness::{JSON, Launch, Server, World, XML};

/// `spec/fhir-api.md` §2.6, §3.3
#[tokio::test]
async fn broken_bodies_are_refused_with_the_place_of_the_fault() {
    let server = Server::start().await;
    let local = server.local();
    let broken = [
        (
            JSON,
            r#"{"resourceType": "Patient", "active": tru}"#,
            "line 1",
        ),
        (
            JSON,
            r#"{"resourceType": "Patient", "active": "yes"}"#,
            "Patient.active",
        ),
        (
            JSON,
            r#"{"resourceType": "Patient", "active": true"#,
            "line 1",
        ),
        (
            XML,
            "<Patient xmlns=\"http://hl7.org/fhir\">\n<active value=\"true\"></Patient>",
            "line 2",
        ),
    ];
    for (kind, body, place) in broken {
        let answer = local
            .send("POST", "Patient", &[("content-type", kind)], body)
            .await
            .unwrap();
        assert_eq!(answer.status, 403, "{body}: {answer}");
        let told = (
            "structure".to_owned(),
            "Unable to parse resource".to_owned(),
        );
        assert_eq!(answer.issue(), told);
        let detail = answer.json()["issue"][0]["details"]["text"].to_string();
        assert!(detail.contains(place), "{place}: {answer}");
    }
    assert_eq!(local.get("Patient").await.json()["total"], 0);
}

#[tokio::test]
async fn an_oversized_body_is_refused_and_a_streamed_one_is_not_kept() {
    let world = std::sync::Arc::new(World::new());
    let server = Launch::of(&world, "local")
        .set("fhir.max-body-size=100 KiB")
        .start()
        .await;
    let local = server.local();
    let mut large = patient(&word());
    large["name"] = json!([{"text": "x".repeat(200 << 10)}]);
    let answer = local.post("Patient", &large).await;
    assert_eq!(answer.status, 413, "{answer}");
    let (code, text) = answer.issue();
    assert!(code == "too-long" && text.contains("102400"), "{answer}");
    assert_eq!(local.get("Patient").await.json()["total"], 0);
}

#[tokio::test]
async fn wrong_ids_are_told_apart() {
    let server = Server::start().await;
    let local = server.local();
    let stored = local.create(&patient(&word())).await;
    let unknown = "Patient/00000000-0000-4000-8000-000000000000";
    assert_eq!(local.get(unknown).await.status, 404);
    assert_eq!(
        local.get("Patient/no-uuid").await.issue().1,
        "Patient with id (not a UUID) not found"
    );
    let mismatch = local
        .put(&path(&stored), &with(&stored, "id", json!(&unknown[8..])))
        .await;
    assert_eq!(mismatch.status, 400, "{mismatch}");
    let as_create = local
        .put(unknown, &with(&stored, "id", json!(&unknown[8..])))
        .await;
    assert_eq!(
        (as_create.status, as_create.issue().1),
        (405, "Update as create not allowed".into())
    );
    assert_eq!(
        local
            .get(&format!("{}/_history/7", path(&stored)))
            .await
            .status,
        404
    );
    let other = local
        .post("Patient", &json!({"resourceType": "Group"}))
        .await;
    assert!(
        (400..=403).contains(&other.status),
        "a Group is no Patient: {other}"
    );
}

/// Sockets that stop half-way: within TCP, within TLS, within a request.
#[tokio::test]
async fn half_open_connections_are_dropped_and_hold_up_nobody() {
    let server = Server::start().await;
    let local = server.local();
    let mut silent = Vec::new();
    for index in 0..60 {
        let mut socket = TcpStream::connect(("127.0.0.1", server.port))
            .await
            .unwrap();
        if index % 2 == 0 {
            // The beginning of a ClientHello that never ends.
            socket
                .write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])
                .await
                .unwrap();
        }
        silent.push(socket);
    }
    let word = word();
    local.create(&patient(&word)).await;
    assert_eq!(
        local
            .search(&format!("Patient?identifier={SID}|{word}"))
            .await
            .len(),
        1
    );
    let (world, port) = (Arc::clone(&server.world), server.port);
    let half_a_request = tokio::task::spawn_blocking(move || half_a_request(&world, port));
    for mut socket in silent {
        let mut rest = Vec::new();
        let end = timeout(Duration::from_secs(20), socket.read_to_end(&mut rest)).await;
        assert!(end.is_ok(), "the node keeps a connection that says nothing");
    }
    let told = half_a_request.await.unwrap();
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
}

/// Sends the beginning of a request's head, and waits for what the node says to that.
fn half_a_request(world: &World, port: u16) -> String {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_ca_file(world.path("ca.crt")).unwrap();
    let file = |end: &str| world.path(&format!("external.{end}"));
    connector
        .set_certificate_file(file("crt"), SslFiletype::PEM)
        .unwrap();
    connector
        .set_private_key_file(file("key"), SslFiletype::PEM)
        .unwrap();
    let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut stream = connector.build().connect("localhost", stream).unwrap();
    stream
        .write_all(b"GET /fhir/metadata HTTP/1.1\r\nHost: loc")
        .unwrap();
    let mut answer = Vec::new();
    // The node need not say goodbye in TLS.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_configuration_that_cannot_work_names_key_value_and_remedy() {
    let world = World::new();
    let file = world.path("dsf.toml");
    let text = "organization.identifier = \"x\"\nfhir.base-url = \"https://localhost/fhir/\"\n\
                tls.certificate = \"missing.crt\"\nfhir.colour = \"blue\"\n";
    std::fs::write(&file, text).unwrap();
    let program = env!("CARGO_BIN_EXE_dsf");
    let mut command = std::process::Command::new(program);
    let run = command
        .args(["serve", "--role", "fhir", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success());
    for word in [
        "fhir.base-url",
        "slash",
        "missing.crt",
        "colour",
        "client-cas",
        "dsf.toml",
    ] {
        assert!(
            told.contains(word),
            "all problems at once, also {word}:\n{told}"
        );
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_key() {
    let server = Server::start().await;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dsf"));
    let file = server.world.path(&format!("dsf-{}.toml", server.port));
    let database = dsf::store::testing::fresh_database().await.url.unwrap();
    command
        .args(["serve", "--role", "fhir", "--config"])
        .arg(file);
    command.args(["--set", &format!("database.url={database}")]);
    command.args(["--set", "status.listen=127.0.0.1:0"]);
    let run = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(
        !run.status.success()
            && told.contains("fhir.listen")
            && told.contains(&server.port.to_string()),
        "{told}"
    );
}
