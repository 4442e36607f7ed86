//! What becomes of Tasks that find no process, no receiver, or more than one (spec/bpe.md §3.4, §3.5,
//! §12.3 N1 to N3).

use std::sync::Arc;

use super::harness::organization::{Request, input_text, outputs};
use super::harness::{Organization, Package, Process, World};

const TALK: &str = "http://example.org/bpe/Process/talk|1.0";

fn talk<'a>(message: &'a str, profile: &'a str, key: Option<&'a str>) -> Request<'a> {
    Request {
        process: TALK,
        profile,
        message,
        business_key: key,
        inputs: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_nobody_can_take_fails_with_the_reason_that_peers_know() {
    let world = Arc::new(World::recorded());
    let package = Package::of_tests("exchange");
    let hospital = Organization::start(&world, "bpe-a", &package, &[]).await;
    hospital.offers(&[TALK]).await;
    let local = hospital.local();

    // N1: the server knows the process, no plugin brings it.
    let process = Process::deploy(&local).await;
    let unknown = local.create(&process.task("Test_Organization")).await;
    let unknown = hospital.ended(unknown["id"].as_str().unwrap()).await;
    assert_eq!(unknown["status"], "failed");
    let error = |text: &str| [("error".to_owned(), text.to_owned())];
    assert_eq!(outputs(&unknown), error("Process not found"));
    let key = input_text(&unknown, "business-key");
    assert!(key.parse::<uuid::Uuid>().is_ok(), "a key is added: {key:?}");

    // N3: a message for a conversation that never was.
    let profile = "http://example.org/fhir/StructureDefinition/task-first|1.0";
    let lost = hospital
        .ask("bpe-b", &talk("first", profile, Some("never")))
        .await;
    let lost = hospital.ended(&lost).await;
    assert_eq!(lost["status"], "failed");
    let text = "Process with start message-name 'first' not found";
    assert_eq!(outputs(&lost), error(text));
    assert_eq!(lost["meta"]["versionId"], "3", "claimed, then failed");
}

/// N2: the same key twice starts two instances.
#[tokio::test(flavor = "multi_thread")]
async fn two_conversations_of_one_key_run_side_by_side() {
    let world = Arc::new(World::recorded());
    let package = Package::of_tests("exchange");
    let keys = ["bpe.message-grace=1s", "bpe.send-deadline=1s"];
    let hospital = Organization::start(&world, "bpe-a", &package, &keys).await;
    hospital.offers(&[TALK]).await;
    let profile = "http://example.org/fhir/StructureDefinition/task-talk|1.0";
    let mut tasks = Vec::new();
    for _ in 0..2 {
        tasks.push(
            hospital
                .ask("bpe-a", &talk("talk", profile, Some("one")))
                .await,
        );
    }
    // There is no partner: both instances run, and both end by their deadline.
    for id in tasks {
        let ended = hospital.ended(&id).await;
        assert_eq!(ended["status"], "failed", "{ended:#}");
        assert_eq!(input_text(&ended, "business-key"), "one");
        let (_, reason) = outputs(&ended).remove(0);
        assert!(
            reason.contains("send failed [recipient: External_Test_Organization"),
            "{reason}"
        );
    }
}
