//! §4.5, §4.6, §5.1: creating, seeing, changing and deleting Tasks.

use serde_json::{Value, json};

use super::process::{all, input, process, someone, task_of};
use super::world::*;
use crate::auth::Identity;
use crate::fhir::authorize::{Operation, Reason};

const TASK_IDENTIFIER: &str = "http://dsf.dev/sid/task-identifier";

fn world() -> World {
    World::with(process(
        &[all("LOCAL_ALL"), all("REMOTE_ALL")],
        &[all("LOCAL_ALL")],
    ))
}

fn task() -> Value {
    task_of(organization("us"))
}

fn identifiers(values: &[&str]) -> Value {
    values
        .iter()
        .map(|value| json!({"system": TASK_IDENTIFIER, "value": value}))
        .collect()
}

pub(super) fn draft() -> Value {
    put(
        &put(&task(), "status", json!("draft")),
        "identifier",
        identifiers(&["draft"]),
    )
}

fn recipients(recipients: &[Value]) -> Value {
    json!({"recipient": recipients})
}

fn with_reference(reference: &Value, literal: &str) -> Value {
    put(reference, "reference", json!(literal))
}

/// As stored: literal references next to the identifiers.
pub(super) fn stored(task: &Value) -> Value {
    let mut task = task.clone();
    let id = task["requester"]["identifier"]["value"]
        .as_str()
        .unwrap()
        .to_owned();
    if !id.contains('@') {
        task["requester"]["reference"] = json!(format!("Organization/{id}-id"));
    }
    task["restriction"]["recipient"][0]["reference"] = json!("Organization/us-id");
    task
}

#[test]
fn a_requested_task_is_as_the_rules_say() {
    let other = json!({"type": {"coding": [{"system": "x", "code": "message-name"}]}, "valueString": "start"});
    let start = input("message-name", "start");
    let not_a_string = json!({"type": start["type"], "valueUri": "start"});
    let foreign_identifier = json!({"system": "x", "value": "us"});
    let by = |identifier: &Value| json!({"type": "Organization", "identifier": identifier});
    let untyped = |value: Value| put(&value, "type", Value::Null);
    let table = [
        (
            "input",
            json!([start, input("business-key", "k")]),
            Ok(Reason::ProcessAllows),
        ),
        (
            "identifier",
            json!([{"system": "x", "value": "1"}]),
            Ok(Reason::ProcessAllows),
        ),
        ("identifier", identifiers(&["1"]), Err(Reason::BadTask)),
        (
            "output",
            json!([{"valueString": "x"}]),
            Err(Reason::BadTask),
        ),
        ("input", json!([]), Err(Reason::BadTask)),
        ("input", json!([start, start]), Err(Reason::BadTask)),
        (
            "input",
            json!([input("message-name", " ")]),
            Err(Reason::BadTask),
        ),
        ("input", json!([not_a_string]), Err(Reason::BadTask)),
        ("input", json!([other]), Err(Reason::BadTask)),
        ("requester", Value::Null, Err(Reason::BadRequester)),
        (
            "requester",
            json!({"type": "Organization", "display": "x"}),
            Err(Reason::BadRequester),
        ),
        ("requester", organization("them"), Err(Reason::BadRequester)),
        (
            "requester",
            untyped(organization("us")),
            Err(Reason::BadRequester),
        ),
        (
            "requester",
            by(&foreign_identifier),
            Err(Reason::BadRequester),
        ),
        (
            "requester",
            practitioner("admin"),
            Err(Reason::BadRequester),
        ),
        (
            "requester",
            with_reference(&organization("us"), "Organization/them-id"),
            Err(Reason::BadRequester),
        ),
        (
            "requester",
            with_reference(&organization("them"), "Organization/us-id"),
            Err(Reason::BadRequester),
        ),
        ("restriction", Value::Null, Err(Reason::BadRecipient)),
        ("restriction", recipients(&[]), Err(Reason::BadRecipient)),
        (
            "restriction",
            recipients(&[organization("them")]),
            Err(Reason::BadRecipient),
        ),
        (
            "restriction",
            recipients(&[organization("us"), organization("us")]),
            Err(Reason::BadRecipient),
        ),
        (
            "restriction",
            recipients(&[practitioner("admin")]),
            Err(Reason::BadRecipient),
        ),
        (
            "restriction",
            recipients(&[untyped(organization("us"))]),
            Err(Reason::BadRecipient),
        ),
        (
            "instantiatesCanonical",
            Value::Null,
            Err(Reason::BadProcessReference),
        ),
        ("meta", Value::Null, Err(Reason::UnknownProcess)),
    ];
    for (member, value, expected) in table {
        let new = put(&task(), member, value);
        assert_eq!(world().create(&us(), &new), expected, "{new}");
    }
}

