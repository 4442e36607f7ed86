//! Spec/bpe.md §3 to the letter: who gets a message, what becomes of its Task, and of the Task that
//! started the process. What is not here is in `task` (no process, no receiver), `outage` (messages
//! that are late, lost or doubled) and `user_task` (§4).

use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::harness::organization::{PATIENCE, Request, input_text, outputs, text};
use super::harness::sample::path;
use super::harness::socket::built_in;
use super::harness::{Listener, Organization, Package, World, until};

pub const LETTER: &str = "http://example.org/bpe/Process/letter|1.0";
const INPUT: &str = "http://example.org/fhir/CodeSystem/letter";
const MESSAGE: &str = "http://dsf.dev/fhir/CodeSystem/bpmn-message";

async fn hospital() -> Organization {
    let world = Arc::new(World::recorded());
    let package = Package::of_tests("letter");
    let keys = ["bpe.message-grace=10s"];
    let hospital = Organization::start(&world, "bpe-a", &package, &keys).await;
    hospital.offers(&[LETTER]).await;
    hospital
}

fn letter<'a>(message: &'a str, profile: &'a str, key: &'a str, inputs: Vec<Value>) -> Request<'a> {
    Request {
        process: LETTER,
        profile,
        message,
        business_key: Some(key),
        inputs,
    }
}

/// Starts the process on one of its ways, whose name is the business key as well.
pub async fn write(hospital: &Organization, way: &str) -> String {
    let profile = "http://example.org/fhir/StructureDefinition/task-write|1.0";
    let inputs = vec![text(INPUT, "way", way)];
    hospital
        .ask("bpe-a", &letter("write", profile, way, inputs))
        .await
}

/// A message for a conversation, perhaps with a correlation key.
pub async fn say(
    hospital: &Organization,
    name: &str,
    key: &str,
    correlation: Option<&str>,
) -> String {
    let profile = format!("http://example.org/fhir/StructureDefinition/task-{name}|1.0");
    let inputs = correlation.map(|key| text(MESSAGE, "correlation-key", key));
    let inputs = inputs.into_iter().collect();
    hospital
        .ask("bpe-a", &letter(name, &profile, key, inputs))
        .await
}

pub async fn completed(hospital: &Organization, task: &str) -> Value {
    let ended = hospital.ended(task).await;
    assert_eq!(ended["status"], "completed", "{ended:#}");
    assert_eq!(
        outputs(&ended).iter().find(|(code, _)| code == "error"),
        None
    );
    ended
}

async fn failed(hospital: &Organization, task: &str) -> String {
    let ended = hospital.ended(task).await;
    assert_eq!(ended["status"], "failed", "{ended:#}");
    assert_eq!(ended["meta"]["versionId"], "3", "claimed, then failed");
    let (code, reason) = outputs(&ended).remove(0);
    assert_eq!(code, "error");
    reason
}

/// §3.5, §12.3 N13: business, alternative and correlation keys.
#[tokio::test(flavor = "multi_thread")]
async fn keys_say_which_receiver_a_message_is_for() {
    let hospital = hospital().await;
    let start = write(&hospital, "correlated").await;
    let wrong = say(&hospital, "answer", "correlated", Some("wrong")).await;
    assert_eq!(failed(&hospital, &wrong).await, "Unable to correlate Task");
    assert_eq!(hospital.task(&start).await["status"], "in-progress");
    let right = say(&hospital, "answer", "correlated", Some("right")).await;
    for task in [start, right] {
        completed(&hospital, &task).await;
    }

    // A message without a correlation key is for whoever waits for its name.
    let start = write(&hospital, "correlated").await;
    let any = say(&hospital, "answer", "correlated", None).await;
    for task in [start, any] {
        completed(&hospital, &task).await;
    }

    let start = write(&hospital, "alternative").await;
    // Only then it has its other name.
    hospital.waits("answer", 1).await;
    let renamed = say(&hospital, "answer", "another name", None).await;
    let ended = completed(&hospital, &renamed).await;
    assert_eq!(input_text(&ended, "business-key"), "another name");
    let ended = completed(&hospital, &start).await;
    assert_eq!(input_text(&ended, "business-key"), "alternative");

    // Two receivers of one name.
    let start = write(&hospital, "ambiguous").await;
    hospital.waits("answer", 2).await;
    let whose = say(&hospital, "answer", "ambiguous", None).await;
    assert_eq!(failed(&hospital, &whose).await, "Unable to correlate Task");
    assert_eq!(hospital.task(&start).await["status"], "in-progress");
}

