//! `dsf auth`: who is this certificate, who may what.

use std::process::Command;
use std::sync::Arc;

use dsf::store::testing::fresh_database;
use serde_json::Value;

use super::harness::{Launch, World};

#[tokio::test]
async fn a_certificate_is_explained_and_the_matrix_is_that_of_the_running_node() {
    let (world, database) = (Arc::new(World::new()), fresh_database().await);
    let server = Launch::of(&world, "local")
        .database(&database)
        .start()
        .await;
    let config = world.path(&format!("dsf-{}.toml", server.port));
    let dsf = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_dsf"))
            .arg("auth")
            .args(arguments)
            .arg("--config")
            .arg(&config)
            .arg("--set")
            .arg(format!("database.url={}", database.url.as_deref().unwrap()))
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let explain = |name: &str| {
        let file = world.path(&format!("{name}.crt"));
        let (known, printed, told) =
            dsf(&["explain", "--json", "--certificate", file.to_str().unwrap()]);
        let found: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{told}"));
        (known, found)
    };
    let (known, partner) = explain("external");
    assert!(known, "{partner}");
    assert_eq!(partner["identity"]["kind"], "a partner");
    assert_eq!(partner["identity"]["name"], "External_Organization");
    assert_eq!(
        partner["identity"]["memberships"][0],
        "DIC of Parent_Organization"
    );
    assert!(
        partner["why"][0]
            .as_str()
            .unwrap()
            .contains("lists its thumbprint"),
        "{partner}"
    );
    let (known, person) = explain("admin");
    assert!(
        known && person["identity"]["kind"] == "a person, administrator",
        "{person}"
    );
    assert!(
        person["why"][0].as_str().unwrap().contains("role rule"),
        "{person}"
    );
    for (name, reason, handshake) in [
        ("unknown", "unknown-certificate", "accepted"),
        ("inactive", "unknown-certificate", "accepted"),
        ("expired", "certificate-expired", "certificate has expired"),
        (
            "serveronly",
            "certificate-not-for-clients",
            "unsuitable certificate purpose",
        ),
    ] {
        let (known, nobody) = explain(name);
        assert!(!known, "{name}: {nobody}");
        assert_eq!(
            (&nobody["reason"], &nobody["handshake"]),
            (&reason.into(), &handshake.into()),
            "{name}"
        );
    }
    let (ended_well, table, told) = dsf(&["matrix"]);
    assert!(ended_well, "{told}");
    for who in [
        "Test_Organization",
        "External_Organization",
        "Third_Organization",
        "role[0]",
    ] {
        assert!(table.contains(who), "{who}: {table}");
    }
    assert!(!table.contains("Inactive_Organization"), "{table}");
    let (_, rows, _) = dsf(&["matrix", "--json", "--who", "External_Organization"]);
    let rows: Vec<Value> = serde_json::from_str(&rows).unwrap();
    let of = |kind: &str| rows.iter().find(|row| row["type"] == kind).unwrap()["may"].clone();
    assert_eq!(
        (rows.len(), &of("Task")["CREATE"]),
        (26, &"own-name".into())
    );
    assert_eq!(
        (&of("Group")["CREATE"], &of("Group")["READ"]),
        (&"-".into(), &"tagged".into())
    );
    assert!(!dsf(&["matrix", "--who", "Nobody"]).0);
}
