//! The corners of the rules: literal references next to identifiers, empty values, rights of their
//! own, and the longest and shortest of what has a length.

use serde_json::{Value, json};

use super::content::good;
use super::process::{all, input, process, someone, task_of};
use super::questionnaire_response::{completed, response};
use super::task::{draft, stored};
use super::world::*;
use crate::auth::Identity;
use crate::fhir::authorize::{Operation, Outline, Reason, outline};
use crate::r4::ResourceType;

fn world() -> World {
    World::with(process(
        &[all("LOCAL_ALL"), all("REMOTE_ALL")],
        &[all("LOCAL_ALL")],
    ))
}

fn with_reference(reference: &Value, literal: &str) -> Value {
    put(reference, "reference", json!(literal))
}

/// §4.5: a literal reference wins over an identifier, and means us only if it is our Organization.
#[test]
fn a_literal_reference_means_us_if_it_is_our_organization() {
    let us_ = organization("us");
    let literal = |text: &str| json!({"reference": text});
    let table = [
        (
            "requester",
            with_reference(&us_, "Organization/us-id"),
            None,
        ),
        (
            "requester",
            with_reference(&us_, "Endpoint/us-id"),
            Some(Reason::BadRequester),
        ),
        ("recipient", literal("Organization/us-id"), None),
        (
            "recipient",
            literal(&format!("{BASE}/Organization/us-id/_history/3")),
            None,
        ),
        (
            "recipient",
            with_reference(&us_, "Organization/us-id"),
            None,
        ),
        (
            "recipient",
            literal("Organization/them-id"),
            Some(Reason::BadRecipient),
        ),
        (
            "recipient",
            literal("Endpoint/us-id"),
            Some(Reason::BadRecipient),
        ),
        (
            "recipient",
            with_reference(&organization("them"), "Organization/us-id"),
            Some(Reason::BadRecipient),
        ),
    ];
    for (party, reference, refusal) in table {
        let task = task_of(us_.clone());
        let new = match party {
            "requester" => put(&task, "requester", reference),
            _ => put(&task, "restriction", json!({"recipient": [reference]})),
        };
        let expected = refusal.map_or(Ok(Reason::ProcessAllows), Err);
        assert_eq!(world().create(&us(), &new), expected, "{new}");
    }
    let admin = person("admin", "DSF_ADMIN");
    let named = with_reference(&practitioner("admin"), "Practitioner/p");
    assert_eq!(
        world().create(&admin, &task_of(named)),
        Ok(Reason::ProcessAllows)
    );
}

/// §2.8: the loader of the initial resources is the local organisation, under a name of its own.
#[test]
fn drafts_of_the_initial_resources_are_from_and_for_us() {
    let loader = Identity::initial_loader();
    assert_eq!(World::new().create(&loader, &draft()), Ok(Reason::HasRight));
}

/// §4.2: no operation but the event of a socket asks for a right besides its own.
#[test]
fn a_right_stands_for_itself() {
    let group = open("Group", json!({}));
    let only = |operation| with_rights(person("p", "DIC_USER"), &[(operation, &[])]);
    let world = World::new();
    assert!(world.create(&only(Operation::Create), &group).is_ok());
    assert!(
        world
            .update(&only(Operation::Update), &group, &group)
            .is_ok()
    );
    assert!(
        world
            .ask_for(Operation::Delete, &only(Operation::Delete), &group)
            .is_ok()
    );
    assert_eq!(
        world.create(&only(Operation::Update), &group),
        Err(Reason::NoRight)
    );
}

/// §4.4: a reference needs a reference, a value must not be empty.
#[test]
fn a_member_that_says_nothing_is_not_there() {
    let nobody = json!({"display": "x"});
    let table = [
        ("PractitionerRole", "organization", nobody.clone()),
        ("PractitionerRole", "practitioner", nobody.clone()),
        ("OrganizationAffiliation", "organization", nobody.clone()),
        ("OrganizationAffiliation", "endpoint", json!([nobody])),
        (
            "Organization",
            "identifier",
            json!([{"system": ORGANIZATION, "value": ""}]),
        ),
        (
            "Endpoint",
            "identifier",
            json!([{"system": "http://dsf.dev/sid/endpoint-identifier", "value": ""}]),
        ),
    ];
    for (kind, member, value) in table {
        let new = put(&good(kind), member, value);
        assert!(World::new().create(&us(), &new).is_err(), "{new}");
    }
    let dashed = put(
        &good("Endpoint"),
        "address",
        json!("https://fhir-1.example.org/fhir"),
    );
    assert_eq!(World::new().create(&us(), &dashed), Ok(Reason::HasRight));
}

/// A key that the resource itself holds already stands in nobody's way.
#[test]
fn what_a_resource_holds_itself_is_free_for_it() {
    let url = format!("{DSF}/StructureDefinition/extension-certificate-thumbprint");
    let thumbprint = json!({"url": url, "valueString": "cd".repeat(64)});
    let old = good("Organization");
    let mut new = old.clone();
    new["extension"].as_array_mut().unwrap().push(thumbprint);
    assert_eq!(
        World::with(new.clone()).update(&us(), &old, &new),
        Ok(Reason::HasRight)
    );
}

