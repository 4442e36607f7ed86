//! Several nodes of one organisation on one database.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dsf::store::testing::fresh_database;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::task::JoinSet;

use super::harness::sample::{SID, path, patient, tag, with, word};
use super::harness::socket::subscribe;
use super::harness::{Launch, Listener, ORGANIZATION, Server, World, until};

/// Started at once, on an empty database: one migrates and loads, the other waits.
async fn two_nodes() -> (Server, Server) {
    let (world, database) = (Arc::new(World::new()), fresh_database().await);
    let node = || Launch::of(&world, "local").database(&database);
    tokio::join!(node().start(), node().elsewhere().start())
}

#[tokio::test]
async fn what_is_written_at_one_node_is_pushed_and_obeyed_by_the_other() {
    let (first, second) = two_nodes().await;
    let word = word();
    let subscription = subscribe(&first.local(), &format!("Patient?identifier={SID}|{word}")).await;
    let mut socket = Listener::bound(&second.local(), &subscription).await;
    for _ in 0..5 {
        let stored = first.local().create(&patient(&word)).await;
        assert_eq!(socket.event().await, stored);
    }

    let local = first.local();
    assert_eq!(second.client("external").get("metadata").await.status, 200);
    let query = format!("Organization?identifier={ORGANIZATION}|External_Organization");
    let organization = local.search(&query).await.remove(0);
    local
        .put(
            &path(&organization),
            &with(&organization, "active", json!(false)),
        )
        .await;
    let refused = second
        .client("external")
        .post("Patient", &patient(&word))
        .await;
    assert_eq!(
        refused.status, 403,
        "the other node knows the new allow list: {refused}"
    );
    assert!(first.stop() && second.stop(), "both end in order");
}

/// A Patient's profile that asks for so many identifiers.
fn profile(url: &str, identifiers: u32) -> serde_json::Value {
    json!({
        "resourceType": "StructureDefinition", "meta": {"tag": [tag("ALL")]},
        "url": url, "version": "1.0", "name": "Sworn", "status": "active", "date": "2026-01-01",
        "experimental": false, "fhirVersion": "4.0.1", "kind": "resource", "abstract": false,
        "type": "Patient", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "differential": {"element": [
            {"id": "Patient.identifier", "path": "Patient.identifier", "min": identifiers}
        ]},
    })
}

#[tokio::test]
async fn a_profile_written_at_one_node_is_what_the_other_judges_by() {
    let (first, second) = two_nodes().await;
    let (here, there) = (first.local(), second.local());
    let word = word();
    let url = format!("http://example.org/fhir/StructureDefinition/sworn-{word}");
    let mut claimant = patient(&word);
    claimant["meta"]["profile"] = json!([url]);

    assert_eq!(
        there.post("Patient", &claimant).await.status,
        403,
        "nobody knows the profile"
    );
    let stored = here.create(&profile(&url, 1)).await;
    let accepted = there.post("Patient", &claimant).await;
    assert_eq!(accepted.status, 201, "{accepted}");
    let stricter = with(
        &stored,
        "differential",
        profile(&url, 2)["differential"].clone(),
    );
    assert_eq!(here.put(&path(&stored), &stricter).await.status, 200);
    let refused = there.post("Patient", &claimant).await;
    assert_eq!(
        refused.status, 403,
        "two identifiers are needed now: {refused}"
    );
    assert_eq!(here.delete(&path(&stored)).await.status, 200);
    assert_eq!(
        there.post("Patient", &claimant).await.status,
        403,
        "the profile is gone"
    );
    assert!(first.stop() && second.stop(), "both end in order");
}

