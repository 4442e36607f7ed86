//! §4.2, §4.3, §5.2: read-access tags and the common rule.

use serde_json::{Value, json};

use super::world::*;
use crate::auth::Identity;
use crate::fhir::authorize::{Operation, Reason, Request, admit};
use crate::r4::ResourceType::{self, Group};

#[test]
fn tags_open_a_resource_to_those_they_name() {
    let world = World::new();
    let table: [(&[Value], &str); 8] = [
        (&[tag("ALL")], "us admin practitioner them others"),
        (&[tag("LOCAL")], "us admin practitioner"),
        (
            &[tag("LOCAL"), tag_organization("them")],
            "us admin practitioner them",
        ),
        (
            &[
                tag("LOCAL"),
                tag_organization("others"),
                tag_organization("inactive"),
            ],
            "us admin practitioner others",
        ),
        (
            &[tag("LOCAL"), tag_role("parent", "DIC")],
            "us admin practitioner them",
        ),
        (
            &[tag("LOCAL"), tag_role("parent", "HRP")],
            "us admin practitioner",
        ),
        (
            &[tag("LOCAL"), tag_role("others", "DIC")],
            "us admin practitioner",
        ),
        (&[], ""),
    ];
    for (tags, expected) in table {
        let stored = tagged("Group", tags, json!({}));
        assert_eq!(who(|i| world.reads(i, &stored)), expected, "read {tags:?}");
        assert_eq!(
            who(|i| world.finds(i, &stored)),
            expected,
            "search {tags:?}"
        );
    }
}

#[test]
fn a_role_counts_in_an_active_parent_only() {
    let stored = tagged(
        "Group",
        &[tag("LOCAL"), tag_role("parent", "DIC")],
        json!({}),
    );
    let mut world = World::new();
    world.memberships[1].1.parent_active = false;
    assert!(!world.reads(&remote("them"), &stored));
    world
        .memberships
        .push(("them", membership("second", "DIC")));
    assert!(!world.reads(&remote("them"), &stored));
}

#[test]
fn partners_write_nothing_and_persons_need_the_right() {
    let world = World::new();
    let stored = open("Group", json!({}));
    let all = "us admin practitioner";
    assert_eq!(who(|i| world.create(i, &stored).is_ok()), all);
    assert_eq!(who(|i| world.update(i, &stored, &stored).is_ok()), all);
    for operation in [
        Operation::Delete,
        Operation::PermanentDelete,
        Operation::Websocket,
    ] {
        assert_eq!(
            who(|i| world.ask_for(operation, i, &stored).is_ok()),
            all,
            "{operation:?}"
        );
    }
    let person = |grants| with_rights(person("p", "DIC_USER"), grants);
    let permanent_only = person(&[(Operation::PermanentDelete, &[])]);
    assert_eq!(
        world.ask_for(Operation::PermanentDelete, &permanent_only, &stored),
        Err(Reason::NoRight)
    );
    let deaf = person(&[(Operation::Websocket, &[])]);
    assert_eq!(
        world.ask_for(Operation::Websocket, &deaf, &stored),
        Err(Reason::NoRight)
    );
    let other_type = person(&[(Operation::Read, &[ResourceType::Task])]);
    assert_eq!(
        world.ask_for(Operation::Read, &other_type, &stored),
        Err(Reason::NoRight)
    );
    assert!(other_type.rights.allow_any(Operation::Read));
}

#[test]
fn a_partner_with_rights_it_should_not_have_stays_out_all_the_same() {
    let mut partner = remote("them");
    partner.rights = us().rights;
    for operation in [
        Operation::Create,
        Operation::Update,
        Operation::Delete,
        Operation::PermanentDelete,
        Operation::Websocket,
    ] {
        assert_eq!(
            verdict(admit(&partner, operation, Group)),
            Err(Reason::NotLocal)
        );
    }
}

#[test]
fn no_operation_is_allowed_on_a_resource_of_another_type_or_none() {
    let world = World::new();
    let group = resource(open("Group", json!({})));
    let wrong = Request::of(Operation::Read, ResourceType::Patient, &group);
    assert_eq!(verdict(world.decide(&us(), &wrong)), Err(Reason::NotStored));
    let none = Request {
        operation: Operation::Update,
        kind: Group,
        old: None,
        new: Some(&group),
    };
    assert_eq!(verdict(world.decide(&us(), &none)), Err(Reason::NotStored));
}

fn organization_tag(value: Value) -> Value {
    let mut tag = tag_organization("them");
    tag["extension"][0]
        .as_object_mut()
        .unwrap()
        .remove("valueIdentifier");
    tag["extension"][0]
        .as_object_mut()
        .unwrap()
        .extend(value.as_object().unwrap().clone());
    tag
}

fn role_tag(change: impl Fn(&mut Vec<Value>)) -> Value {
    let mut tag = tag_role("parent", "DIC");
    change(tag["extension"][0]["extension"].as_array_mut().unwrap());
    tag
}

