//! The audit trail of a node, as its operator sees it (docs/security.md, ADR 21).

use std::process::Command;
use std::sync::Arc;

use dsf::store::testing::fresh_database;
use serde_json::{Value, json};

use super::harness::sample::{path, patient, with, word};
use super::harness::{Launch, Process, World};

/// Runs `dsf audit …` on a database; whether it ended with 0, and what it printed.
fn audit(url: &str, arguments: &[&str]) -> (bool, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_dsf"))
        .arg("audit")
        .args(arguments)
        .args([
            "--json",
            "--set",
            "organization.identifier=Test_Organization",
        ])
        .arg("--set")
        .arg(format!("database.url={url}"))
        .output()
        .unwrap();
    let printed = serde_json::from_slice(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (
        output.status.success(),
        printed.unwrap_or_else(|error| panic!("{error}: {told}")),
    )
}

#[tokio::test]
async fn writes_refusals_and_reads_of_others_are_recorded_and_last_beyond_the_end() {
    let (world, database) = (Arc::new(World::new()), fresh_database().await);
    let url = database.url.clone().unwrap();
    let server = Launch::of(&world, "local")
        .database(&database)
        .start()
        .await;
    let (local, external, practitioner) = (
        server.local(),
        server.client("external"),
        server.client("practitioner"),
    );
    let process = Process::deploy(&local).await;
    let task = external
        .create(&process.task("External_Organization"))
        .await;
    let person = local.create(&patient(&word())).await;
    let changed = local
        .put(&path(&person), &with(&person, "active", json!(false)))
        .await;
    assert_eq!(changed.status, 200, "{changed}");
    assert_eq!(practitioner.get(&path(&person)).await.status, 200);
    assert_eq!(practitioner.search("Patient").await.len(), 1);
    assert_eq!(local.get(&path(&person)).await.status, 200);
    assert_eq!(
        external.get("Organization").await.status,
        200,
        "no personal data"
    );
    let refused = external
        .post("Task", &process.task("Third_Organization"))
        .await;
    assert_eq!(refused.status, 403, "{refused}");
    let request = refused.header("x-request-id").unwrap().to_owned();
    assert_eq!(server.client("unknown").get("Task").await.status, 403);
    let entry = json!({"request": {"method": "DELETE", "url": path(&person)}});
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry]});
    assert_eq!(practitioner.post("", &batch).await.status, 200);
    assert!(server.stop());

    let shown = |arguments: &[&str]| {
        let records = audit(&url, &[&["show"], arguments].concat()).1;
        records.as_array().unwrap().clone()
    };
    let version = |resource: &Value, number: u32| format!("{}/_history/{number}", path(resource));
    let of_task = shown(&["--on", &path(&task)]);
    assert_eq!(of_task.len(), 1, "{of_task:?}");
    assert_eq!(of_task[0]["who"], "External_Organization");
    assert_eq!(of_task[0]["did"], "create");
    assert_eq!(of_task[0]["reason"], "process-allows");
    let of_person: Vec<(String, String, String)> = shown(&["--on", &path(&person)])
        .iter()
        .map(|record| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let person = text(&record["who"]).contains('/');
            let who = if person {
                "a person"
            } else {
                "the organisation"
            };
            (
                who.to_owned(),
                text(&record["did"]),
                text(&record["resources"][0]),
            )
        })
        .collect();
    let line = |who: &str, did: &str, on: String| (who.to_owned(), did.to_owned(), on);
    assert_eq!(
        of_person,
        [
            line("the organisation", "create", version(&person, 1)),
            line("the organisation", "update", version(&person, 2)),
            line("a person", "read", version(&person, 2)),
            line("a person", "search", version(&person, 2)),
            line("a person", "refuse", path(&person)),
        ]
    );
    let forged = shown(&["--request", &request]);
    assert_eq!(forged.len(), 1, "{forged:?}");
    assert_eq!(forged[0]["reason"], "bad-requester");
    assert_eq!(forged[0]["asked"], "POST /fhir/Task");
    assert_eq!(forged[0]["address"], "127.0.0.1");
    let stranger = shown(&["--reason", "unknown-certificate"]);
    assert_eq!(stranger.len(), 1, "{stranger:?}");
    assert!(
        stranger[0]["who"].is_null() && stranger[0]["detail"] == "CN=unknown",
        "{stranger:?}"
    );
    assert_eq!(shown(&["--did", "end"]).len(), 1, "the last word is stored");
    assert!(shown(&["--who", "External_Organization", "--did", "search"]).is_empty());

    let (whole, report) = audit(&url, &["verify"]);
    assert!(whole, "{report}");
    assert_eq!(report["problems"], json!([]));
}
