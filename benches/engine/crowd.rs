//! Whether many cost each one more: receivers of one instance, and instances that wait.

use std::sync::Arc;
use std::time::Instant;

use dsf::bpe::engine::Trigger;
use dsf::bpe::runtime::{Advance, whole_state};
use dsf::store::Store;
use uuid::Uuid;

use super::figures::Figures;
use super::{Code, begin, connected, deployed, node, setting, steps};

/// Completions that are timed, of however many receivers there are.
const COMPLETIONS: usize = 200;

fn model(count: usize) -> String {
    format!(
        r#"<startEvent id="start"/>
        <sequenceFlow id="a" sourceRef="start" targetRef="wait"/>
        <receiveTask id="wait"><multiInstanceLoopCharacteristics>
            <loopCardinality>{count}</loopCardinality></multiInstanceLoopCharacteristics>
        </receiveTask>
        <sequenceFlow id="b" sourceRef="wait" targetRef="end"/>
        <endEvent id="end"/>"#
    )
}

/// One receiver after the other of a parallel multi-instance is served.
pub async fn receivers(store: &Store) {
    for count in [COMPLETIONS + 10, 1_000, 10_000] {
        let definition = deployed(store, &format!("many{count}"), &model(count)).await;
        let runtime = node(store, Arc::<Code>::default());
        let instance = begin(&runtime, definition).await;
        let state = whole_state(store, instance).await.unwrap().unwrap();
        let mut times = Vec::new();
        let begun = Instant::now();
        let frames: Vec<_> = state.waiting().map(|(frame, _, _)| frame).collect();
        for frame in frames.into_iter().take(COMPLETIONS) {
            let started = Instant::now();
            let go_on = Trigger::Continue {
                frame,
                settings: Vec::new(),
                outcome: dsf::bpe::engine::Outcome::Done,
            };
            let advance = runtime.trigger(instance, go_on).await.unwrap();
            assert!(matches!(advance, Advance::Done), "{advance:?}");
            times.push(started.elapsed());
        }
        let whole = begun.elapsed();
        Figures { times, whole }.print(&format!("completions, 1 of {count} receivers"), None);
    }
}

/// Steps beside instances that only wait.
pub async fn waiting(store: &Store, url: &str, definition: Uuid) {
    let count = setting("CROWD", 10_000);
    let alone = steps(store, url, definition, 8).await;
    let template = deployed(store, "template", &model(1)).await;
    let runtime = node(store, Arc::<Code>::default());
    let one = begin(&runtime, template).await;
    let admin = connected(url).await;
    let copy = format!(
        "INSERT INTO bpe.instance (id, definition, state, rev, lease_epoch) \
         SELECT gen_random_uuid(), definition, state, rev, lease_epoch FROM bpe.instance, \
             generate_series(1, {count}) WHERE id = '{one}'"
    );
    admin.batch_execute(&copy).await.unwrap();
    let before = resident();
    let crowded = steps(store, url, definition, 8).await;
    crowded.print_rate(&format!("durable steps beside {count} waiting"), &alone);
    let grown = resident().saturating_sub(before);
    println!("{:<42} {:>10} MiB", "memory for them", grown >> 20);
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
