//! Call activities, start timers and loops without a wait.

use super::*;
use crate::bpe::engine::Trigger;
use crate::store::bpe::{history, page, snapshot};

const PARENT: &str = r#"<startEvent id="s"/><sequenceFlow id="f1" sourceRef="s" targetRef="c"/>
    <callActivity id="c" calledElement="child"><extensionElements>
        <camunda:out source="result" target="result"/></extensionElements></callActivity>
    <sequenceFlow id="f2" sourceRef="c" targetRef="u"/><userTask id="u"/>"#;
const CHILD: &str = r#"<startEvent id="s"/><sequenceFlow id="f1" sourceRef="s" targetRef="a"/>
    <userTask id="a"/><sequenceFlow id="f2" sourceRef="a" targetRef="e"/><endEvent id="e"/>"#;

async fn running(store: &Store) -> Vec<snapshot::Instance> {
    let all = store
        .read(async |conn| snapshot::instances(conn).await)
        .await;
    all.unwrap().into_iter().filter(|it| it.runs).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_called_instance_and_what_follows_are_one_step() {
    let store = store().await;
    let runtime = node(&store, Code::new(|_| Performed::Done));
    deployed(&store, "child", &file("child", CHILD)).await;
    let parent = deployed(&store, "parent", &file("parent", PARENT)).await;
    let instance = begin(&runtime, parent, Variables::new()).await;
    let child = running(&store)
        .await
        .into_iter()
        .find(|it| it.caller == Some(instance));
    let child = child.unwrap().id;
    let task = state(&store, child)
        .await
        .unwrap()
        .tasks()
        .next()
        .unwrap()
        .id;
    let variables = Variables::from([("result".to_owned(), Variable::from("fine"))]);
    let local = Variables::new();
    let complete = Trigger::Complete {
        task,
        variables,
        local,
    };
    let advance = runtime.trigger(child, complete).await.unwrap();
    assert!(matches!(advance, Advance::Done), "{advance:?}");
    assert!(state(&store, child).await.is_none());
    let above = state(&store, instance).await.unwrap();
    assert_eq!(variable(&above, "result"), Some(Variable::from("fine")));
    assert_eq!(above.tasks().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_the_caller_cancels_what_it_has_called() {
    let store = store().await;
    let runtime = node(&store, Code::new(|_| Performed::Done));
    deployed(&store, "child", &file("child", CHILD)).await;
    let parent = deployed(&store, "parent", &file("parent", PARENT)).await;
    let instance = begin(&runtime, parent, Variables::new()).await;
    assert_eq!(running(&store).await.len(), 2);
    runtime.cancel(instance, "enough").await.unwrap();
    assert!(running(&store).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_without_a_wait_becomes_an_incident_and_harms_nobody() {
    const CIRCLE: &str = r#"<startEvent id="s"/><sequenceFlow id="f1" sourceRef="s" targetRef="a"/>
        <exclusiveGateway id="a" camunda:asyncBefore="true"/>
        <sequenceFlow id="f2" sourceRef="a" targetRef="b"/>
        <serviceTask id="b" camunda:class="b"/>
        <sequenceFlow id="f3" sourceRef="b" targetRef="a2"/><manualTask id="a2"/>
        <sequenceFlow id="f4" sourceRef="a2" targetRef="b"/>"#;
    let store = store().await;
    let runtime = node(&store, Code::new(|_| Performed::Done));
    let definition = deployed(&store, "p", &file("p", CIRCLE)).await;
    let instance = begin(&runtime, definition, Variables::new()).await;
    run_jobs(&runtime).await;
    let found = look(&store, instance).await.unwrap().unwrap();
    assert!(found.waits[0].incident, "{found:?}");
    assert!(found.waits[0].detail.contains("circles"), "{found:?}");
    assert_eq!(
        found.history.iter().filter(|it| it.activity == "b").count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_timer_fires_once_for_each_time_and_belongs_to_the_newest_model() {
    let model = |cycle: &str| {
        let content = format!(
            r#"<startEvent id="s"><timerEventDefinition><timeCycle>{cycle}</timeCycle>
            </timerEventDefinition></startEvent>
            <sequenceFlow id="f1" sourceRef="s" targetRef="u"/><userTask id="u"/>"#
        );
        file("p", &content)
    };
    let store = store().await;
    let runtime = node(&store, Code::new(|_| Performed::Done));
    deployed(&store, "p", &model("R/PT9H")).await;
    deployed(&store, "p", &model("R2/PT1H")).await;
    // A second deployment of the same content changes nothing.
    deployed(&store, "p", &model("R2/PT1H")).await;
    let timers = async || {
        let all = store
            .read(async |conn| definition::timers(conn).await)
            .await;
        all.unwrap()
    };
    let first = timers().await;
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].due.to_jiff().as_second(), 3600);
    runtime.clock.advance(jiff::SignedDuration::from_hours(1));
    assert!(matches!(
        runtime.fire(first[0].clone()).await.unwrap(),
        Advance::Done
    ));
    // Another node that saw the same row comes too late.
    assert!(matches!(
        runtime.fire(first[0].clone()).await.unwrap(),
        Advance::Stale
    ));
    let second = timers().await;
    assert_eq!(second[0].due.to_jiff().as_second(), 7200);
    runtime.clock.advance(jiff::SignedDuration::from_hours(1));
    assert!(matches!(
        runtime.fire(second[0].clone()).await.unwrap(),
        Advance::Done
    ));
    assert!(timers().await.is_empty());
    let filter = history::Filter {
        running: Some(true),
        most: 10,
        ..history::Filter::default()
    };
    let listed = store
        .read(async |conn| history::list(conn, filter).await)
        .await;
    assert_eq!(listed.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_of_a_megabyte_is_stored_once_and_leaves_when_nobody_needs_it() {
    const TWO: &str = r#"<startEvent id="s"/><sequenceFlow id="f1" sourceRef="s" targetRef="a"/>
        <userTask id="a"/><sequenceFlow id="f2" sourceRef="a" targetRef="b"/><userTask id="b"/>"#;
    let store = store().await;
    let runtime = node(&store, Code::new(|_| Performed::Done));
    let definition = deployed(&store, "p", &file("p", TWO)).await;
    let large = "x".repeat(1 << 20);
    let variables = Variables::from([("large".to_owned(), Variable::from(large.as_str()))]);
    let instance = begin(&runtime, definition, variables).await;
    let stored = store.read(async |conn| page::whole(conn, instance).await);
    assert!(stored.await.unwrap().unwrap().0.len() < 4096);
    let found = look(&store, instance).await.unwrap().unwrap();
    assert_eq!(found.variables[0].value, serde_json::json!(large));

    let task = state(&store, instance)
        .await
        .unwrap()
        .tasks()
        .next()
        .unwrap()
        .id;
    let (variables, local) = (Variables::new(), Variables::new());
    let complete = Trigger::Complete {
        task,
        variables,
        local,
    };
    runtime.trigger(instance, complete).await.unwrap();
    let found = look(&store, instance).await.unwrap().unwrap();
    assert_eq!(found.waits[0].activity, "b");
    assert_eq!(found.variables[0].value, serde_json::json!(large));

    let removal = Action::setting("large", None);
    let settings = vec![removal];
    let frame = None;
    runtime
        .trigger(instance, Trigger::Set { frame, settings })
        .await
        .unwrap();
    let stored = store.read(async |conn| page::whole(conn, instance).await);
    assert!(!stored.await.unwrap().unwrap().0.contains("apart"));
}
