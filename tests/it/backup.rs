//! `dsf db backup` and `dsf db restore` (docs/adr/0017, docs/operations.md).

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use dsf::store::testing::{fresh_database, temporary_folder};
use dsf::store::{Cluster, Settings};
use serde_json::json;

use super::harness::sample::{SID, path, patient, tag, with, word};
use super::harness::socket::subscribe;
use super::harness::{Launch, Listener, Server, World};

async fn dsf(arguments: &[&str], file: &Path, config: &Path, database: &Settings) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_dsf"));
    command
        .args(["db", arguments[0]])
        .arg(file)
        .args(&arguments[1..]);
    command.args(["--role", "fhir", "--config"]).arg(config);
    let url = database.url.as_deref().unwrap();
    command.args(["--set", &format!("database.url={url}")]);
    command.output().await.unwrap()
}

fn words(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}

fn config(server: &Server) -> std::path::PathBuf {
    server.world.path(&format!("dsf-{}.toml", server.port))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_brings_everything_back_also_on_another_database_server() {
    let (world, database) = (Arc::new(World::new()), fresh_database().await);
    let server = Launch::of(&world, "local")
        .database(&database)
        .start()
        .await;
    let (local, word) = (server.local(), word());
    let first = local.create(&patient(&word)).await;
    local
        .put(&path(&first), &with(&first, "active", json!(false)))
        .await;
    let gone = local.create(&patient(&word)).await;
    local.delete(&path(&gone)).await;
    let group = json!({"resourceType": "Group", "meta": {"tag": [tag("ALL")]}, "type": "person", "actual": false});
    let group = path(&local.create(&group).await);
    let headers = [
        ("content-type", "application/octet-stream"),
        ("x-security-context", group.as_str()),
    ];
    let content: Vec<u8> = (0..3_000_000).map(|at| (at / 7 % 256) as u8).collect();
    let binary = local
        .send("POST", "Binary", &headers, content.clone())
        .await
        .unwrap();
    let binary = path(&binary.json());
    let subscription = subscribe(&local, &format!("Patient?identifier={SID}|{word}")).await;

    // While the node serves.
    let file = world.path("dsf.backup");
    let config = config(&server);
    let made = dsf(&["backup"], &file, &config, &database).await;
    assert!(made.status.success(), "{}", words(&made));
    let again = dsf(&["backup"], &file, &config, &database).await;
    assert!(
        words(&again).contains("exists already"),
        "{}",
        words(&again)
    );
    local.create(&patient(&word)).await;

    let refused = dsf(&["restore", "--replace"], &file, &config, &database).await;
    assert!(
        !refused.status.success() && words(&refused).contains("stop every node"),
        "{}",
        words(&refused)
    );
    assert!(server.stop());
    let refused = dsf(&["restore"], &file, &config, &database).await;
    assert!(
        !refused.status.success() && words(&refused).contains("--replace"),
        "{}",
        words(&refused)
    );
    let broken = world.path("broken.backup");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    let refused = dsf(&["restore", "--replace"], &broken, &config, &database).await;
    assert!(
        !refused.status.success(),
        "half a backup: {}",
        words(&refused)
    );

    let home = temporary_folder("restored");
    let cluster = Cluster::start(&home, None).await.unwrap();
    cluster.ensure_database("dsf").await.unwrap();
    let elsewhere = Settings {
        url: Some(cluster.url("dsf")),
        ..Settings::default()
    };
    for (target, expected) in [(&database, 1), (&elsewhere, 1)] {
        // What failed before has changed nothing.
        if target.url == database.url {
            let server = Launch::of(&world, "local").database(target).start().await;
            let total = server
                .local()
                .get(&format!("Patient?identifier={SID}|{word}"))
                .await
                .json();
            assert_eq!(total["total"], 2);
            assert!(server.stop());
        }
        let restored = dsf(&["restore", "--replace"], &file, &config, target).await;
        assert!(restored.status.success(), "{}", words(&restored));
        let server = Launch::of(&world, "local").database(target).start().await;
        let local = server.local();
        let found = local
            .get(&format!("Patient?identifier={SID}|{word}"))
            .await
            .json();
        assert_eq!(
            found["total"], expected,
            "what came after the backup is gone"
        );
        let old = local
            .get(&format!("{}/_history/1", path(&first)))
            .await
            .json();
        assert_eq!(old, first);
        assert_eq!(local.get(&path(&gone)).await.status, 410);
        let raw = local.get_with(&binary, &[("accept", "*/*")]).await;
        assert_eq!(raw.body, content);
        // Events begin anew, whatever transaction numbers the server is at.
        let mut socket = Listener::bound(&local, &subscription).await;
        let stored = local.create(&patient(&word)).await;
        assert_eq!(socket.event().await, stored);
        assert!(socket.is_silent().await);
        assert!(server.stop());
    }
    cluster.stop().await;
}

#[tokio::test]
async fn status_tells_what_is_applied_beside_a_running_node() {
    let home = temporary_folder("status");
    let world = Arc::new(World::new());
    let database = fresh_database().await;
    let server = Launch::of(&world, "local")
        .database(&database)
        .start()
        .await;
    let file = config(&server);
    let status = async |keys: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_dsf"));
        command
            .args(["db", "status", "--json", "--role", "fhir", "--config"])
            .arg(&file);
        for key in keys {
            command.args(["--set", key]);
        }
        command.output().await.unwrap()
    };
    let url = format!("database.url={}", database.url.as_deref().unwrap());
    let applied = status(&[&url]).await;
    let rows: serde_json::Value = serde_json::from_slice(&applied.stdout).unwrap();
    let rows = rows.as_array().unwrap();
    assert!(
        applied.status.success() && rows.iter().all(|row| row["state"] == "applied"),
        "{rows:?}"
    );

    // A private cluster that another process runs is used through its socket.
    let cluster = Cluster::start(&home, None).await.unwrap();
    cluster.ensure_database("dsf").await.unwrap();
    let pending = status(&[&format!("database.data-dir={}", home.display())]).await;
    assert!(
        !pending.status.success() && words(&pending).contains("pending"),
        "{}",
        words(&pending)
    );
    cluster.stop().await;
}
