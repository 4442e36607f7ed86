//! §4.7: whom a process admits as requester and where it may run.

use serde_json::{Value, json};

use super::world::*;
use crate::fhir::authorize::Reason;

const URL: &str = "http://dsf.dev/bpe/Process/ping";

fn authorization(code: &str, detail: Option<(&str, Value)>) -> Value {
    let mut coding =
        json!({"system": format!("{DSF}/CodeSystem/process-authorization"), "code": code});
    if let Some((name, value)) = detail {
        let mut extension = json!({"url": format!("{DSF}/StructureDefinition/extension-process-authorization-{name}")});
        extension
            .as_object_mut()
            .unwrap()
            .extend(value.as_object().unwrap().clone());
        coding["extension"] = json!([extension]);
    }
    coding
}

pub(super) fn all(code: &str) -> Value {
    authorization(code, None)
}

fn of_organization(code: &str, identifier: &str) -> Value {
    authorization(
        code,
        Some((
            "organization",
            json!({"valueIdentifier": {"system": ORGANIZATION, "value": identifier}}),
        )),
    )
}

fn role_parts(parent: &str, role: &str) -> Vec<Value> {
    vec![
        json!({"url": "parent-organization", "valueIdentifier": {"system": ORGANIZATION, "value": parent}}),
        json!({"url": "organization-role", "valueCoding": {"system": ROLES, "code": role}}),
    ]
}

fn of_role(code: &str, parent: &str, role: &str) -> Value {
    authorization(
        code,
        Some((
            "parent-organization-role",
            json!({"extension": role_parts(parent, role)}),
        )),
    )
}

fn practitioner_role(code: &str) -> Value {
    json!({"system": format!("{DSF}/CodeSystem/practitioner-role"), "code": code})
}

fn of_practitioner(role: &str) -> Value {
    authorization(
        "LOCAL_ALL_PRACTITIONER",
        Some((
            "practitioner",
            json!({"valueCoding": practitioner_role(role)}),
        )),
    )
}

fn of_organization_practitioner(organization: &str, role: &str) -> Value {
    let parts = json!([{"url": "organization", "valueIdentifier": {"system": ORGANIZATION, "value": organization}},
                       {"url": "practitioner-role", "valueCoding": practitioner_role(role)}]);
    authorization(
        "LOCAL_ORGANIZATION_PRACTITIONER",
        Some(("organization-practitioner", json!({"extension": parts}))),
    )
}

fn of_role_practitioner(parent: &str, organization_role: &str, role: &str) -> Value {
    let mut parts = role_parts(parent, organization_role);
    parts.push(json!({"url": "practitioner-role", "valueCoding": practitioner_role(role)}));
    authorization(
        "LOCAL_ROLE_PRACTITIONER",
        Some((
            "parent-organization-role-practitioner",
            json!({"extension": parts}),
        )),
    )
}

fn message(name: &str, profile: &str, requesters: &[Value], recipients: &[Value]) -> Value {
    let mut parts = vec![
        json!({"url": "message-name", "valueString": name}),
        json!({"url": "task-profile", "valueCanonical": profile}),
    ];
    parts.extend(
        requesters
            .iter()
            .map(|r| json!({"url": "requester", "valueCoding": r})),
    );
    parts.extend(
        recipients
            .iter()
            .map(|r| json!({"url": "recipient", "valueCoding": r})),
    );
    json!({"url": format!("{DSF}/StructureDefinition/extension-process-authorization"), "extension": parts})
}

/// The process `ping|1.0` with one message `start`.
pub(super) fn process(requesters: &[Value], recipients: &[Value]) -> Value {
    open(
        "ActivityDefinition",
        json!({"id": "process", "url": URL, "version": "1.0", "status": "active",
        "extension": [message("start", "http://example.org/task|1.0", requesters, recipients)]}),
    )
}

