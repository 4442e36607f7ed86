//! Who gets in (`spec/auth-config.md` §1, §2).

use serde_json::json;

use super::harness::sample::{path, patient, with, word};
use super::harness::{Client, ORGANIZATION, Process, Server};

#[tokio::test]
async fn bad_certificates_fail_the_handshake_and_good_ones_of_nobody_get_403() {
    let server = Server::start().await;
    for name in ["expired", "serveronly", "rogue"] {
        let answer = server.client(name).send("GET", "metadata", &[], "").await;
        assert!(answer.is_err(), "{name} must not get in: {answer:?}");
    }
    let nobody = Client::new(&server.world, None, &server.base_url);
    assert!(
        nobody.send("GET", "metadata", &[], "").await.is_err(),
        "no certificate, no connection"
    );

    for name in ["unknown", "inactive"] {
        for path in ["metadata", "Patient", "", "ws", "nothing-here"] {
            let answer = server.client(name).get(path).await;
            assert_eq!(
                (answer.status, answer.body.len()),
                (403, 0),
                "{name} at {path}"
            );
        }
    }
    for name in ["local", "external", "third", "admin", "practitioner"] {
        assert_eq!(
            server.client(name).get("metadata").await.status,
            200,
            "{name}"
        );
    }
}

/// Reasons of a refusal are for those at home; others learn that it was refused, no more.
#[tokio::test]
async fn reasons_of_refusals_are_logged_and_told_to_local_identities_only() {
    let server = Server::start().await;
    let process = Process::deploy(&server.local()).await;
    let forged = process.task("Third_Organization");

    let refusal = (
        "forbidden".to_owned(),
        "Operation create forbidden".to_owned(),
    );
    for (name, informed) in [("external", false), ("local", true)] {
        let answer = server.client(name).post("Task", &forged).await;
        assert_eq!(
            (answer.status, answer.issue()),
            (403, refusal.clone()),
            "{name}"
        );
        let detail = answer.json()["issue"][0]["details"]["text"].to_string();
        assert_eq!(detail.contains("requester"), informed, "{name}: {answer}");
    }
    assert!(
        server.log().matches("requester").count() >= 2,
        "both refusals are logged in full"
    );
}

#[tokio::test]
async fn an_organisation_that_is_switched_off_is_out_at_once() {
    let server = Server::start().await;
    let (local, external) = (server.local(), server.client("external"));
    assert_eq!(external.get("metadata").await.status, 200);
    let query = format!("Organization?identifier={ORGANIZATION}|External_Organization");
    let organization = local.search(&query).await.remove(0);

    let off = local
        .put(
            &path(&organization),
            &with(&organization, "active", json!(false)),
        )
        .await;
    assert_eq!(off.status, 200, "{off}");
    assert_eq!(
        external.get("metadata").await.status,
        403,
        "on a connection that was open before"
    );
    let on = local
        .put(
            &path(&organization),
            &with(&organization, "active", json!(true)),
        )
        .await;
    assert_eq!(on.status, 200, "{on}");
    assert_eq!(external.get("metadata").await.status, 200);
}

#[tokio::test]
async fn rights_of_persons_are_those_of_their_rules() {
    let server = Server::start().await;
    let stored = server.local().create(&patient(&word())).await;
    let practitioner = server.client("practitioner");
    assert_eq!(practitioner.get(&path(&stored)).await.status, 200);
    assert_eq!(
        practitioner.delete(&path(&stored)).await.status,
        403,
        "no right to delete"
    );
    let admin = server.client("admin");
    assert_eq!(admin.delete(&path(&stored)).await.status, 200);
    let purged = admin
        .post(
            &format!("{}/$permanent-delete", path(&stored)),
            &json!(null),
        )
        .await;
    assert_eq!(purged.status, 200, "{purged}");
    assert_eq!(
        admin.get(&path(&stored)).await.status,
        404,
        "nothing is left of it"
    );
}
