//! §4.4: what single types ask of a new resource, what is there once only, what an update keeps.

use serde_json::{Value, json};

use super::world::*;
use crate::fhir::authorize::Reason;

fn process_authorization() -> Value {
    let code =
        json!({"system": format!("{DSF}/CodeSystem/process-authorization"), "code": "LOCAL_ALL"});
    json!([{"url": format!("{DSF}/StructureDefinition/extension-process-authorization"), "extension": [
        {"url": "message-name", "valueString": "start"}, {"url": "task-profile", "valueCanonical": "p|1.0"},
        {"url": "requester", "valueCoding": code}, {"url": "recipient", "valueCoding": code}]}])
}

fn thumbprints(values: &[&str]) -> Value {
    let url = format!("{DSF}/StructureDefinition/extension-certificate-thumbprint");
    values
        .iter()
        .map(|value| json!({"url": url, "valueString": value}))
        .collect()
}

fn identifiers(system: &str, values: &[&str]) -> Value {
    values
        .iter()
        .map(|value| json!({"system": system, "value": value}))
        .collect()
}

const ENDPOINT: &str = "http://dsf.dev/sid/endpoint-identifier";

/// A good resource of a type.
pub(super) fn good(kind: &str) -> Value {
    let canonical = json!({"url": "http://example.org/it", "version": "1.0", "status": "active"});
    let reference = |to: &str| json!({"reference": to});
    let more = match kind {
        "ActivityDefinition" => put(&canonical, "extension", process_authorization()),
        "StructureDefinition" => put(
            &canonical,
            "baseDefinition",
            json!("http://example.org/base"),
        ),
        "CodeSystem" | "ValueSet" | "Questionnaire" => canonical,
        "Endpoint" => {
            json!({"identifier": identifiers(ENDPOINT, &["e"]), "address": "https://e.example.org/fhir"})
        }
        "NamingSystem" => {
            json!({"name": "n", "status": "active", "uniqueId": [{"type": "uri", "value": "u"}, {"type": "other", "value": "o"}]})
        }
        "Organization" => {
            json!({"identifier": identifiers(ORGANIZATION, &["o"]), "extension": thumbprints(&[&"ab".repeat(64)])})
        }
        "OrganizationAffiliation" => json!({
            "organization": reference("Organization/p"), "participatingOrganization": reference("Organization/m"),
            "endpoint": [reference("Endpoint/e")], "code": [{"coding": [{"system": ROLES, "code": "DIC"}]}]}),
        "PractitionerRole" => {
            json!({"organization": reference("Organization/o"), "practitioner": reference("Practitioner/p")})
        }
        "Subscription" => {
            json!({"criteria": "Task?status=requested", "channel": {"type": "websocket", "payload": "application/fhir+json"}})
        }
        _ => json!({}),
    };
    open(kind, more)
}

const KINDS: [&str; 12] = [
    "ActivityDefinition",
    "CodeSystem",
    "Endpoint",
    "NamingSystem",
    "Organization",
    "OrganizationAffiliation",
    "PractitionerRole",
    "StructureDefinition",
    "Subscription",
    "ValueSet",
    "Questionnaire",
    "Group",
];

#[test]
fn a_good_resource_of_every_type_may_come_and_be_stored_again() {
    for kind in KINDS {
        let good = good(kind);
        assert_eq!(
            World::new().create(&us(), &good),
            Ok(Reason::HasRight),
            "{kind}"
        );
        assert_eq!(
            World::with(good.clone()).update(&us(), &good, &good),
            Ok(Reason::HasRight),
            "{kind}"
        );
    }
}

#[test]
fn what_a_type_needs_must_be_there() {
    let table = [
        (
            "ActivityDefinition",
            "extension",
            Reason::BadProcessAuthorization,
        ),
        ("ActivityDefinition", "url", Reason::BadCanonical),
        ("CodeSystem", "version", Reason::BadCanonical),
        ("ValueSet", "status", Reason::BadStatus),
        (
            "StructureDefinition",
            "baseDefinition",
            Reason::BadCanonical,
        ),
        ("NamingSystem", "name", Reason::BadNamingSystem),
        ("NamingSystem", "status", Reason::BadStatus),
        ("Endpoint", "address", Reason::BadEndpoint),
        ("Endpoint", "identifier", Reason::BadEndpoint),
        ("Organization", "identifier", Reason::BadOrganization),
        (
            "OrganizationAffiliation",
            "organization",
            Reason::BadAffiliation,
        ),
        (
            "OrganizationAffiliation",
            "participatingOrganization",
            Reason::BadAffiliation,
        ),
        (
            "OrganizationAffiliation",
            "endpoint",
            Reason::BadAffiliation,
        ),
        ("OrganizationAffiliation", "code", Reason::BadAffiliation),
        (
            "PractitionerRole",
            "organization",
            Reason::BadPractitionerRole,
        ),
        (
            "PractitionerRole",
            "practitioner",
            Reason::BadPractitionerRole,
        ),
        ("Subscription", "criteria", Reason::BadSubscription),
        ("Subscription", "channel", Reason::BadSubscription),
        ("Group", "meta", Reason::BadReadTags),
    ];
    for (kind, member, reason) in table {
        let (good, bad) = (good(kind), put(&good(kind), member, Value::Null));
        assert_eq!(
            World::new().create(&us(), &bad),
            Err(reason),
            "{kind} without {member}"
        );
        assert_eq!(
            World::with(good.clone()).update(&us(), &good, &bad),
            Err(reason),
            "{kind} without {member}"
        );
    }
}