#[test]
fn nobody_sends_in_the_name_of_somebody_else() {
    let everyone = json!([all("LOCAL_ALL"), all("REMOTE_ALL")]);
    let world = World::with(process(everyone.as_array().unwrap(), &[all("LOCAL_ALL")]));
    for (name, identity) in everybody() {
        for (other, requester) in everybody() {
            let verdict = world.create(&identity, &task_of(someone(&requester)));
            if name == other && name != "practitioner" {
                assert_eq!(verdict, Ok(Reason::ProcessAllows), "{name}");
            } else if name != other {
                assert_eq!(verdict, Err(Reason::BadRequester), "{name} as {other}");
            }
        }
    }
    let disguised = with_reference(&practitioner("admin"), "Organization/them-id");
    assert_eq!(
        world.create(&person("admin", "DSF_ADMIN"), &task_of(disguised)),
        Err(Reason::BadRequester)
    );
}

#[test]
fn only_draft_and_requested_are_states_to_begin_with() {
    for status in [
        "received",
        "accepted",
        "rejected",
        "ready",
        "cancelled",
        "in-progress",
        "on-hold",
        "failed",
        "completed",
        "begun",
    ] {
        assert_eq!(
            world().create(&us(), &put(&task(), "status", json!(status))),
            Err(Reason::BadStatus),
            "{status}"
        );
    }
}

#[test]
fn drafts_are_from_and_for_us_and_made_by_us_or_an_admin() {
    assert_eq!(
        who(|identity| world().create(identity, &draft()).is_ok()),
        "us admin"
    );
    let table = [
        ("identifier", Value::Null),
        ("identifier", json!([{"system": "x", "value": "1"}])),
        ("identifier", identifiers(&["1", "2"])),
        ("identifier", json!([{"system": TASK_IDENTIFIER}])),
        ("requester", organization("them")),
        ("requester", practitioner("admin")),
        ("restriction", recipients(&[organization("them")])),
        ("output", json!([{"valueString": "x"}])),
        ("input", json!([input("business-key", "k")])),
        (
            "input",
            json!([input("message-name", "a"), input("message-name", "b")]),
        ),
        (
            "instantiatesCanonical",
            json!("http://dsf.dev/Process/x|1.0"),
        ),
    ];
    for (member, value) in table {
        let new = put(&draft(), member, value);
        assert!(world().create(&us(), &new).is_err(), "{new}");
        assert!(world().update(&us(), &draft(), &new).is_err(), "{new}");
    }
    let taken = World::with(stored(&draft()));
    assert_eq!(
        taken.create(&us(), &put(&draft(), "id", Value::Null)),
        Err(Reason::AlreadyExists)
    );
    assert_eq!(
        taken.update(&us(), &draft(), &put(&draft(), "description", json!("x"))),
        Ok(Reason::TransitionAllowed)
    );
    let renamed = put(&draft(), "identifier", identifiers(&["another"]));
    assert_eq!(
        taken.update(&us(), &draft(), &renamed),
        Err(Reason::ImmutableChanged)
    );
}

