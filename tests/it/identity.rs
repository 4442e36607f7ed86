//! Who gets in (`spec/auth-config.md` §1, §2).

use std::sync::Arc;

use serde_json::json;

use super::harness::sample::{path, patient, with, word};
use super::harness::{Client, Launch, ORGANIZATION, Process, Server, World};

#[tokio::test]
async fn bad_certificates_fail_the_handshake_and_good_ones_of_nobody_get_403() {
    let server = Server::start().await;
    for (name, reason) in [
        ("expired", "certificate has expired"),
        ("early", "certificate is not yet valid"),
        ("serveronly", "unsuitable certificate purpose"),
        ("rogue", "unable to get local issuer certificate"),
    ] {
        let answer = server.client(name).send("GET", "metadata", &[], "").await;
        assert!(answer.is_err(), "{name} must not get in: {answer:?}");
        assert!(server.log().contains(reason), "{name}: {}", server.log());
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
        let reason = "is in no active Organization and no role rule";
        assert!(server.log().contains(&format!("CN={name} {reason}")));
    }
    for name in ["local", "external", "third", "admin", "practitioner"] {
        assert_eq!(
            server.client(name).get("metadata").await.status,
            200,
            "{name}"
        );
    }
}

/// §1.1: a reverse proxy ends TLS and passes the client's certificate on. Nobody else may.
#[tokio::test]
async fn a_certificate_in_a_header_counts_from_listed_proxies_only() {
    let world = Arc::new(World::new());
    let behind = |proxy: &str| {
        let launch = Launch::of(&world, "local").elsewhere();
        let launch = launch.set("tls.client-certificate=proxy");
        launch.set(format!("fhir.trusted-proxies={proxy}"))
    };
    let listed = behind("127.0.0.1").start().await;
    let unlisted = behind("192.0.2.1").start().await;
    let direct = Launch::of(&world, "local").start().await;
    let status = async |client: Client, header: &str| {
        let answer = client
            .get_with("metadata", &[("x-clientcert", header)])
            .await;
        assert!(answer.status == 200 || answer.body.is_empty(), "{answer}");
        answer.status
    };
    let through = |server: &Server| Client::new(&world, None, &server.base_url);
    let header = |name: &str| {
        let pem = std::fs::read_to_string(world.path(&format!("{name}.crt"))).unwrap();
        pem.trim().replace('\n', " ")
    };
    let good = header("external");
    assert_eq!(status(through(&listed), &good).await, 200);
    assert_eq!(status(through(&unlisted), &good).await, 403);
    let stranger = direct.client("unknown");
    assert_eq!(status(stranger, &good).await, 403, "TLS says who it is");
    for bad in ["expired", "early", "serveronly", "rogue", "unknown"] {
        let answered = status(through(&listed), &header(bad)).await;
        assert_eq!(answered, 403, "{bad}");
    }
    assert_eq!(status(through(&listed), "external").await, 403);
    for reason in ["has expired", "not yet valid", "holds no certificate"] {
        assert!(listed.log().contains(reason), "{reason}: {}", listed.log());
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
