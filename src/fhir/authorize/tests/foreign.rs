//! What looks right but is of another system, url or type counts for nothing: neither as a right
//! nor as a duty.

use serde_json::{Value, json};

use super::content::good;
use super::process::{all, process, someone, task_of};
use super::questionnaire_response::{authorization, completed, response};
use super::task::stored;
use super::world::*;
use crate::fhir::authorize::json::Literal;
use crate::fhir::authorize::{Operation, Reason, access_keys};
use crate::r4::ResourceType;

fn keys(value: Value) -> Vec<String> {
    access_keys(&resource(value), BASE)
}

/// §4.3: only tags of the read-access system are looked at.
#[test]
fn tags_of_other_systems_open_nothing() {
    let foreign = |code: &str| json!({"system": "http://example.org/tags", "code": code});
    let group = |tags: &[Value]| tagged("Group", tags, json!({}));
    assert_eq!(keys(group(&[tag("LOCAL"), foreign("ALL")])), ["LOCAL"]);
    let mut organization = tag_organization("them");
    organization["system"] = json!("http://example.org/tags");
    assert_eq!(keys(group(&[tag("LOCAL"), organization])), ["LOCAL"]);
    assert!(!World::new().reads(&remote("them"), &group(&[tag("LOCAL"), foreign("ALL")])));
}

/// §4.5, §5.1: whose a Task is say references to Organizations.
#[test]
fn parties_of_a_task_are_organizations_of_this_server() {
    let mut task = stored(&task_of(organization("us")));
    task["requester"]["reference"] = json!("Practitioner/us-id");
    task["restriction"]["recipient"][0]["reference"] = json!("Endpoint/us-id");
    assert!(keys(task.clone()).is_empty(), "{:?}", keys(task.clone()));
    assert_eq!(who(|i| World::new().reads(i, &task)), "");
    let mut elsewhere = stored(&task_of(organization("them")));
    elsewhere["restriction"]["recipient"][0]["reference"] = json!("Organization/others-id");
    assert_eq!(who(|i| World::new().reads(i, &elsewhere)), "them");
}

/// §4.8: an extension of another kind neither names anybody nor hides the user task.
#[test]
fn only_the_questionnaire_authorisation_says_who_answers() {
    let mut other = authorization(&["nobody"], &["UAC_USER"]);
    other[0]["url"] = json!("http://example.org/extension");
    let old = put(&response(), "extension", other.clone());
    assert_eq!(keys(old.clone()), ["USER-TASK"]);
    let practitioner = person("practitioner", "DIC_USER");
    assert_eq!(
        World::new().ask_for(Operation::Read, &practitioner, &old),
        Ok(Reason::OpenQuestionnaire)
    );
    let mut incomplete = other;
    incomplete[0]["extension"] = json!([{"url": "practitioner"}]);
    let new = put(&response(), "extension", incomplete);
    assert_eq!(World::new().create(&us(), &new), Ok(Reason::HasRight));
}

/// §4.8: what is not known in the extension is tolerated, so it may change.
#[test]
fn unknown_parts_of_a_questionnaire_authorisation_need_not_stay() {
    let mut noted = authorization(&["p"], &[]);
    let note = json!({"url": "note", "valueString": "x"});
    noted[0]["extension"].as_array_mut().unwrap().push(note);
    let old = put(&response(), "extension", noted);
    let new = put(
        &completed(&old, organization("us")),
        "extension",
        authorization(&["p"], &[]),
    );
    assert_eq!(
        World::new().update(&us(), &old, &new),
        Ok(Reason::TransitionAllowed)
    );
}

/// §4.7: the extension of a Coding is known by its url, and so is the authorisation itself.
#[test]
fn other_extensions_admit_nobody_to_a_process() {
    let mut coding = all("REMOTE_ORGANIZATION");
    coding["extension"] = json!([{"url": "http://example.org/organization",
        "valueIdentifier": {"system": ORGANIZATION, "value": "them"}}]);
    let mut definition = process(&[coding], &[all("LOCAL_ALL")]);
    let them = remote("them");
    let start = task_of(someone(&them));
    assert_eq!(
        World::new().create(&us(), &definition),
        Err(Reason::BadProcessAuthorization)
    );
    // Stored in spite of it, by whatever way, it admits nobody.
    assert_eq!(
        World::with(definition.clone()).create(&them, &start),
        Err(Reason::RequesterNotAdmitted)
    );
    definition = process(&[all("REMOTE_ALL")], &[all("LOCAL_ALL")]);
    definition["extension"][0]["url"] = json!("http://example.org/authorization");
    assert_eq!(
        World::new().create(&us(), &definition),
        Err(Reason::BadProcessAuthorization)
    );
    assert_eq!(
        World::with(definition).create(&them, &start),
        Err(Reason::UnknownProcess)
    );
}

/// §4.4: identifiers and extensions of others are nobody's business here.
#[test]
fn identifiers_and_extensions_of_others_are_free() {
    let other = json!({"system": "http://example.org/ids", "value": "shared"});
    let with_other = |kind: &str, id: &str| {
        let mut one = put(&good(kind), "id", json!(id));
        one["identifier"][0]["value"] = json!(id);
        one["identifier"]
            .as_array_mut()
            .unwrap()
            .push(other.clone());
        one
    };
    let mut second = with_other("Organization", "second");
    second["extension"] = json!([{"url": "http://example.org/extension", "valueString": "x"}]);
    assert_eq!(
        World::with(with_other("Organization", "first")).create(&us(), &second),
        Ok(Reason::HasRight)
    );
    let mut naming = good("NamingSystem");
    naming["uniqueId"] = json!([{"type": "other", "value": "o"}, {"type": "other", "value": "o"}]);
    assert_eq!(World::new().create(&us(), &naming), Ok(Reason::HasRight));
}

/// fhir-api §7.1: an id has one to 64 letters, digits, `-` and `.`.
#[test]
fn what_is_no_reference_to_this_server_has_no_target() {
    let longest = "a".repeat(64);
    let table = [
        ("Organization/a-1.B".to_owned(), Some(("a-1.B", None))),
        (format!("{BASE}/Organization/a"), Some(("a", None))),
        (
            format!("Organization/{longest}"),
            Some((longest.as_str(), None)),
        ),
        (
            "Organization/a/_history/2".to_owned(),
            Some(("a", Some("2"))),
        ),
        (format!("Organization/{longest}a"), None),
        ("Organization/".to_owned(), None),
        ("Organization/a b".to_owned(), None),
        ("Organization/a_b".to_owned(), None),
        ("Organization/ä".to_owned(), None),
        ("Organization/a/_history/2_3".to_owned(), None),
        ("Organization/a/_history/".to_owned(), None),
        ("Organization/a/_history/2/3".to_owned(), None),
        ("Organization/a/2".to_owned(), None),
        ("Boss/a".to_owned(), None),
        (
            "https://them.example.org/fhir/Organization/a".to_owned(),
            None,
        ),
    ];
    for (text, expected) in table {
        let literal = Literal::parse(&text, BASE);
        assert!(literal.is_none_or(|l| l.kind == ResourceType::Organization));
        assert_eq!(literal.map(|l| (l.id, l.version)), expected, "{text}");
    }
}
