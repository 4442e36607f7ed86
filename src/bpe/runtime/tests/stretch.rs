//! Jobs of an instance that follow each other are done by one lease (spec/bpmn.md §5.5).

use super::*;
use crate::bpe::engine::Trigger;
use crate::store::bpe::{job, snapshot};

/// So many asynchronous service tasks one after the other.
fn chain(count: usize) -> String {
    let mut text = r#"<startEvent id="n0"/>"#.to_owned();
    for number in 1..=count {
        let before = number - 1;
        text.push_str(&format!(
            r#"<sequenceFlow id="f{number}" sourceRef="n{before}" targetRef="n{number}"/>
            <serviceTask id="n{number}" camunda:class="Work" camunda:asyncBefore="true"/>"#
        ));
    }
    text
}

async fn take(store: &Store) -> Vec<job::Taken> {
    let take = async |conn: &mut _| job::take(conn, 10, 60.0).await;
    store.read(take).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_follow_each_other_are_stored_one_by_one_under_one_lease() {
    let store = store().await;
    let code = Code::new(|_| Performed::Done);
    let runtime = node(&store, Arc::clone(&code) as _);
    let definition = deployed(&store, "p", &file("p", &chain(5))).await;
    begin(&runtime, definition, Variables::new()).await;

    let mut taken = take(&store).await;
    let advance = runtime.run_taken(&taken.pop().unwrap()).await.unwrap();
    assert!(matches!(advance, Advance::Done), "{advance:?}");
    assert_eq!(code.called(), ["n1", "n2", "n3", "n4", "n5"]);
    let instances = async |conn: &mut _| snapshot::instances(conn).await;
    let instances = store.read(instances).await.unwrap();
    assert!(!instances[0].runs, "it has ended");
    let look = look(&store, instances[0].id).await.unwrap().unwrap();
    let completed = look
        .history
        .iter()
        .filter(|event| event.event == "completed");
    assert_eq!(completed.count(), 6, "the start and each task");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_on_the_way_leaves_what_was_done_before() {
    let store = store().await;
    let code = Code::new(|activity| match activity.node.as_str() {
        "n3" => Performed::Failed {
            kind: "broken".to_owned(),
            message: "no".to_owned(),
        },
        _ => Performed::Done,
    });
    let runtime = node(&store, Arc::clone(&code) as _);
    let definition = deployed(&store, "p", &file("p", &chain(4))).await;
    let instance = begin(&runtime, definition, Variables::new()).await;

    let mut taken = take(&store).await;
    runtime.run_taken(&taken.pop().unwrap()).await.unwrap();
    assert_eq!(code.called(), ["n1", "n2", "n3"]);
    let state = state(&store, instance).await.unwrap();
    let jobs: Vec<_> = state.jobs().collect();
    assert_eq!((jobs.len(), jobs[0].activity.as_str()), (1, "n3"));
    assert_eq!(jobs[0].retries, 2, "one of three is used up");
    let again = runtime.trigger(
        instance,
        Trigger::Cancel {
            reason: "over".to_owned(),
        },
    );
    assert!(
        matches!(again.await.unwrap(), Advance::Done),
        "the lease is given back"
    );
}