/// §3.6, §8.4, §8.5, §14 #23: which end completes which Task.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_complete_at_the_end_of_its_scope() {
    let hospital = hospital().await;
    let start = write(&hospital, "inner").await;
    let answer = say(&hospital, "answer", "inner", None).await;
    completed(&hospital, &answer).await;
    assert_eq!(
        hospital.task(&start).await["status"],
        "in-progress",
        "its scope goes on"
    );
    let last = say(&hospital, "last", "inner", None).await;
    for task in [start, last] {
        completed(&hospital, &task).await;
    }

    // Message boundary events and event sub-processes take Tasks, too.
    for way in ["boundary", "apart"] {
        let start = write(&hospital, way).await;
        let answer = say(&hospital, "answer", way, None).await;
        for task in [start, answer] {
            completed(&hospital, &task).await;
        }
    }

    // An error end event completes as any other.
    let start = write(&hospital, "error").await;
    completed(&hospital, &start).await;

    // Listeners before the end may still change the Task; those at the end find it completed.
    let start = write(&hospital, "listener").await;
    let ended = completed(&hospital, &start).await;
    let seen = |code: &str, status: &str| (code.to_owned(), status.to_owned());
    let both = [seen("before", "in-progress"), seen("after", "completed")];
    assert_eq!(outputs(&ended), both);
    assert_eq!(ended["meta"]["versionId"], "3");

    // Of several end events it is the last one that completes.
    let start = write(&hospital, "branches").await;
    let ended = completed(&hospital, &start).await;
    let both = [seen("after", "in-progress"), seen("after", "completed")];
    assert_eq!(outputs(&ended), both);
}

/// §3.4, §3.5, §6.4, §12.3 N11: code that throws, and a model that leads nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_fails_the_task_with_the_text_that_peers_know() {
    let hospital = hospital().await;
    let start = write(&hospital, "throws").await;
    let reason = failed(&hospital, &start).await;
    let step = "has fatal error in step Throw:";
    assert!(
        reason.starts_with("Process exampleorg_letter|1.0:") && reason.contains(step),
        "{reason}"
    );
    assert!(reason.contains(", reason: too far"), "{reason}");

    let start = write(&hospital, "nowhere").await;
    let reason = failed(&hospital, &start).await;
    assert!(reason.contains("Way"), "the gateway is named: {reason}");
}

/// §3.2, §6.5: what a StartTaskUpdater adds is seen while the process runs.
#[tokio::test(flavor = "multi_thread")]
async fn outputs_are_shown_before_the_process_ends() {
    let hospital = hospital().await;
    let start = write(&hospital, "early").await;
    let early = ("early".to_owned(), "seen while it runs".to_owned());
    until("the output is on the server", PATIENCE, async || {
        let task = hospital.task(&start).await;
        task["status"] == "in-progress" && outputs(&task) == [early.clone()]
    })
    .await;
    assert_eq!(hospital.task(&start).await["meta"]["versionId"], "3");
    say(&hospital, "last", "early", None).await;
    let ended = completed(&hospital, &start).await;
    assert_eq!(outputs(&ended), [early]);
}

