//! Bundles (`spec/fhir-api.md` §6): many entries, circles, all or nothing.

use serde_json::{Value, json};
use uuid::Uuid;

use super::harness::sample::{SID, patient, tag, word};
use super::harness::{ORGANIZATION, Server};

fn urn() -> String {
    format!("urn:uuid:{}", Uuid::new_v4())
}

fn post(urn: &str, resource: Value) -> Value {
    let kind = resource["resourceType"].clone();
    json!({"fullUrl": urn, "request": {"method": "POST", "url": kind}, "resource": resource})
}

fn bundle(kind: &str, entries: Vec<Value>) -> Value {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries})
}

/// A Group that everybody may read, with members.
fn group(word: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members
        .iter()
        .map(|member| json!({"entity": {"reference": member}}))
        .collect();
    json!({
        "resourceType": "Group",
        "meta": {"tag": [tag("ALL")]},
        "identifier": [{"system": SID, "value": word}],
        "type": "person",
        "actual": true,
        "member": members,
    })
}

fn statuses(answer: &Value) -> Vec<&str> {
    let entries = answer["entry"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["response"]["status"].as_str().unwrap())
        .collect()
}

/// §6.2, §6.8: one thousand entries are one transaction; if the last one fails, nothing is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_entries_are_stored_together_or_not_at_all() {
    let server = Server::start().await;
    let (local, word) = (server.local(), word());
    let urns: Vec<String> = (0..1000).map(|_| urn()).collect();
    let mut entries: Vec<Value> = urns
        .iter()
        .enumerate()
        .map(|(index, urn)| post(urn, group(&word, &[&urns[(index + 1) % urns.len()]])))
        .collect();
    let count = format!("Group?identifier={SID}|{word}&_count=0");

    entries.push(post(&urn(), group(&word, &["urn:uuid:unknown"])));
    let refused = local
        .post("", &bundle("transaction", entries.clone()))
        .await;
    assert_eq!(refused.status, 403, "{refused}");
    assert!(
        refused.issue().1.contains("at bundle index 1000"),
        "{refused}"
    );
    assert_eq!(local.get(&count).await.json()["total"], 0);

    entries.pop();
    let begun = std::time::Instant::now();
    let answer = local.post("", &bundle("transaction", entries)).await;
    println!("1000 entries: {:?}", begun.elapsed());
    assert_eq!(answer.status, 200, "{answer}");
    let answer = answer.json();
    assert_eq!(statuses(&answer), vec!["201 Created"; 1000]);
    assert_eq!(local.get(&count).await.json()["total"], 1000);
    let last = &answer["entry"][999]["resource"]["member"][0]["entity"]["reference"];
    let first = answer["entry"][0]["response"]["location"].as_str().unwrap();
    assert!(
        first.contains(last.as_str().unwrap()),
        "the circle is closed: {first} {last}"
    );
}

/// §6.4: what a transaction updated and deleted before its fault is as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_transaction_leaves_updates_deletes_and_organisations_as_they_were() {
    let server = Server::start().await;
    let local = server.local();
    let (kept, changed) = (
        local.create(&patient(&word())).await,
        local.create(&patient(&word())).await,
    );
    let id = |resource: &Value| resource["id"].as_str().unwrap().to_owned();
    let url = format!("Patient/{}", id(&changed));
    let full = format!("{}/{url}", server.base_url);
    let mut update = changed.clone();
    update["active"] = json!(false);
    let organization = json!({
        "resourceType": "Organization",
        "meta": {"profile": ["http://dsf.dev/fhir/StructureDefinition/organization-parent"], "tag": [tag("ALL")]},
        "identifier": [{"system": ORGANIZATION, "value": "rolled-back.example"}],
        "active": true,
        "name": "rolled back",
    });
    let answer = local
        .post("", &bundle("transaction", vec![
            json!({"request": {"method": "DELETE", "url": format!("Patient/{}", id(&kept))}}),
            json!({"fullUrl": full, "request": {"method": "PUT", "url": url}, "resource": update}),
            post(&urn(), organization.clone()),
            post(&urn(), group(&word(), &["Patient/00000000-0000-4000-8000-000000000000"])),
        ]))
        .await;
    assert_eq!(answer.status, 403, "{answer}");
    for patient in [&kept, &changed] {
        assert_eq!(
            local.get(&format!("Patient/{}", id(patient))).await.json(),
            *patient
        );
    }
    assert_eq!(
        local.create(&organization).await["meta"]["versionId"],
        "1",
        "no one has its identifier"
    );
}