#[test]
fn what_is_there_must_have_the_right_shape() {
    let hex = "ab".repeat(64);
    let channel = |kind: &str, payload: Value| put(&json!({"type": kind}), "payload", payload);
    let table = [
        ("CodeSystem", "status", json!("unknown"), false),
        ("CodeSystem", "status", json!("draft"), true),
        ("Questionnaire", "status", json!("unknown"), true),
        (
            "Endpoint",
            "identifier",
            identifiers(ENDPOINT, &["a", "b"]),
            false,
        ),
        (
            "Endpoint",
            "identifier",
            identifiers("http://example.org/ids", &["a"]),
            false,
        ),
        (
            "Endpoint",
            "identifier",
            json!([{"system": ENDPOINT}]),
            false,
        ),
        (
            "Organization",
            "identifier",
            identifiers(ORGANIZATION, &["a", "b"]),
            false,
        ),
        ("Organization", "extension", json!([]), true),
        (
            "Organization",
            "extension",
            thumbprints(&[&hex[1..]]),
            false,
        ),
        (
            "Organization",
            "extension",
            thumbprints(&[&hex, &hex.to_uppercase()]),
            false,
        ),
        (
            "Organization",
            "extension",
            thumbprints(&[&format!("{hex}a")]),
            false,
        ),
        (
            "Organization",
            "extension",
            thumbprints(&[&format!("{}G", &hex[1..])]),
            false,
        ),
        (
            "OrganizationAffiliation",
            "endpoint",
            json!([{"reference": "Endpoint/1"}, {"reference": "Endpoint/2"}]),
            false,
        ),
        (
            "OrganizationAffiliation",
            "code",
            json!([{"coding": []}]),
            false,
        ),
        (
            "NamingSystem",
            "uniqueId",
            json!([{"type": "uri", "value": "u"}, {"type": "uri", "value": "u"}]),
            false,
        ),
        ("Subscription", "criteria", json!("Task?colour=x"), false),
        (
            "Subscription",
            "channel",
            channel("rest-hook", json!("application/fhir+json")),
            false,
        ),
        (
            "Subscription",
            "channel",
            channel("websocket", json!("text/plain")),
            false,
        ),
        (
            "Subscription",
            "channel",
            channel("websocket", json!("application/fhir+xml")),
            true,
        ),
        (
            "Subscription",
            "channel",
            channel("websocket", Value::Null),
            true,
        ),
    ];
    for (kind, member, value, ok) in table {
        let new = put(&good(kind), member, value);
        assert_eq!(World::new().create(&us(), &new).is_ok(), ok, "{new}");
    }
}

#[test]
fn an_endpoint_address_is_https_host_port_and_plain_path() {
    let table = [
        ("https://e.example.org", true),
        ("https://E.example.org:8443/a-b_c/fhir/", true),
        ("https://localhost:1/fhir", true),
        ("http://e.example.org/fhir", false),
        ("https:///fhir", false),
        ("https://me@e.org/fhir", false),
        ("https://e.org/fhir?x=1", false),
        ("https://e.org/f.hir", false),
        ("https://e.org:/fhir", false),
        ("https://e.org:x", false),
        ("https://e org", false),
        ("https://a_b.example.org", false),
        ("", false),
    ];
    for (address, ok) in table {
        let endpoint = put(&good("Endpoint"), "address", json!(address));
        assert_eq!(
            World::new().create(&us(), &endpoint).is_ok(),
            ok,
            "{address}"
        );
    }
}