/// A Task that starts it, in the name of an identity.
pub(super) fn task_of(requester: Value) -> Value {
    json!({"resourceType": "Task", "id": "task", "status": "requested", "intent": "order",
        "meta": {"profile": ["http://example.org/task|1.0"]}, "instantiatesCanonical": format!("{URL}|1.0"),
        "requester": requester, "restriction": {"recipient": [organization("us")]},
        "input": [input("message-name", "start")]})
}

pub(super) fn input(code: &str, value: &str) -> Value {
    json!({"type": {"coding": [{"system": format!("{DSF}/CodeSystem/bpmn-message"), "code": code}]}, "valueString": value})
}

pub(super) fn someone(identity: &crate::auth::Identity) -> Value {
    match identity.person() {
        Some(person) => practitioner(person.identifier.split('@').next().unwrap()),
        None => organization(&identity.organization.identifier),
    }
}

fn starters(world: &World) -> String {
    who(|identity| world.create(identity, &task_of(someone(identity))) == Ok(Reason::ProcessAllows))
}

#[test]
fn every_requester_code_covers_whom_it_names() {
    let table = [
        (all("LOCAL_ALL"), "us admin"),
        (of_organization("LOCAL_ORGANIZATION", "us"), "us admin"),
        (of_organization("LOCAL_ORGANIZATION", "them"), ""),
        (of_role("LOCAL_ROLE", "parent", "COS"), "us admin"),
        (of_role("LOCAL_ROLE", "parent", "DIC"), ""),
        (of_role("LOCAL_ROLE", "them", "COS"), ""),
        (of_practitioner("DIC_USER"), "admin practitioner"),
        (of_practitioner("DSF_ADMIN"), "admin"),
        (of_practitioner("HRP_USER"), "admin"),
        (
            of_organization_practitioner("us", "DIC_USER"),
            "admin practitioner",
        ),
        (of_organization_practitioner("them", "DIC_USER"), ""),
        (
            of_role_practitioner("parent", "COS", "DIC_USER"),
            "admin practitioner",
        ),
        (of_role_practitioner("parent", "DIC", "DIC_USER"), ""),
        (all("REMOTE_ALL"), "them others"),
        (of_organization("REMOTE_ORGANIZATION", "them"), "them"),
        (of_organization("REMOTE_ORGANIZATION", "us"), ""),
        (of_role("REMOTE_ROLE", "parent", "DIC"), "them"),
        (of_role("REMOTE_ROLE", "parent", "COS"), ""),
        (all("EVERYBODY"), ""),
        (all("REMOTE_ALL_PRACTITIONER"), ""),
    ];
    for (requester, expected) in table {
        let world = World::with(process(
            std::slice::from_ref(&requester),
            &[all("LOCAL_ALL")],
        ));
        assert_eq!(starters(&world), expected, "{requester}");
    }
    let several = [
        all("LOCAL_ALL"),
        of_organization("REMOTE_ORGANIZATION", "others"),
    ];
    assert_eq!(
        starters(&World::with(process(&several, &[all("LOCAL_ALL")]))),
        "us admin others"
    );
}

#[test]
fn a_recipient_code_must_cover_the_local_organisation() {
    let everyone = [
        all("LOCAL_ALL"),
        all("REMOTE_ALL"),
        of_practitioner("DIC_USER"),
    ];
    let table = [
        (all("LOCAL_ALL"), true),
        (of_organization("LOCAL_ORGANIZATION", "us"), true),
        (of_organization("LOCAL_ORGANIZATION", "them"), false),
        (of_role("LOCAL_ROLE", "parent", "COS"), true),
        (of_role("LOCAL_ROLE", "parent", "DIC"), false),
        (all("REMOTE_ALL"), false),
        (of_practitioner("DIC_USER"), false),
    ];
    for (recipient, ok) in table {
        let world = World::with(process(&everyone, std::slice::from_ref(&recipient)));
        let expected = if ok {
            "us admin practitioner them others"
        } else {
            ""
        };
        assert_eq!(starters(&world), expected, "{recipient}");
    }
}