#[test]
fn read_tag_validity() {
    let (local, all, foreign) = (
        tag("LOCAL"),
        tag("ALL"),
        json!({"system": "http://example.org/tags", "code": "ALL"}),
    );
    let mut versioned = tag_role("parent", "DIC");
    versioned["extension"][0]["extension"][1]["valueCoding"]["version"] = json!("2.0.0");
    let mut outdated = versioned.clone();
    outdated["extension"][0]["extension"][1]["valueCoding"]["version"] = json!("99");
    let mut twice = tag_organization("them");
    let first = twice["extension"][0].clone();
    twice["extension"].as_array_mut().unwrap().push(first);
    let with = |tag: Value| vec![local.clone(), tag];
    let table = [
        (vec![local.clone()], true),
        (vec![all.clone()], true),
        (with(tag_organization("them")), true),
        (vec![tag_organization("them"), local.clone()], true),
        (
            vec![
                local.clone(),
                tag_organization("them"),
                tag_role("parent", "DIC"),
                tag_role("parent", "HRP"),
            ],
            true,
        ),
        (with(tag_organization("inactive")), true),
        (with(tag_role("them", "DIC")), true),
        (with(versioned), true),
        (vec![foreign.clone(), local.clone()], true),
        (vec![], false),
        (vec![foreign], false),
        (vec![json!({"code": "ALL"})], false),
        (vec![tag("PARTNERS")], false),
        (with(tag("EVERYBODY")), false),
        (vec![tag("all")], false),
        (vec![tag_organization("them")], false),
        (vec![tag_role("parent", "DIC")], false),
        (vec![all.clone(), tag_organization("them")], false),
        (vec![all.clone(), tag_role("parent", "DIC")], false),
        (vec![all.clone(), local.clone()], false),
        (vec![all.clone(), all.clone(), local.clone()], false),
        (vec![all.clone(), all], false),
        (with(local.clone()), false),
        (with(tag("ORGANIZATION")), false),
        (with(twice), false),
        (with(organization_tag(json!({}))), false),
        (
            with(organization_tag(json!({"valueString": "them"}))),
            false,
        ),
        (
            with(organization_tag(
                json!({"valueIdentifier": {"system": "http://example.org", "value": "them"}}),
            )),
            false,
        ),
        (
            with(organization_tag(
                json!({"valueIdentifier": {"system": ORGANIZATION}}),
            )),
            false,
        ),
        (with(tag_organization("Them")), false),
        (with(tag("ROLE")), false),
        (with(role_tag(|parts| parts.truncate(1))), false),
        (with(role_tag(|parts| drop(parts.remove(0)))), false),
        (with(role_tag(|parts| parts.push(parts[1].clone()))), false),
        (
            with(role_tag(|parts| {
                parts.push(json!({"url": "x", "valueString": "x"}))
            })),
            false,
        ),
        (with(tag_role("nobody", "DIC")), false),
        (with(tag_role("parent", "BOSS")), false),
        (with(outdated), false),
        (
            vec![
                local.clone(),
                tag_organization("them"),
                tag_organization("nobody"),
            ],
            false,
        ),
    ];
    let (world, stored) = (World::new(), tagged("Group", &[tag("LOCAL")], json!({})));
    let expected = |valid, reason| {
        if valid {
            Ok(Reason::HasRight)
        } else {
            Err(reason)
        }
    };
    for (tags, valid) in table {
        let new = tagged("Group", &tags, json!({}));
        assert_eq!(
            world.create(&us(), &new),
            expected(valid, Reason::BadReadTags),
            "{tags:?}"
        );
        assert_eq!(
            world.update(&us(), &stored, &new),
            expected(valid, Reason::BadReadTags),
            "{tags:?}"
        );
    }
}

#[test]
fn a_binary_follows_its_context_and_has_either_context_or_tags() {
    let bare = |more| put(&tagged("Binary", &[], more), "meta", Value::Null);
    let binary = bare(json!({"securityContext": {"reference": "Group/it"}}));
    let of_partner = |tags: &[Value]| World::with(tagged("Group", tags, json!({})));
    let world = of_partner(&[tag("LOCAL"), tag_organization("them")]);
    assert_eq!(
        who(|i| world.reads(i, &binary)),
        "us admin practitioner them"
    );
    let closed = of_partner(&[tag("LOCAL")]);
    assert_eq!(who(|i| closed.reads(i, &binary)), "us admin practitioner");
    assert_eq!(
        who(|i| World::new().reads(i, &binary)),
        "",
        "the context is gone"
    );
    assert_eq!(
        world.filter(&us(), Operation::Search, ResourceType::Binary),
        {
            crate::fhir::authorize::AccessFilter::KeysOrContext(vec![
                "ALL".into(),
                "ORG:us".into(),
                "LOCAL".into(),
            ])
        }
    );

    let create = |binary: &Value| world.create(&us(), binary).is_ok();
    assert!(create(&binary));
    assert!(create(&open("Binary", json!({}))));
    assert!(!create(&put(&binary, "meta", json!({"tag": [tag("ALL")]}))));
    assert!(!create(&bare(json!({}))));
    for context in [
        json!({"reference": "Group/other"}),
        json!({"reference": "https://them.example.org/fhir/Group/it"}),
        json!({"display": "mine"}),
        json!({"reference": "Task/it"}),
    ] {
        assert!(
            !create(&put(&binary, "securityContext", context.clone())),
            "{context}"
        );
    }
    let absolute = json!({"reference": format!("{BASE}/Group/it")});
    assert!(create(&put(&binary, "securityContext", absolute)));
    let world = World::with(open(
        "Organization",
        json!({"identifier": [{"system": ORGANIZATION, "value": "them"}]}),
    ));
    assert!(
        world
            .create(
                &us(),
                &put(&binary, "securityContext", organization("them"))
            )
            .is_ok()
    );
    for kind in ["Task", "Binary"] {
        let world = World::with(open(kind, json!({"id": "it"})));
        let context = json!({"reference": format!("{kind}/it")});
        assert_eq!(
            world.create(&us(), &put(&binary, "securityContext", context)),
            Err(Reason::BadSecurityContext)
        );
    }
}

#[test]
fn a_user_task_as_context_opens_a_binary_to_nobody() {
    let world = World::with(json!({"resourceType": "QuestionnaireResponse", "id": "it"}));
    let binary = json!({"resourceType": "Binary", "id": "b", "securityContext": {"reference": "QuestionnaireResponse/it"}});
    assert_eq!(who(|i: &Identity| world.reads(i, &binary)), "");
}
