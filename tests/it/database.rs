//! What becomes of a node when its database goes away.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use dsf::net::pki::{Authority, Profile};
use dsf::store::testing::temporary_folder;
use dsf::store::{Cluster, Settings};

use super::harness::material::skipped;
use super::harness::sample::{patient, word};
use super::harness::socket::subscribe;
use super::harness::{Disk, Launch, Listener, Postgres, World, until};

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

/// Neither a crash nor a lie: what was answered with 201 is there afterwards, the rest is not.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_the_answer_is_503_and_with_space_again_everything_goes_on() {
    let Some(disk) = Disk::mount("100m") else {
        return skipped("this process may not mount a small disk");
    };
    let cluster = Cluster::start(&disk.folder.join("data"), None)
        .await
        .unwrap();
    cluster.ensure_database("dsf").await.unwrap();
    let settings = Settings {
        url: Some(cluster.url("dsf")),
        ..Settings::default()
    };
    let launch = Launch::of(&Arc::new(World::new()), "local").database(&settings);
    let server = launch.start().await;
    let local = server.local();
    let large = || {
        let mut patient = patient(&word());
        let noise: String = (0..2000).map(|_| word()).collect();
        patient["name"] = serde_json::json!([{"text": noise}]);
        patient
    };
    disk.fill();
    let mut stored = 0;
    let refused = loop {
        let answer = local.post("Patient", &large()).await;
        match answer.status {
            201 => stored += 1,
            _ => break answer,
        }
    };
    assert_eq!(refused.status, 503, "{refused}");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.issue().1, "The server is busy, try again");
    assert!(server.log().contains("the database has no space left"));
    assert_eq!(local.get("metadata").await.status, 200, "reading goes on");

    disk.free();
    local.create(&large()).await;
    let count = local.get("Patient?_count=0").await.json()["total"].clone();
    assert_eq!(count, stored + 1);
}

/// `sslmode=verify-full` means what it means to libpq: the right CA and the right name.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_over_tls_must_prove_who_it_is() {
    let world = Arc::new(World::new());
    world.issue("database", &Profile::server(&["localhost"]));
    let other = Authority::new("Other CA").unwrap();
    std::fs::write(world.path("other-ca.crt"), other.certificate()).unwrap();
    let postgres = Postgres::start(&world, "database").await;
    let at = |host: &str, mode: &str, ca: &str| {
        let file = world.path(ca);
        let ca = match ca {
            "" => String::new(),
            _ => format!("&sslrootcert={}", file.display()),
        };
        let port = postgres.port;
        Some(format!(
            "postgresql://dsf@{host}:{port}/postgres?sslmode={mode}{ca}"
        ))
    };
    let settings = |url| Settings {
        url,
        ..Settings::default()
    };
    let proven = settings(at("localhost", "verify-full", "ca.crt"));
    let launch = Launch::of(&world, "local").database(&proven);
    let server = launch.start().await;
    server.local().create(&patient(&word())).await;

    let file = world.path(&format!("dsf-{}.toml", server.port));
    for (host, mode, ca, remedy) in [
        ("127.0.0.1", "verify-full", "ca.crt", "another host name"),
        ("localhost", "verify-full", "other-ca.crt", "sslrootcert="),
        ("localhost", "verify-full", "", "sslrootcert="),
        ("localhost", "verify-ca", "other-ca.crt", "sslrootcert="),
        ("localhost", "verify-full", "missing.crt", "missing.crt"),
        ("localhost", "disable", "", "no encryption"),
        ("localhost", "verified", "", "verify-full"),
    ] {
        let url = at(host, mode, ca).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dsf"));
        command.args(["db", "status", "--config"]).arg(&file);
        command.args(["--set", &format!("database.url={url}")]);
        let run = command.output().unwrap();
        let told = String::from_utf8_lossy(&run.stderr);
        assert!(
            !run.status.success() && told.contains(remedy),
            "{url}: {told}"
        );
    }
    for url in [
        at("127.0.0.1", "verify-ca", "ca.crt"),
        at("127.0.0.1", "require", ""),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dsf"));
        command
            .args(["db", "status", "--role", "fhir", "--config"])
            .arg(&file);
        command.args(["--set", &format!("database.url={}", url.unwrap())]);
        assert!(command.status().unwrap().success());
    }
}