#[test]
fn a_task_is_seen_by_recipient_admins_and_requester_and_a_draft_by_every_local_person() {
    let table = [
        (stored(&task_of(organization("us"))), "us admin"),
        (stored(&task_of(practitioner("admin"))), "us admin"),
        (
            stored(&task_of(practitioner("practitioner"))),
            "us admin practitioner",
        ),
        (stored(&task_of(organization("them"))), "us admin them"),
        (stored(&task_of(organization("others"))), "us admin others"),
        (stored(&draft()), "us admin practitioner"),
    ];
    for (task, expected) in table {
        assert_eq!(who(|i| world().reads(i, &task)), expected, "read {task}");
        assert_eq!(who(|i| world().finds(i, &task)), expected, "search {task}");
    }
    let reader = with_rights(person("p", "DIC_USER"), &[(Operation::Read, &[])]);
    assert_eq!(
        world().ask_for(Operation::Read, &reader, &stored(&task())),
        Err(Reason::NotInvolved)
    );
    assert_eq!(
        world().ask_for(Operation::Read, &reader, &stored(&draft())),
        Ok(Reason::LocalDraft)
    );
    // An organisation that is not stored yet is not the one that a Task lacks.
    let early = with_rights(Identity::initial_loader(), &[(Operation::Read, &[])]);
    let mut of_nobody = stored(&task());
    of_nobody["requester"] = json!({"type": "Organization"});
    assert_eq!(
        world().ask_for(Operation::Read, &early, &of_nobody),
        Err(Reason::NotInvolved)
    );
}

const STATUSES: [&str; 8] = [
    "draft",
    "requested",
    "accepted",
    "cancelled",
    "in-progress",
    "on-hold",
    "failed",
    "completed",
];

#[test]
fn six_transitions_and_no_other() {
    let transitions = [
        ("draft", "draft"),
        ("requested", "in-progress"),
        ("requested", "failed"),
        ("in-progress", "in-progress"),
        ("in-progress", "completed"),
        ("in-progress", "failed"),
    ];
    for old in STATUSES {
        for new in STATUSES {
            let base = if old == "draft" { draft() } else { task() };
            let (before, after) = (
                put(&base, "status", json!(old)),
                put(&base, "status", json!(new)),
            );
            let expected = if transitions.contains(&(old, new)) {
                "us admin"
            } else {
                ""
            };
            assert_eq!(
                who(|i| world().update(i, &stored(&before), &after).is_ok()),
                expected,
                "{old} → {new}"
            );
        }
    }
}

#[test]
fn requester_restriction_process_and_input_stay() {
    let (key, extra) = (
        input("business-key", "k"),
        json!({"type": {"text": "x"}, "valueString": "x"}),
    );
    let running = put(
        &put(&task(), "status", json!("in-progress")),
        "input",
        json!([input("message-name", "start"), key]),
    );
    let table = [
        ("requester", organization("them"), false),
        (
            "requester",
            put(&organization("us"), "display", json!("x")),
            false,
        ),
        (
            "requester",
            with_reference(&organization("us"), "Organization/them-id"),
            false,
        ),
        (
            "requester",
            with_reference(&organization("us"), "Organization/us-id"),
            true,
        ),
        ("restriction", recipients(&[organization("them")]), false),
        (
            "restriction",
            json!({"recipient": [organization("us")], "period": {"start": "2026"}}),
            false,
        ),
        (
            "instantiatesCanonical",
            json!("http://dsf.dev/bpe/Process/ping|1.1"),
            false,
        ),
        (
            "input",
            json!([input("message-name", "start"), key, extra]),
            false,
        ),
        ("input", json!([input("message-name", "start")]), false),
        ("input", json!([key, input("message-name", "start")]), false),
        (
            "input",
            json!([
                input("message-name", "start"),
                input("business-key", "other")
            ]),
            false,
        ),
        ("output", json!([extra]), true),
        ("description", json!("x"), true),
        ("authoredOn", json!("2026-02-02"), true),
        ("identifier", json!([{"system": "x", "value": "x"}]), true),
    ];
    let stored = stored(&running);
    for (member, value, ok) in table {
        for status in ["in-progress", "completed", "failed"] {
            let new = put(
                &put(&running, member, value.clone()),
                "status",
                json!(status),
            );
            let expected = if ok {
                Ok(Reason::TransitionAllowed)
            } else {
                Err(Reason::UnchangedSetChanged)
            };
            assert_eq!(world().update(&us(), &stored, &new), expected, "{new}");
        }
    }
}

