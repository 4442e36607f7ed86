//! §4.8, §5.1: user tasks.

use serde_json::{Value, json};

use super::process::someone;
use super::world::*;
use crate::fhir::authorize::{Operation, Reason};

fn item(link_id: &str, answer: &str) -> Value {
    json!({"linkId": link_id, "answer": [{"valueString": answer}]})
}

pub(super) fn response() -> Value {
    json!({"resourceType": "QuestionnaireResponse", "id": "it", "status": "in-progress", "questionnaire": "http://q|1.0",
        "meta": {"versionId": "1", "lastUpdated": "2026-01-01T00:00:00.000Z", "profile": ["p"]},
        "item": [item("user-task-id", "u"), item("business-key", "k")]})
}

pub(super) fn authorization(persons: &[&str], roles: &[&str]) -> Value {
    let role_system = format!("{DSF}/CodeSystem/practitioner-role");
    let persons = persons.iter().map(|p| json!({"url": "practitioner", "valueIdentifier": {"system": PRACTITIONER, "value": format!("{p}@example.org")}}));
    let roles = roles.iter().map(
        |r| json!({"url": "practitioner-role", "valueCoding": {"system": role_system, "code": r}}),
    );
    json!([{"url": format!("{DSF}/StructureDefinition/extension-questionnaire-authorization"),
            "extension": persons.chain(roles).collect::<Vec<_>>()}])
}

pub(super) fn completed(response: &Value, author: Value) -> Value {
    put(
        &put(
            &put(response, "status", json!("completed")),
            "author",
            author,
        ),
        "authored",
        json!("2026-01-01"),
    )
}

#[test]
fn the_engine_and_admins_create_user_tasks_that_are_in_progress() {
    let world = World::new();
    assert_eq!(who(|i| world.create(i, &response()).is_ok()), "us admin");
    for status in ["completed", "amended", "stopped", "entered-in-error"] {
        assert_eq!(
            world.create(&us(), &put(&response(), "status", json!(status))),
            Err(Reason::BadStatus)
        );
    }
    let two_answers =
        json!([{"linkId": "user-task-id", "answer": [{"valueString": "a"}, {"valueString": "b"}]}]);
    let mut nameless = authorization(&["p"], &[]);
    nameless[0]["extension"][0]["valueIdentifier"]
        .as_object_mut()
        .unwrap()
        .remove("system");
    let table = [
        ("item", json!([]), false),
        (
            "item",
            json!([item("user-task-id", "a"), item("user-task-id", "a")]),
            false,
        ),
        ("item", json!([{"linkId": "user-task-id"}]), false),
        ("item", two_answers, false),
        (
            "item",
            json!([{"linkId": "user-task-id", "answer": [{"valueInteger": 1}]}]),
            false,
        ),
        (
            "item",
            json!([item("user-task-id", "a"), {"linkId": "question"}]),
            true,
        ),
        ("questionnaire", Value::Null, false),
        ("extension", authorization(&["p"], &["DIC_USER"]), true),
        ("extension", nameless, false),
    ];
    for (member, value, ok) in table {
        let expected = if ok {
            Ok(Reason::HasRight)
        } else {
            Err(Reason::BadQuestionnaireResponse)
        };
        assert_eq!(
            world.create(&us(), &put(&response(), member, value.clone())),
            expected,
            "{member} {value}"
        );
    }
}

#[test]
fn the_stored_authorisation_says_who_sees_and_answers() {
    let world = World::new();
    let mut foreign_role = authorization(&[], &["DIC_USER"]);
    foreign_role[0]["extension"][0]["valueCoding"]["system"] = json!("x");
    let table = [
        (Value::Null, "us admin practitioner"),
        (
            authorization(&["practitioner"], &[]),
            "us admin practitioner",
        ),
        (authorization(&["nobody"], &[]), "us admin"),
        (authorization(&[], &["DIC_USER"]), "us admin practitioner"),
        (authorization(&[], &["HRP_USER"]), "us admin"),
        (authorization(&[], &["DSF_ADMIN"]), "us admin"),
        (
            authorization(&["nobody"], &["HRP_USER", "DIC_USER"]),
            "us admin practitioner",
        ),
        (foreign_role, "us admin"),
        (authorization(&[], &[]), "us admin"),
    ];
    for (extension, expected) in table {
        let old = put(&response(), "extension", extension.clone());
        assert_eq!(who(|i| world.reads(i, &old)), expected, "read {extension}");
        assert_eq!(
            who(|i| world.update(i, &old, &completed(&old, someone(i))).is_ok()),
            expected,
            "answer {extension}"
        );
        if extension.is_null() {
            assert_eq!(
                who(|i| world.finds(i, &old)),
                "us admin",
                "search asks for the extension"
            );
        } else {
            assert_eq!(
                who(|i| world.finds(i, &old)),
                expected,
                "search {extension}"
            );
        }
    }
    let old = put(&response(), "extension", authorization(&["nobody"], &[]));
    let forged = put(&old, "extension", authorization(&["practitioner"], &[]));
    let practitioner = person("practitioner", "DIC_USER");
    let answer = completed(&forged, someone(&practitioner));
    assert_eq!(
        world.update(&practitioner, &old, &answer),
        Err(Reason::NotNamedByQuestionnaire)
    );
    let mut other_system = authorization(&["practitioner"], &[]);
    other_system[0]["extension"][0]["valueIdentifier"]["system"] = json!("x");
    let old = put(&response(), "extension", other_system);
    assert_eq!(
        (
            world.reads(&practitioner, &old),
            world.finds(&practitioner, &old)
        ),
        (false, true),
        "§5.1 table"
    );
}

