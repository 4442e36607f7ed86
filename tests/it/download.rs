//! Ping-pong with download (`plugins/ping-pong-2.0`) between two organisations.

use std::sync::Arc;

use serde_json::{Value, json};

use super::harness::organization::{PATIENCE, Request};
use super::harness::{Organization, Package, World, until};

const PING: &str = "http://dsf.dev/bpe/Process/ping|2.0";
const PONG: &str = "http://dsf.dev/bpe/Process/pong|2.0";

/// Starts a round with so many bytes; the ended Task.
async fn round(own: &Organization, bytes: i64) -> Value {
    let code = json!({"system": "http://dsf.dev/fhir/CodeSystem/ping-v2", "code": "download-resource-size-bytes"});
    let request = Request {
        process: PING,
        profile: "http://dsf.dev/fhir/StructureDefinition/task-start-ping|2.0",
        message: "startPing",
        business_key: None,
        inputs: vec![json!({"type": {"coding": [code]}, "valueInteger": bytes})],
    };
    let task = own.ask("bpe-a", &request).await;
    own.ended(&task).await
}

/// Status, and the urls of what is told beside it.
fn result(task: &Value) -> (String, Vec<String>) {
    let outputs = task["output"].as_array().expect("an output");
    assert_eq!(outputs.len(), 1, "{task:#}");
    let parts = outputs[0]["extension"][0]["extension"].as_array().unwrap();
    let urls = parts
        .iter()
        .map(|part| part["url"].as_str().unwrap().to_owned());
    let status = outputs[0]["valueCoding"]["code"].as_str().unwrap();
    (status.to_owned(), urls.collect())
}

const ABOUT: [&str; 3] = [
    "correlation-key",
    "organization-identifier",
    "endpoint-identifier",
];
const SPEEDS: [&str; 2] = ["download-speed", "upload-speed"];

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_download_what_the_other_offers_and_leave_nothing_behind() {
    let world = Arc::new(World::recorded());
    let package = Package::of_tests("calm");
    let (own, partner) = tokio::join!(
        Organization::start(&world, "bpe-a", &package, &[]),
        Organization::start(&world, "bpe-b", &package, &[]),
    );
    own.offers(&[PING]).await;
    partner.offers(&[PONG]).await;

    let ended = round(&own, 300_000).await;
    assert_eq!(ended["status"], "completed", "{ended:#}");
    let (status, parts) = result(&ended);
    assert_eq!(
        (status.as_str(), parts),
        (
            "completed",
            [&ABOUT[..], &SPEEDS]
                .concat()
                .into_iter()
                .map(str::to_owned)
                .collect()
        ),
        "{ended:#}"
    );
    let ping = partner.tasks("ping").await.remove(0);
    let ping = partner.ended(ping["id"].as_str().unwrap()).await;
    let (status, parts) = result(&ping);
    assert_eq!(status, "completed", "{ping:#}");
    assert!(parts.ends_with(&SPEEDS.map(str::to_owned)), "{ping:#}");
    for side in [&own, &partner] {
        until("nothing is left", PATIENCE, async || {
            side.local().search("Binary?_count=10").await.is_empty()
        })
        .await;
    }

    // Without anything to download it is a plain ping.
    let ended = round(&own, -1).await;
    let (status, parts) = result(&ended);
    assert_eq!(
        (status.as_str(), parts.len()),
        ("completed", ABOUT.len()),
        "{ended:#}"
    );
}
