//! What a Bundle costs the database.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Preference, execute};
use crate::auth::Roles;
use crate::fhir::search::Handling;
use crate::fhir::service::{Peer, Service};
use crate::fhir::settings::{Settings, Validation};
use crate::kernel::Clock;
use crate::net::http::{self, Client};
use crate::r4::Resource;
use crate::store::testing::fresh_database;
use crate::store::{Schema, Store};

const BASE: &str = "https://mailbox.example/fhir";
const PROFILES: &str = "http://dsf.dev/fhir/StructureDefinition";
const ORGANIZATION: &str = "http://dsf.dev/sid/organization-identifier";
const ENDPOINT: &str = "http://dsf.dev/sid/endpoint-identifier";
const PARENT: &str = "parent.example";

async fn service() -> Arc<Service> {
    let store = Store::open(&fresh_database().await, Schema::Fhir)
        .await
        .unwrap();
    let client = Client::new(&http::Settings::default()).unwrap();
    let settings = Settings {
        validation: Validation::Off,
        ..Settings::within(BASE.to_owned(), "own.example".to_owned())
    };
    let roles = Roles::default();
    let service = Service::open(settings, roles, store, client, Clock::system()).await;
    Arc::new(service.unwrap())
}

/// The answers to a transaction of these entries, all of which succeed.
async fn answers(service: &Arc<Service>, entries: Vec<Value>) -> Vec<Value> {
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    let bundle = Resource::from_value(bundle).unwrap();
    let (preference, handling) = (Preference::Minimal, Handling::Strict);
    let answer = execute(service, &Peer::Loader, &bundle, preference, handling).await;
    answer.unwrap().list("entry").cloned().collect()
}

/// Statements that a transaction of these entries takes.
async fn statements(service: &Arc<Service>, entries: Vec<Value>) -> usize {
    let count = entries.len();
    let counted = || service.store().statements.load(Ordering::Relaxed);
    let before = counted();
    assert_eq!(answers(service, entries).await.len(), count);
    counted() - before
}

fn urn() -> String {
    format!("urn:uuid:{}", Uuid::new_v4())
}

fn meta(profile: Option<&str>) -> Value {
    let profile: Vec<String> = profile
        .map(|p| format!("{PROFILES}/{p}"))
        .into_iter()
        .collect();
    let tag = json!({"system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": "ALL"});
    json!({"profile": profile, "tag": [tag]})
}

fn put(urn: &str, resource: Value, condition: &str) -> Value {
    let kind = resource["resourceType"].as_str().unwrap();
    let url = format!("{kind}?{condition}");
    json!({"fullUrl": urn, "request": {"method": "PUT", "url": url}, "resource": resource})
}

/// Conditional creates of a Patient each, every second refers to the one before it.
fn patients(count: usize) -> Vec<Value> {
    let urns: Vec<String> = (0..count).map(|_| urn()).collect();
    let entry = |(index, urn): (usize, &String)| {
        let identifier = json!({"system": "urn:test", "value": urn});
        let mut patient = json!({"resourceType": "Patient", "meta": meta(None),
            "identifier": [identifier], "active": true});
        if index % 2 == 1 {
            let other = json!({"reference": urns[index - 1]});
            patient["link"] = json!([{"other": other, "type": "seealso"}]);
        }
        json!({"fullUrl": urn, "resource": patient, "request": {"method": "POST",
            "url": "Patient", "ifNoneExist": format!("identifier=urn:test|{urn}")}})
    };
    urns.iter().enumerate().map(entry).collect()
}

/// Organisation, endpoint and affiliation of so many members, as conditional updates.
fn allow_list(members: usize, thumbprint: usize) -> Vec<Value> {
    let parent = urn();
    let resource = json!({"resourceType": "Organization", "meta": meta(Some("organization-parent")),
        "identifier": [{"system": ORGANIZATION, "value": PARENT}], "active": true});
    let condition = format!("identifier={ORGANIZATION}|{PARENT}");
    let mut entries = vec![put(&parent, resource, &condition)];
    for number in 0..members {
        entries.extend(member(&parent, number, thumbprint + number));
    }
    entries
}

