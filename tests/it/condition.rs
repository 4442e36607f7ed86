//! Conditions tell nobody what is hidden (`spec/auth-config.md` §5.5, §11.1 row 3).

use serde_json::{Value, json};
use uuid::Uuid;

use super::harness::sample::{SID, patient, tag, with, word};
use super::harness::{Client, Process, Server};

fn entry(method: &str, url: &str, resource: &Value, condition: Option<&str>) -> Value {
    let mut request = json!({"method": method, "url": url});
    if let Some(condition) = condition {
        request["ifNoneExist"] = json!(condition);
    }
    let urn = format!("urn:uuid:{}", Uuid::new_v4());
    json!({"fullUrl": urn, "request": request, "resource": resource})
}

/// Status and location of the only entry of a batch.
async fn batch(client: &Client, entry: Value) -> (String, String) {
    let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry]});
    let answer = client.post("", &bundle).await;
    assert_eq!(answer.status, 200, "{answer}");
    let response = answer.json()["entry"][0]["response"].clone();
    let text = |name: &str| response[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("location"))
}

#[tokio::test]
async fn a_partner_cannot_probe_what_it_may_not_see() {
    let server = Server::start().await;
    let (local, external, third) = (
        server.local(),
        server.client("external"),
        server.client("third"),
    );
    let word = word();
    let hidden = with(&patient(&word), "meta", json!({"tag": [tag("LOCAL")]}));
    local.create(&hidden).await;

    // The same answer whether the condition hits or not.
    for value in [word.as_str(), "nothing"] {
        let query = format!("identifier={SID}|{value}");
        let new = entry("POST", "Patient", &patient("x"), Some(&query));
        let forbidden = ("403 Forbidden".to_owned(), String::new());
        assert_eq!(batch(&external, new).await, forbidden, "{query}");
        let put = entry("PUT", &format!("Patient?{query}"), &patient("x"), None);
        assert_eq!(batch(&external, put).await, forbidden, "{query}");
        let delete = json!({"request": {"method": "DELETE", "url": format!("Patient?{query}")}});
        assert_eq!(batch(&external, delete).await, forbidden, "{query}");
        let deleted = external.delete(&format!("Patient?{query}")).await;
        assert_eq!(deleted.status, 403, "{deleted}");
    }

    // Tasks are what partners may create: a condition finds their own only.
    let process = Process::deploy(&local).await;
    let own = external
        .create(&process.task("External_Organization"))
        .await;
    let id = |task: &Value| task["id"].as_str().unwrap().to_owned();
    let again = process.task("External_Organization");
    let probe = format!("_id={}", id(&own));
    let (status, location) = batch(&external, entry("POST", "Task", &again, Some(&probe))).await;
    assert!(
        status.starts_with("200") && location.contains(&id(&own)),
        "{status} {location}"
    );

    let foreign = third.create(&process.task("Third_Organization")).await;
    let probe = format!("_id={}", id(&foreign));
    let (status, location) = batch(&external, entry("POST", "Task", &again, Some(&probe))).await;
    assert!(
        status.starts_with("201") && !location.contains(&id(&foreign)),
        "{status} {location}"
    );
    let created = external
        .post_with("Task", &[("if-none-exist", &probe)], &again)
        .await;
    assert_eq!(created.status, 201, "{created}");
}