/// §4.5: the pattern of `instantiatesCanonical`.
#[test]
fn labels_and_versions_of_a_process_url_have_their_letters_and_lengths() {
    let create = |canonical: &str| {
        let task = task_of(organization("us"));
        world().create(
            &us(),
            &put(&task, "instantiatesCanonical", json!(canonical)),
        )
    };
    let of_domain = |domain: &str| format!("http://{domain}/bpe/Process/ping|1.1");
    let long = |count: usize| "a".repeat(count);
    for well_formed in [
        of_domain(&format!("{}.org", long(63))),
        of_domain(&format!("dsf.{}", long(63))),
    ] {
        assert_eq!(create(&well_formed), Err(Reason::UnknownProcess));
    }
    for malformed in [
        "http://dsf.dev/bpe/Process/ping|x.0".to_owned(),
        "http://dsf.dev/bpe/Process/ping|.0".to_owned(),
        "http://dsf.dev/bpe/Process/ping|1.".to_owned(),
        of_domain("a_b.dev"),
        of_domain("ab-.dev"),
        of_domain("dsf."),
        of_domain(&format!("{}.org", long(64))),
        of_domain(&format!("dsf.{}", long(64))),
    ] {
        assert_eq!(
            create(&malformed),
            Err(Reason::BadProcessReference),
            "{malformed}"
        );
    }
}

/// §4.6: deep equality, but for the references that the server added.
#[test]
fn inputs_are_the_same_with_and_without_the_references_we_added() {
    let sent = json!({"type": {"text": "x"}, "valueReference": organization("them")});
    let mut kept = sent.clone();
    kept["valueReference"]["reference"] = json!("Organization/them-id");
    let inputs = |more: &Value| json!([input("message-name", "start"), more]);
    let running = put(&task_of(organization("us")), "status", json!("in-progress"));
    let old = stored(&put(&running, "input", inputs(&kept)));
    for shown in [&sent, &kept] {
        let new = put(&running, "input", inputs(shown));
        assert_eq!(
            world().update(&us(), &old, &new),
            Ok(Reason::TransitionAllowed),
            "{shown}"
        );
    }
}

/// §4.8.
#[test]
fn a_user_task_is_whole_when_it_comes_and_when_it_is_answered() {
    let role = |coding: Value| json!([{"url": "practitioner-role", "valueCoding": coding}]);
    let named = |identifier: Value| json!([{"url": "practitioner", "valueIdentifier": identifier}]);
    for parts in [
        named(json!({"system": PRACTITIONER})),
        named(json!({"value": "p@example.org"})),
        role(json!({"system": "s"})),
        role(json!({"code": "c"})),
        json!([{"url": "practitioner-role"}]),
    ] {
        let url = format!("{DSF}/StructureDefinition/extension-questionnaire-authorization");
        let extension = json!([{"url": url, "extension": parts}]);
        let new = put(&response(), "extension", extension);
        assert_eq!(
            World::new().create(&us(), &new),
            Err(Reason::BadQuestionnaireResponse),
            "{new}"
        );
    }
    let answer = completed(&response(), someone(&us()));
    assert_eq!(
        World::new().update(
            &us(),
            &response(),
            &put(&answer, "questionnaire", Value::Null)
        ),
        Err(Reason::BadQuestionnaireResponse)
    );
}

/// §4.8: what the server wrote need not come back, and what it added may.
#[test]
fn stopping_and_amending_take_what_we_showed_in_every_form() {
    let bare = put(&response(), "meta", json!({"versionId": "1"}));
    let stopped = put(&put(&bare, "status", json!("stopped")), "meta", Value::Null);
    assert_eq!(
        World::new().update(&us(), &bare, &stopped),
        Ok(Reason::TransitionAllowed)
    );
    let mut old = completed(&response(), organization("us"));
    old["author"]["reference"] = json!("Organization/us-id");
    let amended = put(&old, "status", json!("amended"));
    assert_eq!(
        World::new().update(&us(), &old, &amended),
        Ok(Reason::TransitionAllowed)
    );
}

/// What `dsf auth matrix` prints of Tasks and user tasks (§4.5, §4.8).
#[test]
fn the_printed_matrix_tells_drafts_and_transitions_apart() {
    let [task, user_task] = [ResourceType::Task, ResourceType::QuestionnaireResponse];
    let table = [
        (us(), task, Operation::Create, Outline::OwnNameAndDrafts),
        (us(), task, Operation::Update, Outline::Transitions),
        (us(), user_task, Operation::Create, Outline::InProgress),
        (us(), user_task, Operation::Read, Outline::All),
        (remote("them"), task, Operation::Create, Outline::OwnName),
        (remote("them"), user_task, Operation::Read, Outline::No),
        (
            person("p", "DIC_USER"),
            task,
            Operation::Create,
            Outline::OwnName,
        ),
        (
            person("p", "DIC_USER"),
            task,
            Operation::Update,
            Outline::No,
        ),
        (
            person("p", "DIC_USER"),
            user_task,
            Operation::Read,
            Outline::Named,
        ),
        (
            person("p", "DIC_USER"),
            user_task,
            Operation::Update,
            Outline::Named,
        ),
    ];
    for (identity, kind, operation, expected) in table {
        let printed = outline(&identity, operation, kind);
        assert_eq!(
            printed,
            expected,
            "{} {operation:?} {kind}",
            identity.name()
        );
    }
}