#[test]
fn a_task_gets_its_business_key_once_and_no_output_when_it_starts() {
    let (start, key) = (input("message-name", "start"), input("business-key", "k"));
    let extra = json!({"type": {"text": "x"}, "valueString": "x"});
    let output = json!([extra]);
    let table = [
        (
            "in-progress",
            json!([start, key]),
            Value::Null,
            Ok(Reason::TransitionAllowed),
        ),
        (
            "in-progress",
            json!([key, start]),
            Value::Null,
            Ok(Reason::TransitionAllowed),
        ),
        (
            "in-progress",
            json!([start, key]),
            output.clone(),
            Err(Reason::OutputTooEarly),
        ),
        (
            "in-progress",
            json!([start, input("correlation-key", "k")]),
            Value::Null,
            Err(Reason::UnchangedSetChanged),
        ),
        (
            "in-progress",
            json!([start, key, extra]),
            Value::Null,
            Err(Reason::UnchangedSetChanged),
        ),
        (
            "failed",
            json!([start]),
            output.clone(),
            Ok(Reason::TransitionAllowed),
        ),
        (
            "failed",
            json!([start, key]),
            output,
            Ok(Reason::TransitionAllowed),
        ),
        (
            "failed",
            json!([start, extra]),
            Value::Null,
            Err(Reason::UnchangedSetChanged),
        ),
    ];
    let old = stored(&task());
    for (status, inputs, output, expected) in table {
        let new = put(
            &put(&put(&task(), "status", json!(status)), "input", inputs),
            "output",
            output,
        );
        assert_eq!(world().update(&us(), &old, &new), expected, "{new}");
    }
    let keyed = put(&task(), "input", json!([start, key]));
    let other = put(
        &put(&task(), "status", json!("in-progress")),
        "input",
        json!([start, input("business-key", "other")]),
    );
    assert_eq!(
        world().update(&us(), &stored(&keyed), &other),
        Err(Reason::UnchangedSetChanged)
    );
    let later = put(&keyed, "status", json!("in-progress"));
    let running = put(&task(), "status", json!("in-progress"));
    assert_eq!(
        world().update(&us(), &stored(&running), &later),
        Err(Reason::UnchangedSetChanged),
        "too late for a key"
    );
}

#[test]
fn without_its_process_a_task_can_only_fail() {
    let gone = World::new();
    let step = |old: &str, new: &str| {
        let (old, new) = (
            put(&task(), "status", json!(old)),
            put(&task(), "status", json!(new)),
        );
        gone.update(&us(), &stored(&old), &new)
    };
    assert_eq!(
        step("requested", "in-progress"),
        Err(Reason::UnknownProcess)
    );
    assert_eq!(
        step("in-progress", "completed"),
        Err(Reason::UnknownProcess)
    );
    assert_eq!(
        step("in-progress", "in-progress"),
        Err(Reason::UnknownProcess)
    );
    assert_eq!(step("requested", "failed"), Ok(Reason::TransitionAllowed));
    assert_eq!(step("in-progress", "failed"), Ok(Reason::TransitionAllowed));
    let running = put(&task(), "status", json!("in-progress"));
    let bare = put(
        &put(&running, "status", json!("completed")),
        "meta",
        json!({"profile": ["http://example.org/base"]}),
    );
    assert_eq!(
        world().update(&us(), &stored(&running), &bare),
        Err(Reason::UnknownProcess),
        "another profile"
    );
}

#[test]
fn only_drafts_are_deleted_by_us_and_admins() {
    for status in STATUSES {
        let task = put(&stored(&draft()), "status", json!(status));
        let expected = if status == "draft" { "us admin" } else { "" };
        for operation in [Operation::Delete, Operation::PermanentDelete] {
            assert_eq!(
                who(|i| world().ask_for(operation, i, &task).is_ok()),
                expected,
                "{operation:?} {status}"
            );
        }
    }
}