/// §6.3, §12 row 25: the temporary id of a conditional create means what an earlier entry makes.
#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_an_earlier_entry_fulfils_binds_its_temporary_id_to_that_entry() {
    let server = Server::start().await;
    let (local, word) = (server.local(), word());
    let (first, second) = (urn(), urn());
    let mut again = post(&second, patient(&word));
    again["request"]["ifNoneExist"] = json!(format!("identifier={SID}|{word}"));
    for kind in ["transaction", "batch"] {
        let entries = vec![
            post(&first, patient(&word)),
            again.clone(),
            post(&urn(), group(&word, &[&second])),
        ];
        let entries = if kind == "batch" {
            entries[1..].to_vec()
        } else {
            entries
        };
        let answer = local.post("", &bundle(kind, entries)).await;
        assert_eq!(answer.status, 200, "{kind}: {answer}");
        let answer = answer.json();
        let entries = answer["entry"].as_array().unwrap();
        let [.., existing, group] = entries.as_slice() else {
            panic!("{answer}")
        };
        assert_eq!(existing["response"]["status"], "200 OK", "{kind}");
        assert_eq!(
            group["response"]["status"], "201 Created",
            "{kind}: {group}"
        );
        let member = group["resource"]["member"][0]["entity"]["reference"]
            .as_str()
            .unwrap();
        assert!(
            existing["response"]["location"]
                .as_str()
                .unwrap()
                .contains(member),
            "{kind}"
        );
    }
}

/// Named limits.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_entries_or_parameters_are_refused_with_the_limit() {
    let server = Server::start().await;
    let local = server.local();
    let read = json!({"request": {"method": "GET", "url": "Patient?_count=0"}});
    let answer = local.post("", &bundle("batch", vec![read; 10_001])).await;
    let text = "Bundle has 10001 entries, at most 10000 are allowed: send it in parts";
    assert_eq!((answer.status, answer.issue().1.as_str()), (400, text));
    let query = format!("Patient?{}", vec!["active=true"; 101].join("&"));
    let answer = local.get(&query).await;
    assert_eq!(answer.status, 400, "{answer}");
    assert!(answer.issue().1.contains("at most 100"), "{answer}");
}

/// §12 rows 22, 57: what is in a query is data.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_queries_are_answered() {
    let server = Server::start().await;
    let local = server.local();
    for value in [
        "%27%20OR%20%271%27=%271",
        "%00",
        "%01%02%1b",
        "%7B%7D",
        "%F0%9F%98%80",
        "%FF",
        "a'%3B%20DROP%20TABLE%20resource%3B--",
        "%5C%22",
        "%25%5F",
        "%E2%80%AE",
    ] {
        for name in [
            "name",
            "name:contains",
            "name:exact",
            "identifier",
            "identifier:not",
            "type",
            "endpoint",
            "_id",
            "_lastUpdated",
            "_profile:below",
            "_sort",
            "_include",
            "_count",
            "%27",
            "name%27--",
        ] {
            let answer = local.get(&format!("Organization?{name}={value}")).await;
            assert_eq!(answer.status, 200, "{name}={value}: {answer}");
            let answer = local
                .get(&format!("Organization?{name}={value}&{name}={value}"))
                .await;
            assert_eq!(answer.status, 200, "twice {name}={value}: {answer}");
        }
    }
    assert!(local.get("Organization?_count=0").await.json()["total"].as_u64() > Some(0));
}
