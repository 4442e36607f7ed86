//! User tasks as people see them: forms on the own FHIR server (spec/bpe.md §4, §14 #26 to #29).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::harness::organization::{
    PATIENCE, Request, answer, completed, organization, outputs, practitioner, text,
};
use super::harness::sample::path;
use super::harness::{Organization, Package, World, until};

const PROCESS: &str = "http://example.org/bpe/Process/approve|1.0";
const INPUT: &str = "http://example.org/fhir/CodeSystem/exchange";

async fn hospital() -> Organization {
    let world = Arc::new(World::recorded());
    let package = Package::of_tests("exchange");
    let hospital = Organization::start(&world, "bpe-a", &package, &[]).await;
    hospital.offers(&[PROCESS]).await;
    hospital
}

/// Starts the process; the id of the Task.
async fn approve(hospital: &Organization, key: &str, inputs: &[(&str, &str)]) -> String {
    let inputs = inputs
        .iter()
        .map(|(code, value)| text(INPUT, code, value))
        .collect();
    let request = Request {
        process: PROCESS,
        profile: "http://example.org/fhir/StructureDefinition/task-approve|1.0",
        message: "approve",
        business_key: Some(key),
        inputs,
    };
    hospital.ask("bpe-a", &request).await
}

fn yes(form: &Value, author: Value) -> Value {
    let answers = [
        ("approved", json!({"valueBoolean": true})),
        ("note", json!({"valueString": "fine"})),
    ];
    completed(form, author, &answers)
}

/// §4.2, §4.3, §4.5: who may answer, what a form holds, what becomes of the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_task_is_a_form_that_the_right_person_answers() {
    let hospital = hospital().await;
    let task = approve(&hospital, "key-1", &[]).await;
    let form = hospital.form("key-1", "in-progress").await;
    assert_eq!(
        form["questionnaire"],
        "http://example.org/fhir/Questionnaire/approve|1.0"
    );
    let links: Vec<_> = form["item"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["linkId"].as_str().unwrap())
        .collect();
    assert_eq!(links, ["business-key", "user-task-id", "note", "approved"]);
    assert_eq!(
        answer(&form, "note")["valueString"],
        "for the test",
        "by code"
    );
    assert_eq!(
        answer(&form, "approved")["valueBoolean"],
        false,
        "nobody has said yes"
    );
    let role = &form["extension"][0]["extension"][0]["valueCoding"]["code"];
    assert_eq!(role, "DIC_USER");

    // The running Task shows the way to its form.
    let reference = format!("QuestionnaireResponse/{}", form["id"].as_str().unwrap());
    until("the Task refers to the form", PATIENCE, async || {
        let task = hospital.task(&task).await;
        task["output"][0]["valueReference"]["reference"] == reference.as_str()
            && task["status"] == "in-progress"
    })
    .await;

    let mailbox = hospital.mailbox();
    let refused = yes(&form, practitioner("uac-user@test.org"));
    let refusal = mailbox.client("uac-user").put(&path(&form), &refused).await;
    assert_eq!(refusal.status, 403, "{refusal}");
    let given = yes(&form, practitioner("dic-user@test.org"));
    let taken = mailbox.client("dic-user").put(&path(&form), &given).await;
    assert_eq!(taken.status, 200, "{taken}");

    let ended = hospital.ended(&task).await;
    assert_eq!(ended["status"], "completed", "{ended:#}");
    let noted = outputs(&ended);
    let codes: Vec<_> = noted.iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(codes, ["form", "same-form", "approved"]);
    assert_eq!((noted[1].1.as_str(), noted[2].1.as_str()), ("true", "true"));
    let amended = hospital.form("key-1", "amended").await;
    assert_eq!(amended["item"], given["item"], "only the status changes");
    assert_eq!(amended["author"], given["author"]);
    assert_eq!(amended["meta"]["versionId"], "3");
}