/// §3.6, §14 #17: a Task that somebody changed meanwhile is completed all the same; one that somebody
/// has ended stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_changed_by_others_is_read_again() {
    let hospital = hospital().await;
    let changed = write(&hospital, "boundary").await;
    let ended = write(&hospital, "inner").await;
    let by_hand = text(INPUT, "by-hand", "of somebody else");
    for (id, status) in [(&changed, "in-progress"), (&ended, "failed")] {
        let mut task = hospital.task_when(id, "in-progress").await;
        task["status"] = json!(status);
        task["output"] = json!([by_hand]);
        let put = hospital.local().put(&path(&task), &task).await;
        assert_eq!(put.status, 200, "{put}");
    }
    say(&hospital, "last", "boundary", None).await;
    completed(&hospital, &changed).await;
    say(&hospital, "answer", "inner", None).await;
    let last = say(&hospital, "last", "inner", None).await;
    completed(&hospital, &last).await;
    assert_eq!(
        hospital.task(&ended).await["status"],
        "failed",
        "somebody's decision"
    );
}

/// §3.4 step 6, §14 #11, §12.3 N4: whoever has the Task before us keeps it, and nothing starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_somebody_else_has_taken_starts_nothing() {
    let hospital = hospital().await;
    // Who has taken up a Task listens to the mailbox.
    let listening = write(&hospital, "correlated").await;
    hospital.task_when(&listening, "in-progress").await;
    // The engine is told of the Task while it cannot move, and of nothing that happens to it then.
    hospital.engine().signal(Signal::SIGSTOP);
    let local = hospital.local();
    let subscription = built_in(&local, "Task?status=requested").await;
    let mut socket = Listener::bound(&local, &subscription).await;
    let profile = "http://example.org/fhir/StructureDefinition/task-write|1.0";
    let inputs = vec![text(INPUT, "way", "early")];
    let request = letter("write", profile, "taken", inputs);
    let id = hospital.ask("bpe-a", &request).await;
    while socket.event().await["id"] != id.as_str() {}
    let mut task = hospital.task(&id).await;
    task["status"] = json!("failed");
    let taken = hospital.local().put(&path(&task), &task).await;
    assert_eq!(taken.status, 200, "{taken}");
    hospital.engine().signal(Signal::SIGCONT);
    until("the engine gives way", PATIENCE, async || {
        hospital
            .engine()
            .log()
            .contains("claim refused, nothing is started")
    })
    .await;
    // Nobody takes what a process that runs would wait for.
    let last = say(&hospital, "last", "taken", None).await;
    let nobody = "Process with start message-name 'last' not found";
    assert_eq!(failed(&hospital, &last).await, nobody);
    let left = hospital.task(&id).await;
    assert_eq!(
        (&left["status"], &left["meta"]["versionId"]),
        (&json!("failed"), &json!("2"))
    );
}

/// §3.3, §3.7, §14 #12, §12.3 N6: a process that is retired while a message is on its way. The server
/// lets nobody work on its Tasks any more, and takes no new ones; the reason is the one peers know.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_a_retired_process_fails_and_its_instance_stays() {
    let mut hospital = hospital().await;
    let start = write(&hospital, "inner").await;
    hospital.task_when(&start, "in-progress").await;
    hospital.stop_engine();
    let late = say(&hospital, "answer", "inner", None).await;
    hospital
        .keys
        .push("bpe.retired=exampleorg_letter|1.0".to_owned());
    hospital.start_engine().await;
    let ended = hospital.ended(&late).await;
    assert_eq!(
        (&ended["status"], &ended["meta"]["versionId"]),
        (&json!("failed"), &json!("2"))
    );
    let reason = ("error".to_owned(), "Process not found".to_owned());
    assert_eq!(outputs(&ended), [reason]);
    let profile = "http://example.org/fhir/StructureDefinition/task-answer|1.0";
    let request = hospital.request("bpe-a", &letter("answer", profile, "inner", Vec::new()));
    let refused = hospital.local().post("Task", &request).await;
    assert_eq!(refused.status, 403, "{refused}");
    assert_eq!(hospital.task(&start).await["status"], "in-progress");

    // Offered again, it goes on where it was.
    hospital.stop_engine();
    hospital.keys.pop();
    hospital.start_engine().await;
    hospital.offers(&[LETTER]).await;
    let answer = say(&hospital, "answer", "inner", None).await;
    let last = say(&hospital, "last", "inner", None).await;
    for task in [answer, last, start] {
        completed(&hospital, &task).await;
    }
}