#[test]
fn roles_count_through_the_endpoint_in_use_and_in_inactive_parents_too() {
    let mut world = World::with(process(
        &[of_role("REMOTE_ROLE", "parent", "DIC")],
        &[all("LOCAL_ALL")],
    ));
    let mut them = remote("them");
    let start = |world: &World, them: &_| world.create(them, &task_of(organization("them")));
    world.memberships[1].1.parent_active = false;
    assert_eq!(start(&world, &them), Ok(Reason::ProcessAllows));
    world.memberships[1].1.endpoints = vec!["another".to_owned()];
    assert_eq!(start(&world, &them), Err(Reason::RequesterNotAdmitted));
    them.organization.endpoint = None;
    assert_eq!(
        start(&world, &them),
        Ok(Reason::ProcessAllows),
        "no endpoint known: any counts"
    );
}

#[test]
fn message_and_profile_choose_the_authorisation() {
    let mut two = process(&[all("LOCAL_ALL")], &[all("LOCAL_ALL")]);
    let other = message(
        "other",
        "http://example.org/other",
        &[all("REMOTE_ALL")],
        &[all("LOCAL_ALL")],
    );
    two["extension"].as_array_mut().unwrap().push(other);
    let world = World::with(two.clone());
    let task = |identity: &_, name: &str, profile: &str| {
        let task = put(
            &task_of(someone(identity)),
            "input",
            json!([input("message-name", name)]),
        );
        put(&task, "meta", json!({"profile": [profile]}))
    };
    let table = [
        (
            us(),
            "start",
            "http://example.org/task|1.0",
            Ok(Reason::ProcessAllows),
        ),
        (
            us(),
            "start",
            "http://example.org/task",
            Ok(Reason::ProcessAllows),
        ),
        (
            us(),
            "start",
            "http://example.org/task|2.0",
            Err(Reason::UnknownProcess),
        ),
        (
            us(),
            "start",
            "http://example.org/other",
            Err(Reason::UnknownProcess),
        ),
        (
            us(),
            "stop",
            "http://example.org/task|1.0",
            Err(Reason::UnknownProcess),
        ),
        (
            us(),
            "other",
            "http://example.org/other",
            Err(Reason::RequesterNotAdmitted),
        ),
        (
            remote("them"),
            "other",
            "http://example.org/other",
            Ok(Reason::ProcessAllows),
        ),
        (
            remote("them"),
            "other",
            "http://example.org/other|1.0",
            Err(Reason::UnknownProcess),
        ),
        (
            remote("them"),
            "start",
            "http://example.org/task",
            Err(Reason::RequesterNotAdmitted),
        ),
    ];
    for (identity, name, profile, expected) in table {
        assert_eq!(
            world.create(&identity, &task(&identity, name, profile)),
            expected,
            "{name} {profile}"
        );
    }
    for (status, expected) in [
        ("draft", Ok(Reason::ProcessAllows)),
        ("retired", Err(Reason::UnknownProcess)),
    ] {
        let world = World::with(put(&two, "status", json!(status)));
        assert_eq!(
            world.create(&us(), &task_of(organization("us"))),
            expected,
            "{status}"
        );
    }
}