/// §14 #26, #28: the engine dies at any moment; there is one form, and its answer counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_outlives_its_engine_and_so_does_its_answer() {
    let mut hospital = hospital().await;
    let task = approve(&hospital, "key-2", &[]).await;
    let form = hospital.form("key-2", "in-progress").await;
    hospital.kill_engine();
    hospital.start_engine().await;
    hospital.kill_engine();
    let answer = yes(&form, organization(hospital.identifier()));
    let taken = hospital.local().put(&path(&form), &answer).await;
    assert_eq!(taken.status, 200, "{taken}");
    hospital.start_engine().await;
    assert_eq!(hospital.ended(&task).await["status"], "completed");
    hospital.form("key-2", "amended").await;
    let all = hospital
        .local()
        .search("QuestionnaireResponse?_count=100")
        .await;
    assert_eq!(all.len(), 1, "{all:#?}");
}

/// §4.5, §14 #27, §12.3 N7, N8: forms that nobody waits for, and one that somebody stops.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_ends_with_its_user_task_and_a_user_task_with_its_form() {
    let mut hospital = hospital().await;
    let late = approve(&hospital, "late", &[("patience", "PT1S")]).await;
    let refused = approve(&hospital, "refused", &[]).await;
    let stopped = hospital.form("late", "stopped").await;
    assert_eq!(stopped["meta"]["versionId"], "2");
    assert_eq!(hospital.ended(&late).await["status"], "completed");

    // An answer for a user task that the engine does not know stays as it is.
    let open = hospital.form("refused", "in-progress").await;
    let mut foreign = open.clone();
    for member in ["id", "meta"] {
        foreign.as_object_mut().unwrap().shift_remove(member);
    }
    foreign["item"][1]["answer"][0]["valueString"] = json!(uuid::Uuid::new_v4().to_string());
    let foreign = hospital.local().create(&foreign).await;
    let author = organization(hospital.identifier());
    let answered = hospital
        .local()
        .put(&path(&foreign), &yes(&foreign, author))
        .await;
    assert_eq!(answered.status, 200, "{answered}");

    let mut stop = open.clone();
    stop["status"] = json!("stopped");
    let taken = hospital.local().put(&path(&open), &stop).await;
    assert_eq!(taken.status, 200, "{taken}");
    // No Subscription tells of it; an engine that starts looks at once, others every minute.
    hospital.stop_engine();
    hospital.start_engine().await;
    let ended = hospital.ended(&refused).await;
    assert_eq!(ended["status"], "failed", "{ended:#}");
    let reason = format!("{} was stopped", path(&open));
    assert_eq!(outputs(&ended).last().unwrap().1, reason);
    let untouched = hospital.local().get(&path(&foreign)).await.json();
    assert_eq!(untouched["status"], "completed");
}

/// §3.5, §4.2 step 1: a form that cannot be made fails the Task with the reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_task_without_questionnaire_fails_its_task() {
    let hospital = hospital().await;
    let missing = "http://example.org/fhir/Questionnaire/none|1.0";
    let task = approve(&hospital, "key-3", &[("form", missing)]).await;
    let ended = hospital.ended(&task).await;
    assert_eq!(ended["status"], "failed", "{ended:#}");
    let (code, reason) = outputs(&ended).remove(0);
    assert_eq!(code, "error");
    let end = format!("reason: Could not find Questionnaire resource with url|version={missing}");
    assert!(
        reason.starts_with("Process exampleorg_approve|1.0:") && reason.ends_with(&end),
        "{reason}"
    );
}

/// Design §5: the own FHIR server is away when the form is due to end.
#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_the_own_mailbox_is_closed_is_told_when_it_opens() {
    let mut hospital = hospital().await;
    let task = approve(&hospital, "key-4", &[("patience", "PT3S")]).await;
    hospital.form("key-4", "in-progress").await;
    hospital.stop_mailbox();
    // The timer fires meanwhile; Task and form end in the engine's database only.
    tokio::time::sleep(Duration::from_secs(5)).await;
    hospital.open_mailbox().await;
    assert_eq!(hospital.ended(&task).await["status"], "completed");
    hospital.form("key-4", "stopped").await;
}
