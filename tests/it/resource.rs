//! The life of a resource over REST (`spec/fhir-api.md` §2 to §4).

use serde_json::json;

use super::harness::sample::{SID, path, patient, tag, with, word};
use super::harness::{JSON, Server, XML};

/// §3.1, §4.1, §4.2, §4.4, §4.6
#[tokio::test]
async fn a_resource_lives_from_its_creation_to_its_deletion() {
    let server = Server::start().await;
    let local = server.local();
    let word = word();

    let created = local.post("Patient", &patient(&word)).await;
    assert_eq!(created.status, 201, "{created}");
    let stored = created.json();
    let place = format!("{}/{}", server.base_url, path(&stored));
    assert_eq!(
        created.header("location"),
        Some(format!("{place}/_history/1").as_str())
    );
    assert_eq!(created.header("etag"), Some("W/\"1\""));
    assert_eq!(
        created.header("cache-control"),
        Some("private, no-cache, no-transform")
    );
    assert_eq!(stored["meta"]["versionId"], "1");

    let read = local.get(&path(&stored)).await;
    assert_eq!((read.status, read.json()), (200, stored.clone()));
    let known = [("if-none-match", "W/\"1\"")];
    assert_eq!(local.get_with(&path(&stored), &known).await.status, 304);

    let changed = with(&stored, "active", json!(false));
    let updated = local
        .put_with(&path(&stored), &[("if-match", "W/\"1\"")], &changed)
        .await;
    assert_eq!(
        (updated.status, updated.header("etag")),
        (200, Some("W/\"2\"")),
        "{updated}"
    );
    let first = local.get(&format!("{}/_history/1", path(&stored))).await;
    assert_eq!(
        first.json(),
        stored,
        "superseded versions stay as they were"
    );

    assert_eq!(local.delete(&path(&stored)).await.status, 200);
    let gone = local.get(&path(&stored)).await;
    assert_eq!(
        (gone.status, gone.header("etag")),
        (410, Some("W/\"3\"")),
        "{gone}"
    );
    assert!(
        local
            .search(&format!("Patient?identifier={SID}|{word}"))
            .await
            .is_empty()
    );

    let history = local
        .get(&format!("{}/_history", path(&stored)))
        .await
        .json();
    let methods = history["entry"].as_array().unwrap().iter();
    let methods: Vec<_> = methods
        .map(|entry| entry["request"]["method"].clone())
        .collect();
    assert_eq!(
        (history["total"].clone(), methods),
        (json!(3), vec!["POST".into(), "PUT".into(), "DELETE".into()])
    );
}

/// §3.2, §3.3: who writes by an old version is told, and nothing is written.
#[tokio::test]
async fn a_stale_if_match_changes_nothing() {
    let server = Server::start().await;
    let local = server.local();
    let stored = local.create(&patient(&word())).await;
    let newer = local
        .put(&path(&stored), &with(&stored, "active", json!(false)))
        .await
        .json();

    let stale = local
        .put_with(&path(&stored), &[("if-match", "W/\"1\"")], &stored)
        .await;
    assert_eq!(stale.status, 412);
    let id = stored["id"].as_str().unwrap();
    let text = format!("Resource with id {id} expected version 1 does not match latest version 2");
    assert_eq!(stale.issue(), ("processing".into(), text));
    assert_eq!(local.get(&path(&stored)).await.json(), newer);
}

/// §4.3, §4.5: many who want the same thing to exist get one thing.
#[tokio::test]
async fn conditional_writes_leave_one_resource_however_many_ask_at_once() {
    let server = Server::start().await;
    let local = server.local();
    let word = word();
    let condition = format!("identifier={SID}|{word}");

    let asked = (0..8).map(|_| {
        let (local, word, condition) = (local.clone(), word.clone(), condition.clone());
        tokio::spawn(async move {
            let condition = [("if-none-exist", condition.as_str())];
            local
                .post_with("Patient", &condition, &patient(&word))
                .await
                .status
        })
    });
    let mut statuses = Vec::new();
    for answer in asked.collect::<Vec<_>>() {
        statuses.push(answer.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);

    let query = format!("Patient?{condition}");
    let updated = local
        .put(&query, &with(&patient(&word), "active", json!(false)))
        .await;
    assert_eq!(
        (updated.status, updated.json()["meta"]["versionId"].clone()),
        (200, json!("2"))
    );
    assert_eq!(local.search(&query).await.len(), 1);
}

/// §2: one resource, two languages, nothing lost between them.
#[tokio::test]
async fn what_comes_in_as_xml_goes_out_as_json_and_back() {
    let server = Server::start().await;
    let local = server.local();
    let xml = r#"<Patient xmlns="http://hl7.org/fhir"><meta><tag>
        <system value="http://dsf.dev/fhir/CodeSystem/read-access-tag"/><code value="ALL"/>
        </tag></meta><text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml">
        <p>a &lt; b &amp; c</p></div></text><active value="true"/>
        <multipleBirthInteger value="2"/></Patient>"#;
    let headers = [("content-type", XML), ("accept", JSON)];
    let created = local.send("POST", "Patient", &headers, xml).await.unwrap();
    assert_eq!(created.status, 201, "{created}");
    let stored = created.json();
    assert_eq!(
        (&stored["active"], &stored["multipleBirthInteger"]),
        (&json!(true), &json!(2))
    );
    assert!(
        stored["text"]["div"]
            .as_str()
            .unwrap()
            .contains("a &lt; b &amp; c")
    );

    let read = local.get_with(&path(&stored), &[("accept", XML)]).await;
    assert_eq!(
        read.header("content-type"),
        Some("application/fhir+xml;charset=UTF-8")
    );
    let headers = [("content-type", XML), ("accept", JSON)];
    let again = local
        .send("PUT", &path(&stored), &headers, read.body)
        .await
        .unwrap();
    assert_eq!(again.status, 200, "{again}");
    let mut second = again.json();
    second["meta"] = stored["meta"].clone();
    assert_eq!(second, stored);
}

/// `spec/auth-config.md` §5.2: a resource of which somebody may not know is not there for him.
#[tokio::test]
async fn a_hidden_resource_is_neither_read_nor_found_nor_counted() {
    let server = Server::start().await;
    let (local, external) = (server.local(), server.client("external"));
    let word = word();
    let mut secret = patient(&word);
    secret["meta"]["tag"] = json!([tag("LOCAL")]);
    let secret = local.create(&secret).await;
    let open = local.create(&patient(&word)).await;

    let query = format!("Patient?identifier={SID}|{word}");
    assert_eq!(local.search(&query).await.len(), 2);
    let found = external.get(&query).await.json();
    assert_eq!(
        (found["total"].clone(), &found["entry"][0]["resource"]),
        (json!(1), &open)
    );
    let refused = external.get(&path(&secret)).await;
    assert_eq!(
        (refused.status, refused.issue()),
        (403, ("forbidden".into(), "Operation read forbidden".into()))
    );
    let history = external.get("Patient/_history").await.json();
    assert!(!history.to_string().contains(secret["id"].as_str().unwrap()));
}
