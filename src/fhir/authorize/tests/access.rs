//! §5.1: what a search shows, and the keys behind it.

use serde_json::json;

use super::world::*;
use crate::fhir::authorize::{AccessFilter, Operation, access_keys};
use crate::r4::ResourceType::{Group, QuestionnaireResponse, Task};

fn keys(keys: &[&str]) -> AccessFilter {
    AccessFilter::Keys(keys.iter().map(|key| (*key).to_owned()).collect())
}

#[test]
fn a_search_needs_read_too_and_shows_what_the_keys_open() {
    let world = World::new();
    let role = format!("ROLE:parent|{ROLES}|DIC");
    let admin = person("admin", "DSF_ADMIN");
    let someone = person("p", "DIC_USER");
    let persons_role = format!("PERSON-ROLE:{DSF}/CodeSystem/practitioner-role|DIC_USER");
    let table = [
        (us(), Group, keys(&["ALL", "ORG:us", "LOCAL"])),
        (someone.clone(), Group, keys(&["ALL", "ORG:us", "LOCAL"])),
        (remote("them"), Group, keys(&["ALL", "ORG:them", &role])),
        (remote("others"), Group, keys(&["ALL", "ORG:others"])),
        (us(), Task, keys(&["RECIPIENT:us-id"])),
        (admin.clone(), Task, keys(&["RECIPIENT:us-id"])),
        (
            someone.clone(),
            Task,
            keys(&["DRAFT:us-id", "REQUESTER-PERSON:p@example.org"]),
        ),
        (remote("them"), Task, keys(&["REQUESTER:them-id"])),
        (us(), QuestionnaireResponse, keys(&["USER-TASK"])),
        (admin, QuestionnaireResponse, keys(&["USER-TASK"])),
        (
            someone,
            QuestionnaireResponse,
            keys(&["PERSON:p@example.org", &persons_role]),
        ),
        (remote("them"), QuestionnaireResponse, AccessFilter::Nothing),
    ];
    for (identity, kind, expected) in table {
        assert_eq!(
            world.filter(&identity, Operation::Search, kind),
            expected,
            "{} {kind}",
            identity.name()
        );
    }
    let blind = with_rights(us(), &[(Operation::Search, &[]), (Operation::History, &[])]);
    let unasked = with_rights(us(), &[(Operation::Read, &[])]);
    for identity in [blind, unasked] {
        assert_eq!(
            world.filter(&identity, Operation::History, Group),
            AccessFilter::Nothing
        );
    }
}

#[test]
fn a_version_keeps_the_keys_of_its_tags_and_parties() {
    let of = |value| access_keys(&resource(value), BASE);
    let group = tagged(
        "Group",
        &[
            tag("LOCAL"),
            tag_role("parent", "DIC"),
            tag_organization("them"),
            tag("FOO"),
        ],
        json!({}),
    );
    assert_eq!(
        of(group),
        [
            "LOCAL".to_owned(),
            "ORG:them".to_owned(),
            format!("ROLE:parent|{ROLES}|DIC")
        ]
    );
    let draft = json!({"resourceType": "Task", "status": "draft",
        "requester": {"reference": "Organization/us-id", "identifier": {"system": ORGANIZATION, "value": "us"}},
        "restriction": {"recipient": [{"reference": format!("{BASE}/Organization/us-id/_history/2")}]}});
    assert_eq!(
        of(draft),
        ["DRAFT:us-id", "RECIPIENT:us-id", "REQUESTER:us-id"]
    );
    let foreign = json!({"resourceType": "Task", "status": "requested", "requester": practitioner("p"),
        "restriction": {"recipient": [{"reference": "https://them.example.org/fhir/Organization/us-id"}]}});
    assert_eq!(of(foreign), ["REQUESTER-PERSON:p@example.org"]);
    assert_eq!(
        of(
            json!({"resourceType": "Binary", "meta": {"tag": [tag("ALL")]}, "securityContext": {"reference": "Group/1/_history/2"}})
        ),
        ["CONTEXT:Group/1/_history/2"]
    );
    assert_eq!(
        of(json!({"resourceType": "OperationOutcome", "meta": {"tag": [tag("ALL")]}})),
        [] as [&str; 0]
    );
}

#[test]
fn a_bar_in_a_name_opens_nothing() {
    let mut world = World::new();
    let mut trick = membership("parent|x", "DIC");
    trick.roles[0].system = "system".to_owned();
    world.memberships.push(("others", trick));
    let mut tag_for = tag_role("parent", "DIC");
    tag_for["extension"][0]["extension"][1]["valueCoding"]["system"] = json!("x|system");
    let stored = tagged("Group", &[tag("LOCAL"), tag_for], json!({}));
    assert!(!world.reads(&remote("others"), &stored));
    assert!(!world.finds(&remote("others"), &stored));
}