#[test]
fn what_exists_is_not_created_again() {
    let other = |kind: &str, changes: &[(&str, Value)]| {
        changes.iter().fold(
            put(&good(kind), "id", Value::Null),
            |value, (name, member)| put(&value, name, member.clone()),
        )
    };
    let role = |code| json!([{"coding": [{"system": ROLES, "code": code}]}]);
    let elsewhere = json!([{"reference": "Endpoint/other"}]);
    let table = [
        (other("CodeSystem", &[]), false),
        (other("CodeSystem", &[("version", json!("2.0"))]), true),
        (other("ActivityDefinition", &[]), false),
        (other("Questionnaire", &[]), true),
        (
            other("Endpoint", &[("address", json!("https://x.example.org"))]),
            false,
        ),
        (
            other("Endpoint", &[("identifier", identifiers(ENDPOINT, &["x"]))]),
            false,
        ),
        (
            other(
                "Organization",
                &[("identifier", identifiers(ORGANIZATION, &["x"]))],
            ),
            false,
        ),
        (
            other(
                "Organization",
                &[("extension", thumbprints(&[&"cd".repeat(64)]))],
            ),
            false,
        ),
        (other("NamingSystem", &[("uniqueId", json!([]))]), false),
        (other("NamingSystem", &[("name", json!("x"))]), false),
        (
            other("OrganizationAffiliation", &[("code", role("HRP"))]),
            false,
        ),
        (
            other(
                "OrganizationAffiliation",
                &[("endpoint", elsewhere.clone())],
            ),
            false,
        ),
        (
            other(
                "OrganizationAffiliation",
                &[("endpoint", elsewhere), ("code", role("HRP"))],
            ),
            true,
        ),
        (other("Subscription", &[]), false),
        (
            other("Subscription", &[("channel", json!({"type": "websocket"}))]),
            true,
        ),
    ];
    for (new, ok) in table {
        let stored = good(new["resourceType"].as_str().unwrap());
        let expected = if ok {
            Ok(Reason::HasRight)
        } else {
            Err(Reason::AlreadyExists)
        };
        assert_eq!(World::with(stored).create(&us(), &new), expected, "{new}");
    }
}

#[test]
fn an_update_keeps_keys_and_takes_nothing_from_others() {
    let table = [
        (
            "CodeSystem",
            "url",
            json!("x"),
            Err(Reason::ImmutableChanged),
        ),
        (
            "ValueSet",
            "version",
            json!("2"),
            Err(Reason::ImmutableChanged),
        ),
        (
            "StructureDefinition",
            "status",
            json!("retired"),
            Ok(Reason::HasRight),
        ),
        ("Questionnaire", "url", json!("x"), Ok(Reason::HasRight)),
        (
            "Endpoint",
            "address",
            json!("https://x.example.org"),
            Err(Reason::ImmutableChanged),
        ),
        (
            "Endpoint",
            "identifier",
            identifiers(ENDPOINT, &["x"]),
            Err(Reason::ImmutableChanged),
        ),
        ("Endpoint", "name", json!("x"), Ok(Reason::HasRight)),
        (
            "NamingSystem",
            "name",
            json!("x"),
            Err(Reason::ImmutableChanged),
        ),
        (
            "NamingSystem",
            "uniqueId",
            json!([{"type": "uri", "value": "x"}]),
            Ok(Reason::HasRight),
        ),
        (
            "Organization",
            "identifier",
            identifiers(ORGANIZATION, &["x"]),
            Err(Reason::ImmutableChanged),
        ),
        (
            "Organization",
            "extension",
            thumbprints(&[&"ef".repeat(64)]),
            Ok(Reason::HasRight),
        ),
        (
            "Organization",
            "extension",
            thumbprints(&[&"cd".repeat(64)]),
            Err(Reason::AlreadyExists),
        ),
        (
            "OrganizationAffiliation",
            "organization",
            json!({"reference": "Organization/x"}),
            Err(Reason::ImmutableChanged),
        ),
        (
            "OrganizationAffiliation",
            "endpoint",
            json!([{"reference": "Endpoint/x"}]),
            Err(Reason::ImmutableChanged),
        ),
        (
            "OrganizationAffiliation",
            "code",
            json!([{"coding": [{"system": ROLES, "code": "HRP"}]}]),
            Ok(Reason::HasRight),
        ),
        (
            "OrganizationAffiliation",
            "code",
            json!([{"coding": [{"system": ROLES, "code": "COS"}]}]),
            Err(Reason::AlreadyExists),
        ),
        (
            "Subscription",
            "criteria",
            json!("Task?status=draft"),
            Err(Reason::ImmutableChanged),
        ),
        (
            "Subscription",
            "channel",
            json!({"type": "websocket"}),
            Err(Reason::ImmutableChanged),
        ),
        ("Subscription", "status", json!("off"), Ok(Reason::HasRight)),
    ];
    let second = put(
        &put(&good("Organization"), "id", json!("second")),
        "extension",
        thumbprints(&[&"cd".repeat(64)]),
    );
    let cos = put(
        &good("OrganizationAffiliation"),
        "code",
        json!([{"coding": [{"system": ROLES, "code": "COS"}]}]),
    );
    for (kind, member, value, expected) in table {
        let (old, new) = (good(kind), put(&good(kind), member, value));
        let mut world = World::with(old.clone());
        world.stored.extend([
            resource(second.clone()),
            resource(put(&cos, "id", json!("second"))),
        ]);
        assert_eq!(world.update(&us(), &old, &new), expected, "{new}");
    }
}

#[test]
fn a_subscription_without_payload_can_be_updated() {
    let old = put(
        &good("Subscription"),
        "channel",
        json!({"type": "websocket"}),
    );
    let new = put(&old, "status", json!("off"));
    assert_eq!(
        World::with(old.clone()).update(&us(), &old, &new),
        Ok(Reason::HasRight)
    );
}
