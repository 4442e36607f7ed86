//! The acceptance suite of spec/bpe.md §12: models and resources of DSF's own test plugin, unchanged,
//! with activities in JavaScript.
//!
//! Where the suite answers forms from inside the process, the test does it here: an instance does one
//! thing at a time, and so could not wait for itself. A Java plugin widens the ActivityDefinition by a
//! modifier; the test does that on the server.

use std::sync::Arc;

use serde_json::{Value, json};

use super::harness::organization::{
    Request, completed, input_text, organization, outputs, practitioner, text,
};
use super::harness::package::Manifest;
use super::harness::sample::path;
use super::harness::socket::subscribe;
use super::harness::{Listener, Organization, Package, World};

const PROCESS: &str = "http://dsf.dev/bpe/Process/test|2.0";
const TEST: &str = "http://dsf.dev/fhir/CodeSystem/test";

/// Branches of the process with the least number of checks that succeed in them; the number of the
/// case in §12.2.
const BRANCHES: &[(u8, &str, usize)] = &[
    (2, "Api", 7),
    (3, "OrganizationProvider", 11),
    (4, "EndpointProvider", 15),
    (8, "FieldInjectionTest", 3),
    (9, "ErrorBoundaryEventTest", 2),
    (10, "ExceptionTest", 1),
    (11, "ContinueSendTest", 3),
    (12, "JsonVariableTest", 3),
    (16, "FhirBinaryVariableTest", 4),
    (18, "DsfClientTest", 8),
    (19, "TargetProviderTest", 9),
    (21, "AutowireTest", 2),
];

async fn hospital() -> Option<Organization> {
    let package = Package::published(&Manifest {
        name: "dsf-bpe-test-plugin-v2",
        version: "2.0.0.0",
        api: 2,
        processes: &[("dsfdev_test", "bpmn/test.bpmn")],
        more: "[capabilities]\nlocal-fhir = \"write\"\n",
    })?;
    let world = Arc::new(World::recorded());
    let hospital = Organization::start(&world, "bpe-a", &package, &[]).await;
    hospital.offers(&[PROCESS]).await;
    let query = "ActivityDefinition?url=http://dsf.dev/bpe/Process/test&version=2.0";
    let mut definition = hospital.local().search(query).await.remove(0);
    let mut second = definition["extension"][0].clone();
    for part in second["extension"].as_array_mut().unwrap() {
        if part["url"] == "message-name" {
            part["valueString"] = json!("continue-send-test");
        } else if part["url"] == "task-profile" {
            let profile = "http://dsf.dev/fhir/StructureDefinition/task-continue-send-test|2.0";
            part["valueCanonical"] = json!(profile);
        }
    }
    definition["extension"].as_array_mut().unwrap().push(second);
    let answer = hospital.local().put(&path(&definition), &definition).await;
    assert_eq!(answer.status, 200, "{answer}");
    Some(hospital)
}

async fn start(hospital: &Organization, branch: &str, key: Option<&str>) -> String {
    let request = Request {
        process: PROCESS,
        profile: "http://dsf.dev/fhir/StructureDefinition/task-test|2.0",
        message: "start",
        business_key: key,
        inputs: vec![text(TEST, "test-activity", branch)],
    };
    hospital.ask("bpe-a", &request).await
}

