//! What people do to running instances (`spec/bpmn.md` S-JOB-5, S-DEF-7).

use serde_json::json;

use super::*;
use crate::store::bpe::control;

const MODEL: &str = r#"<startEvent id="s"/><sequenceFlow id="f1" sourceRef="s" targetRef="a"/>
    <serviceTask id="a" camunda:class="a" camunda:asyncBefore="true"/>
    <sequenceFlow id="f2" sourceRef="a" targetRef="b"/>
    <serviceTask id="b" camunda:class="b"/>
    <sequenceFlow id="f3" sourceRef="b" targetRef="u"/><userTask id="u"/>
    <sequenceFlow id="f4" sourceRef="u" targetRef="e"/><endEvent id="e"/>"#;

/// `b` fails unless the variable `ready` says otherwise.
fn picky() -> Arc<Code> {
    Code::new(|activity| match activity.visible.get("ready") {
        _ if activity.node != "b" => Performed::Done,
        Some(Variable::Boolean(true)) => Performed::Done,
        _ => Performed::Failed {
            kind: "Unready".to_owned(),
            message: "not ready".to_owned(),
        },
    })
}

/// Asks, lets the node do it, and says what became of it.
async fn done(runtime: &Runtime, instance: Uuid, action: Action) -> String {
    let wish = ask(&runtime.store, "tester", instance, &action)
        .await
        .unwrap();
    let rows = runtime
        .store
        .read(async |conn| control::take(conn, 10, 60.0).await)
        .await
        .unwrap();
    for row in rows {
        runtime.control(&row).await.unwrap();
    }
    let rows = runtime
        .store
        .read(async |conn| control::by_ids(conn, &[wish]).await)
        .await
        .unwrap();
    rows[0].outcome.clone().unwrap()
}

async fn waits(store: &Store, instance: Uuid) -> Vec<(String, bool)> {
    let found = look(store, instance).await.unwrap().unwrap();
    let waits = found.waits.into_iter();
    waits.map(|wait| (wait.activity, wait.incident)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_retried_after_its_cause_is_gone_and_all_of_it_is_written_down() {
    let store = store().await;
    let code = picky();
    let runtime = node(&store, code.clone());
    let definition = deployed(&store, "p", &file("p", MODEL)).await;
    let instance = begin(&runtime, definition, Variables::new()).await;
    run_jobs(&runtime).await;
    assert_eq!(waits(&store, instance).await, [("a".to_owned(), true)]);

    let retry = Action::Retry { activity: None };
    assert_eq!(done(&runtime, instance, retry.clone()).await, "done");
    run_jobs(&runtime).await;
    assert_eq!(waits(&store, instance).await, [("a".to_owned(), true)]);
    let ready = Action::setting("ready", Some(&json!(true)));
    let set = Action::Set {
        variables: vec![ready],
    };
    assert_eq!(done(&runtime, instance, set).await, "done");
    assert_eq!(done(&runtime, instance, retry.clone()).await, "done");
    run_jobs(&runtime).await;
    assert_eq!(waits(&store, instance).await, [("u".to_owned(), false)]);
    let nothing = done(&runtime, instance, retry).await;
    assert!(nothing.contains("no incident"), "{nothing}");

    let found = look(&store, instance).await.unwrap().unwrap();
    let actions: Vec<_> = found
        .controls
        .iter()
        .map(|it| &it.action["action"])
        .collect();
    assert_eq!(actions, ["retry", "set", "retry", "retry"]);
    assert!(found.controls.iter().all(|it| it.actor == "tester"));
}

#[tokio::test(flavor = "multi_thread")]
async fn skipping_leaves_out_the_code_that_failed_and_no_other() {
    let store = store().await;
    let code = picky();
    let runtime = node(&store, code.clone());
    let definition = deployed(&store, "p", &file("p", MODEL)).await;
    let instance = begin(&runtime, definition, Variables::new()).await;
    run_jobs(&runtime).await;
    code.called.lock().unwrap().clear();
    let skip = Action::Skip { activity: None };
    assert_eq!(done(&runtime, instance, skip).await, "done");
    assert_eq!(code.called(), ["a"]);
    assert_eq!(waits(&store, instance).await, [("u".to_owned(), false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_instance_stands_still_until_it_is_resumed() {
    let store = store().await;
    let code = Code::new(|_| Performed::Done);
    let runtime = node(&store, code.clone());
    let definition = deployed(&store, "p", &file("p", MODEL)).await;
    let instance = begin(&runtime, definition, Variables::new()).await;
    assert_eq!(done(&runtime, instance, Action::Pause).await, "done");
    run_jobs(&runtime).await;
    assert!(code.called().is_empty());
    assert!(look(&store, instance).await.unwrap().unwrap().paused);
    assert_eq!(done(&runtime, instance, Action::Resume).await, "done");
    run_jobs(&runtime).await;
    assert_eq!(code.called(), ["a", "b"]);
    let cancel = Action::Cancel {
        reason: "stopped".to_owned(),
    };
    assert_eq!(done(&runtime, instance, cancel.clone()).await, "done");
    let found = look(&store, instance).await.unwrap().unwrap();
    assert_eq!(found.outcome.as_deref(), Some("canceled: stopped"));
    assert!(
        done(&runtime, instance, cancel)
            .await
            .contains("does not run")
    );
}