#[test]
fn an_authorisation_is_complete_or_the_definition_is_refused() {
    let good = process(&[all("LOCAL_ALL")], &[all("LOCAL_ALL")]);
    let create = |definition: &Value| World::new().create(&us(), definition);
    let changed = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut definition = good.clone();
        change(
            definition["extension"][0]["extension"]
                .as_array_mut()
                .unwrap(),
        );
        create(&definition).is_ok()
    };
    assert!(changed(&|_| {}));
    for part in 0..4 {
        assert!(
            !changed(&|parts| drop(parts.remove(part))),
            "without part {part}"
        );
    }
    assert!(
        !changed(&|parts| parts.push(parts[0].clone())),
        "two message names"
    );
    assert!(
        !changed(&|parts| parts.push(parts[1].clone())),
        "two profiles"
    );
    assert!(
        !changed(&|parts| parts[0]["valueString"] = json!(" ")),
        "blank message name"
    );
    assert!(
        !changed(&|parts| parts[2]["valueCoding"] = Value::Null),
        "no requester coding"
    );
    let mut twice = good.clone();
    let message = twice["extension"][0].clone();
    twice["extension"].as_array_mut().unwrap().push(message);
    assert_eq!(create(&twice), Err(Reason::BadProcessAuthorization));

    let requester = |code: Value| create(&process(&[code], &[all("LOCAL_ALL")])).is_ok();
    let recipient = |code: Value| create(&process(&[all("REMOTE_ALL")], &[code])).is_ok();
    for bare in [
        "LOCAL_ORGANIZATION",
        "REMOTE_ROLE",
        "LOCAL_ROLE",
        "LOCAL_ALL_PRACTITIONER",
        "REMOTE_ALL_PRACTITIONER",
        "EVERYBODY",
        "ALL",
    ] {
        assert!(!requester(all(bare)), "{bare}");
    }
    assert!(
        !requester(json!({"code": "LOCAL_ALL"})) && !requester(json!({})),
        "no system, no code"
    );
    assert!(
        requester(of_organization("REMOTE_ORGANIZATION", "Nobody")),
        "existence is not asked"
    );
    assert!(
        requester(of_role_practitioner("p", "R", "X"))
            && requester(of_organization_practitioner("o", "X"))
    );
    for refused in [
        all("REMOTE_ALL"),
        of_organization("REMOTE_ORGANIZATION", "us"),
        of_role("REMOTE_ROLE", "p", "R"),
        of_practitioner("X"),
        of_organization_practitioner("us", "X"),
        of_role_practitioner("p", "R", "X"),
    ] {
        assert!(!recipient(refused.clone()), "{refused}");
    }
    assert!(recipient(of_role("LOCAL_ROLE", "parent", "COS")));
}

#[test]
fn a_process_url_has_a_domain_a_name_and_a_version_of_two_numbers() {
    let world = World::with(process(&[all("LOCAL_ALL")], &[all("LOCAL_ALL")]));
    let create = |canonical: &str| {
        world.create(
            &us(),
            &put(
                &task_of(organization("us")),
                "instantiatesCanonical",
                json!(canonical),
            ),
        )
    };
    assert_eq!(
        create("http://dsf.dev/bpe/Process/ping|1.0"),
        Ok(Reason::ProcessAllows)
    );
    for well_formed in [
        "https://a1.b-2.example.org/bpe/Process/x-Y|10.20",
        "http://dsf.dev/bpe/Process/ping|1.1",
    ] {
        assert_eq!(
            create(well_formed),
            Err(Reason::UnknownProcess),
            "{well_formed}"
        );
    }
    for malformed in [
        "http://dsf.dev/bpe/Process/ping",
        "http://dsf.dev/bpe/Process/ping|1.0.0",
        "http://dsf.dev/bpe/Process/ping|1",
        "http://dsf.dev/bpe/Process/ping|1.x",
        "http://dsf.dev/Process/ping|1.0",
        "http://dsf/bpe/Process/ping|1.0",
        "http://dsf.d-v/bpe/Process/ping|1.0",
        "http://a.dev/bpe/Process/ping|1.0",
        "http://-a.dev/bpe/Process/ping|1.0",
        "ftp://dsf.dev/bpe/Process/ping|1.0",
        "http://dsf.dev/bpe/Process/|1.0",
        "http://dsf.dev/bpe/Process/a/b|1.0",
        "http://dsf.dev/bpe/Process/pi_ng|1.0",
        "http://dsf.dev/bpe/Process/ping|1.0|1",
        "|",
        "",
    ] {
        assert_eq!(
            create(malformed),
            Err(Reason::BadProcessReference),
            "{malformed}"
        );
    }
}