/// What is wrong with a branch that is over, by the assertions of §12.1.
fn verdict(task: &Value, checks: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    if task["status"] != "completed" || task["meta"]["versionId"] != "3" {
        let (status, version) = (&task["status"], &task["meta"]["versionId"]);
        wrong.push(format!(
            "{status} in version {version}: {:?}",
            outputs(task)
        ));
    }
    if input_text(task, "business-key")
        .parse::<uuid::Uuid>()
        .is_err()
    {
        wrong.push("no business key of its own".to_owned());
    }
    let (good, bad): (Vec<_>, Vec<_>) = outputs(task)
        .into_iter()
        .partition(|(code, _)| code == "test-method-succeeded");
    wrong.extend(
        bad.into_iter()
            .map(|(code, text)| format!("{code}: {text}")),
    );
    if good.len() < checks {
        wrong.push(format!("{} of {checks} checks: {good:?}", good.len()));
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn every_branch_without_people_ends_with_all_its_checks() {
    let Some(hospital) = hospital().await else {
        return;
    };
    let mut tasks = Vec::new();
    for (case, branch, checks) in BRANCHES {
        tasks.push((case, branch, *checks, start(&hospital, branch, None).await));
    }
    let mut wrong = Vec::new();
    for (case, branch, checks, id) in tasks {
        let task = hospital.ended(&id).await;
        let found = verdict(&task, checks);
        wrong.extend(
            found
                .iter()
                .map(|text| format!("case {case} {branch}: {text}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let continued = hospital.tasks("continue-send-test").await;
    assert_eq!(continued.len(), 1);
    assert_eq!(
        continued[0]["status"], "completed",
        "case 11: both Tasks end"
    );
}

/// §12.1: what is deployed, and the three frames that somebody sees who listens to Tasks of a profile.
#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_is_deployed_as_published_and_its_tasks_can_be_watched() {
    let Some(hospital) = hospital().await else {
        return;
    };
    let local = hospital.local();
    for (query, count) in [
        (
            "ActivityDefinition?url=http://dsf.dev/bpe/Process/test&version=2.0",
            1,
        ),
        (
            "CodeSystem?url=http://dsf.dev/fhir/CodeSystem/test&version=2.0",
            1,
        ),
        (
            "ValueSet?url=http://dsf.dev/fhir/ValueSet/test&version=2.0",
            1,
        ),
        (
            "StructureDefinition?url=http://dsf.dev/fhir/StructureDefinition/task-test&version=2.0",
            1,
        ),
        (
            "Questionnaire?url=http://dsf.dev/fhir/Questionnaire/test&version=2.0",
            1,
        ),
    ] {
        assert_eq!(local.search(query).await.len(), count, "{query}");
    }
    let criteria = "Task?_profile:below=http://dsf.dev/fhir/StructureDefinition/task-test";
    let subscription = subscribe(&local, criteria).await;
    let mut socket = Listener::bound(&local, &subscription).await;
    let task = start(&hospital, "FieldInjectionTest", None).await;
    for (version, status) in [("1", "requested"), ("2", "in-progress"), ("3", "completed")] {
        let frame = socket.event().await;
        assert_eq!(
            (&frame["id"], &frame["status"]),
            (&json!(task), &json!(status))
        );
        assert_eq!(frame["meta"]["versionId"], version);
    }
    assert!(socket.is_silent().await);
}

/// Cases 22 to 25: forms for everybody, for a role, for a person, for several persons.
#[tokio::test(flavor = "multi_thread")]
async fn forms_are_answered_by_those_whom_the_model_names() {
    let Some(hospital) = hospital().await else {
        return;
    };
    let cases = [
        ("QuestionnaireTest", json!([])),
        ("QuestionnaireTestRole", json!(["DIC_USER"])),
        ("QuestionnaireTestIdentifier", json!(["dic-user@test.org"])),
        (
            "QuestionnaireTestIdentifierMulti",
            json!(["dic-user@test.org", "foo@invalid", "bar@invalid"]),
        ),
    ];
    for (branch, admitted) in cases {
        let key = uuid::Uuid::new_v4().to_string();
        let task = start(&hospital, branch, Some(&key)).await;
        let form = hospital.form(&key, "in-progress").await;
        let parts = form["extension"][0]["extension"].as_array();
        let named: Vec<_> = parts
            .into_iter()
            .flatten()
            .map(|part| match &part["valueCoding"]["code"] {
                Value::Null => part["valueIdentifier"]["value"].clone(),
                code => code.clone(),
            })
            .collect();
        assert_eq!(json!(named), admitted, "{branch}");
        assert_eq!(form["author"]["identifier"]["value"], "Test_Organization");
        answer(&hospital, branch, &form).await;
        let ended = hospital.ended(&task).await;
        assert_eq!(verdict(&ended, 6), Vec::<String>::new(), "{branch}");
        let amended = hospital.form(&key, "amended").await;
        assert!(amended["authored"].is_string() && amended["author"].is_object());
    }
}

/// As the local organisation where nobody is named, else first as one who is not admitted.
async fn answer(hospital: &Organization, branch: &str, form: &Value) {
    let answers = [
        ("string-example", json!({"valueString": "an answer"})),
        ("url-example", json!({"valueUri": "http://test.com/foo"})),
    ];
    let by = |author| completed(form, author, &answers);
    let mailbox = hospital.mailbox();
    if branch == "QuestionnaireTest" {
        let given = by(organization(hospital.identifier()));
        let taken = hospital.local().put(&path(form), &given).await;
        assert_eq!(taken.status, 200, "{branch}: {taken}");
        return;
    }
    let refused = by(practitioner("uac-user@test.org"));
    let refusal = mailbox.client("uac-user").put(&path(form), &refused).await;
    assert_eq!(refusal.status, 403, "{branch}: {refusal}");
    assert_eq!(
        mailbox.client("uac-user").get(&path(form)).await.status,
        403
    );
    let given = by(practitioner("dic-user@test.org"));
    let taken = mailbox.client("dic-user").put(&path(form), &given).await;
    assert_eq!(taken.status, 200, "{branch}: {taken}");
}