#[tokio::test]
async fn codes_that_change_at_one_node_are_what_the_other_judges_by() {
    let (first, second) = two_nodes().await;
    let (here, there) = (first.local(), second.local());
    let word = word();
    let base = format!("http://example.org/fhir/{word}");
    let definition = |kind: &str, content: serde_json::Value| {
        let mut resource = json!({
            "resourceType": kind, "meta": {"tag": [tag("ALL")]}, "url": format!("{base}/{kind}"),
            "version": "1.0", "name": "Colours", "status": "active", "date": "2026-01-01",
            "experimental": false,
        });
        let members = resource.as_object_mut().unwrap();
        members.extend(content.as_object().unwrap().clone());
        resource
    };
    let codes = |codes: &[&str]| {
        let concepts = codes
            .iter()
            .map(|code| json!({"code": code, "display": code}));
        let concepts: Vec<_> = concepts.collect();
        definition(
            "CodeSystem",
            json!({"caseSensitive": true, "content": "complete", "concept": concepts}),
        )
    };
    let set = |codes: &[&str]| {
        let concepts: Vec<_> = codes.iter().map(|code| json!({"code": code})).collect();
        let include = json!([{"system": format!("{base}/CodeSystem"), "concept": concepts}]);
        definition("ValueSet", json!({"compose": {"include": include}}))
    };
    let mut bound = profile(&format!("{base}/profile"), 1);
    bound["differential"]["element"] = json!([{
        "id": "Patient.maritalStatus", "path": "Patient.maritalStatus",
        "binding": {"strength": "required", "valueSet": format!("{base}/ValueSet")},
    }]);
    let stored_codes = here.create(&codes(&["red", "green"])).await;
    let stored_set = here.create(&set(&["red", "green"])).await;
    here.create(&bound).await;
    let mut claimant = patient(&word);
    claimant["meta"]["profile"] = json!([format!("{base}/profile")]);
    let coding = json!({"system": format!("{base}/CodeSystem"), "code": "green"});
    claimant["maritalStatus"] = json!({"coding": [coding]});

    let accepted = there.post("Patient", &claimant).await;
    assert_eq!(accepted.status, 201, "{accepted}");
    let narrower = with(&stored_set, "compose", set(&["red"])["compose"].clone());
    let narrower = here.put(&path(&stored_set), &narrower).await.json();
    let refused = there.post("Patient", &claimant).await;
    assert_eq!(refused.status, 403, "only red is in the set: {refused}");
    let wider = with(
        &narrower,
        "compose",
        set(&["red", "green"])["compose"].clone(),
    );
    assert_eq!(here.put(&path(&stored_set), &wider).await.status, 200);
    let fewer = with(&stored_codes, "concept", codes(&["red"])["concept"].clone());
    assert_eq!(there.post("Patient", &claimant).await.status, 201);
    assert_eq!(here.put(&path(&stored_codes), &fewer).await.status, 200);
    let refused = there.post("Patient", &claimant).await;
    assert_eq!(refused.status, 403, "green is no code any more: {refused}");
    assert!(first.stop() && second.stop(), "both end in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_under_load_loses_nothing_that_it_has_acknowledged() {
    let (world, database) = (Arc::new(World::new()), fresh_database().await);
    let node = || Launch::of(&world, "local").database(&database);
    let doomed = node().start().await;
    let other = node().elsewhere().start().await;
    let word = word();
    let subscription = subscribe(&other.local(), &format!("Patient?identifier={SID}|{word}")).await;
    let mut socket = Listener::bound(&other.local(), &subscription).await;

    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        let (local, sent) = (doomed.local(), serde_json::to_vec(&patient(&word)).unwrap());
        let acknowledged = Arc::clone(&acknowledged);
        writers.spawn(async move {
            let mut ids = Vec::new();
            // Until the node is gone.
            while let Ok(answer) = local.send("POST", "Patient", &[], sent.clone()).await {
                if answer.status != 201 {
                    break;
                }
                ids.push(answer.json()["id"].as_str().unwrap().to_owned());
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            ids
        });
    }
    until("there is load", Duration::from_secs(60), async || {
        acknowledged.load(Ordering::Relaxed) > 100
    })
    .await;
    doomed.signal(Signal::SIGKILL);
    let ids: Vec<String> = writers.join_all().await.into_iter().flatten().collect();
    assert!(ids.len() > 100);

    let mut missing: HashSet<&str> = ids.iter().map(String::as_str).collect();
    while !missing.is_empty() {
        let event = socket.event().await;
        missing.remove(event["id"].as_str().unwrap());
    }
    for id in &ids {
        assert_eq!(
            other.local().get(&format!("Patient/{id}")).await.status,
            200
        );
    }
}