#[test]
fn three_transitions_and_no_other() {
    let statuses = [
        "in-progress",
        "completed",
        "amended",
        "stopped",
        "entered-in-error",
    ];
    for old in statuses {
        for new in statuses {
            let expected = match (old, new) {
                ("in-progress", "completed") => "us admin practitioner",
                ("in-progress", "stopped") | ("completed", "amended") => "us admin",
                _ => "",
            };
            let before = put(&response(), "status", json!(old));
            let allowed = who(|i| {
                let answered = completed(&before, someone(i));
                let after = if new == "completed" {
                    answered
                } else {
                    put(&before, "status", json!(new))
                };
                World::new().update(i, &before, &after).is_ok()
            });
            assert_eq!(allowed, expected, "{old} → {new}");
        }
    }
}

#[test]
fn everybody_answers_in_the_own_name() {
    let untyped = put(&organization("us"), "type", Value::Null);
    let mut other_system = practitioner("admin");
    other_system["identifier"]["system"] = json!("x");
    let table = [
        (us(), organization("us"), true),
        (us(), organization("them"), false),
        (us(), untyped, false),
        (us(), practitioner("admin"), false),
        (us(), Value::Null, false),
        (person("admin", "DSF_ADMIN"), practitioner("admin"), true),
        (
            person("admin", "DSF_ADMIN"),
            practitioner("practitioner"),
            false,
        ),
        (person("admin", "DSF_ADMIN"), other_system, false),
        (person("admin", "DSF_ADMIN"), organization("us"), false),
    ];
    for (identity, author, ok) in table {
        let new = completed(&response(), author.clone());
        let expected = if ok {
            Ok(Reason::TransitionAllowed)
        } else {
            Err(Reason::BadAuthor)
        };
        assert_eq!(
            World::new().update(&identity, &response(), &new),
            expected,
            "{} {author}",
            identity.name()
        );
    }
    let undated = put(
        &completed(&response(), organization("us")),
        "authored",
        Value::Null,
    );
    assert_eq!(
        World::new().update(&us(), &response(), &undated),
        Err(Reason::BadAuthor)
    );
}

#[test]
fn an_answer_keeps_what_the_engine_needs() {
    let old = put(&response(), "extension", authorization(&["p"], &[]));
    let [id, key] = [item("user-task-id", "u"), item("business-key", "k")];
    let table = [
        ("item", json!([id, key, item("question", "so")]), true),
        ("item", json!([item("user-task-id", "other"), key]), false),
        ("item", json!([id, item("business-key", "other")]), false),
        ("item", json!([id]), false),
        ("questionnaire", json!("http://q"), false),
        ("extension", authorization(&["p", "q"], &[]), false),
        ("extension", Value::Null, false),
        ("subject", json!({"display": "x"}), true),
    ];
    for (member, value, ok) in table {
        let new = put(&completed(&old, organization("us")), member, value.clone());
        let expected = if ok {
            Ok(Reason::TransitionAllowed)
        } else {
            Err(Reason::ImmutableChanged)
        };
        assert_eq!(
            World::new().update(&us(), &old, &new),
            expected,
            "{member} {value}"
        );
    }
}

#[test]
fn stopping_and_amending_change_nothing_but_the_status() {
    let answered = completed(&response(), organization("us"));
    let mut stored = answered.clone();
    stored["author"]["reference"] = json!("Organization/us-id");
    let amended = put(&answered, "status", json!("amended"));
    let update = |new: &Value| World::new().update(&us(), &stored, new);
    assert_eq!(update(&amended), Ok(Reason::TransitionAllowed));
    assert_eq!(
        update(&put(&amended, "authored", json!("2020-01-01"))),
        Err(Reason::ImmutableChanged)
    );
    assert_eq!(
        update(&put(&amended, "item", json!([item("user-task-id", "u")]))),
        Err(Reason::ImmutableChanged)
    );
    assert_eq!(
        update(&put(&amended, "meta", json!({"profile": ["p"]}))),
        Ok(Reason::TransitionAllowed)
    );
    assert_eq!(
        update(&put(
            &amended,
            "meta",
            json!({"profile": ["p"], "tag": [tag("ALL")]})
        )),
        Err(Reason::ImmutableChanged)
    );
}

#[test]
fn user_tasks_are_deleted_by_us_and_admins_in_any_state() {
    for status in ["in-progress", "completed"] {
        let old = put(&response(), "status", json!(status));
        for operation in [Operation::Delete, Operation::PermanentDelete] {
            assert_eq!(
                who(|i| World::new().ask_for(operation, i, &old).is_ok()),
                "us admin"
            );
        }
    }
}