fn member(parent: &str, number: usize, thumbprint: usize) -> [Value; 3] {
    let (own, endpoint, name) = (urn(), urn(), format!("member-{number}.example"));
    let organization = json!({"resourceType": "Organization", "meta": meta(Some("organization")),
        "extension": [{"url": format!("{PROFILES}/extension-certificate-thumbprint"),
            "valueString": format!("{thumbprint:0128x}")}],
        "identifier": [{"system": ORGANIZATION, "value": name}], "active": true,
        "endpoint": [{"reference": endpoint, "type": "Endpoint"}]});
    let address = format!("https://{}/fhir", name.replace('.', "-"));
    let way = json!({"resourceType": "Endpoint", "meta": meta(Some("endpoint")),
        "identifier": [{"system": ENDPOINT, "value": name}], "status": "active",
        "managingOrganization": {"reference": own, "type": "Organization"}, "address": address});
    let role = json!({"system": "http://dsf.dev/fhir/CodeSystem/organization-role", "code": "DIC"});
    let affiliation = json!({"resourceType": "OrganizationAffiliation",
        "meta": meta(Some("organization-affiliation")), "active": true,
        "organization": {"reference": parent, "type": "Organization"},
        "participatingOrganization": {"reference": own, "type": "Organization"},
        "code": [{"coding": [role]}], "endpoint": [{"reference": endpoint, "type": "Endpoint"}]});
    let condition = format!(
        "primary-organization:identifier={ORGANIZATION}|{PARENT}&\
         participating-organization:identifier={ORGANIZATION}|{name}"
    );
    [
        put(
            &own,
            organization,
            &format!("identifier={ORGANIZATION}|{name}"),
        ),
        put(&endpoint, way, &format!("identifier={ENDPOINT}|{name}")),
        put(&urn(), affiliation, &condition),
    ]
}

type Kind = (&'static str, fn(usize) -> Vec<Value>);

/// In this order: each goes on from what the ones before have stored.
const KINDS: [Kind; 4] = [
    ("new patients", patients),
    ("a new allow list", |count| allow_list(count / 3, 1)),
    ("the same", |count| allow_list(count / 3, 1)),
    ("with other certificates", |count| {
        allow_list(count / 3, 1_000_000)
    }),
];

/// fhir-api §6: a long Bundle is few statements, and each further entry is hardly one more.
#[tokio::test(flavor = "multi_thread")]
async fn further_entries_of_a_transaction_take_hardly_further_statements() {
    const FEW: usize = 50;
    const MANY: usize = 500;
    let service = service().await;
    let mut counts = Vec::new();
    for (what, build) in KINDS {
        let few = statements(&service, build(FEW)).await;
        let many = statements(&service, build(MANY)).await;
        counts.push(format!("{what}: {few} for {FEW}, {many} for {MANY}"));
        let further = many.saturating_sub(few);
        assert!(few <= FEW / 2, "{counts:?}");
        assert!(further <= (MANY - FEW) / 20, "{counts:?}");
    }
    println!("{counts:?}");
    let answers = answers(&service, allow_list(MANY / 3, 2_000_000)).await;
    let version = |member: usize| answers[1 + 3 * member]["response"]["etag"].clone();
    // In all seven, or only in the long ones.
    assert_eq!(
        (version(3), version(100)),
        (json!("W/\"7\""), json!("W/\"4\""))
    );
}

/// §6.2, §6.3, §6.5: an entry finds what those before it have left, also where nothing of it is in
/// the database yet.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_finds_what_those_before_it_have_left() {
    let service = service().await;
    let mut old = patients(3);
    answers(&service, old.clone()).await;
    // The second is deleted and made anew, the first exists still, the third was never there.
    let (again, deleted) = (patients(1), old.remove(1));
    let condition = deleted["request"]["ifNoneExist"].as_str().unwrap();
    let mut entries = vec![
        old.remove(0),
        json!({"request": {"method": "DELETE", "url": format!("Patient?{condition}")}}),
        deleted.clone(),
        again[0].clone(),
        again[0].clone(),
    ];
    entries[4]["fullUrl"] = json!(urn());
    let answers = answers(&service, entries).await;
    let status = |answer: &Value| answer["response"]["status"].as_str().unwrap().to_owned();
    let statuses: Vec<String> = answers.iter().map(status).collect();
    let expected = ["200 OK", "200 OK", "201 Created", "201 Created", "200 OK"];
    assert_eq!(statuses, expected);
    let location = |index: usize| answers[index]["response"]["location"].clone();
    assert_eq!(location(3), location(4));
}
