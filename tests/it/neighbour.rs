//! Plugins of one node side by side: what one does wrong harms no other.

use std::sync::Arc;

use super::harness::organization::{Request, outputs};
use super::harness::{Organization, Package, World};

const CALM: &str = "http://example.org/bpe/Process/calm|1.0";
const UNRULY: &str = "http://example.org/bpe/Process/unruly|1.0";
const WORKER: &str = "http://worker.example.org/bpe/Process/unruly|1.0";

async fn ask(hospital: &Organization, process: &str, message: &str) -> String {
    let (domain, _) = process.split_once("/bpe/").unwrap();
    let profile = format!("{domain}/fhir/StructureDefinition/task-{message}|1.0");
    let request = Request {
        process,
        profile: &profile,
        message,
        business_key: None,
        inputs: Vec::new(),
    };
    hospital.ask("bpe-a", &request).await
}

async fn succeeds(hospital: &Organization, process: &str, message: &str) {
    let ended = hospital.ended(&ask(hospital, process, message).await).await;
    assert_eq!(ended["status"], "completed", "{ended:#}");
}

async fn fails(hospital: &Organization, task: &str, reason: &str) {
    let ended = hospital.ended(task).await;
    assert_eq!(ended["status"], "failed", "{ended:#}");
    let (code, text) = outputs(&ended).remove(0);
    assert_eq!(code, "error");
    assert!(text.contains(reason), "{reason} is missing in {text}");
}

/// Design §6: a plugin that fails to load, loops, or eats memory harms nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_misbehaves_is_stopped_and_its_neighbour_goes_on_meanwhile() {
    let world = Arc::new(World::recorded());
    let package = Package::of_tests("calm")
        .with(&Package::of_tests("unruly"))
        .with(&Package::of_tests("unruly-worker"));
    // Long, so that the loops go on however slow this machine is.
    let keys = ["bpe.compute-limit=1h", "bpe.threads=2"];
    let mut hospital = Organization::start(&world, "bpe-a", &package, &keys).await;
    hospital.offers(&[CALM, UNRULY, WORKER]).await;

    // More than there are threads.
    let mut loops = Vec::new();
    for process in [UNRULY, UNRULY, WORKER] {
        loops.push(ask(&hospital, process, "loop").await);
    }
    for task in &loops {
        hospital.task_when(task, "in-progress").await;
    }
    succeeds(&hospital, CALM, "calm").await;
    for (message, in_javascript, in_python) in [
        ("throw", "thrown on purpose", "thrown on purpose"),
        ("allocate", "out of memory", "MemoryError"),
        ("rubbish", "cannot be kept as JSON", "rubbish"),
    ] {
        let task = ask(&hospital, UNRULY, message).await;
        fails(&hospital, &task, in_javascript).await;
        let task = ask(&hospital, WORKER, message).await;
        fails(&hospital, &task, in_python).await;
        succeeds(&hospital, CALM, "calm").await;
    }
    for task in &loops {
        assert_eq!(hospital.task(task).await["status"], "in-progress", "still");
    }

    // With another limit the same calls, which nobody has ended, are stopped.
    hospital.kill_engine();
    hospital.set_keys(&["bpe.compute-limit=5s", "bpe.threads=2"]);
    hospital.start_engine().await;
    for task in &loops {
        fails(&hospital, task, "the code computed longer than 5s").await;
    }
    // Neither is a plugin out of service for what one call did.
    succeeds(&hospital, UNRULY, "behave").await;
    succeeds(&hospital, WORKER, "behave").await;
}
