//! Binary as raw content (`spec/fhir-api.md` §2.8, §9.4).

use std::time::Duration;

use bytes::Bytes;
use dsf::net::http::{HeaderName, HeaderValue, Method, Request, Url};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_postgres::NoTls;

use super::harness::memory::{forget_peak, peak, resident};
use super::harness::sample::{tag, word};
use super::harness::{Client, JSON, Launch, Server, World, raw, until};

const MIB: usize = 1 << 20;
/// Large enough that a server that buffers it is found out, small enough for every machine.
const LARGE: usize = 128 * MIB;
/// What a process may grow by while content streams through it: the bound that operators are told.
const GROWTH: usize = 64 * MIB;

/// A resource that a Binary can take its visibility from.
async fn context(local: &Client) -> String {
    let context = local
        .create(&json!({
            "resourceType": "DocumentReference",
            "meta": {"tag": [tag("ALL")]},
            "status": "current",
            "docStatus": "final",
            "masterIdentifier": {"system": "http://example.org/sid/it", "value": word()},
            "content": [{"attachment": {"contentType": "text/plain", "title": "x"}}],
        }))
        .await;
    format!("DocumentReference/{}", context["id"].as_str().unwrap())
}

async fn upload(local: &Client, body: impl Into<Bytes>) -> String {
    let context = context(local).await;
    let headers = [
        ("content-type", "application/octet-stream"),
        ("x-security-context", context.as_str()),
        ("prefer", "return=minimal"),
    ];
    let answer = local.send("POST", "Binary", &headers, body).await.unwrap();
    assert_eq!(answer.status, 201, "{answer}");
    let location = answer.header("location").unwrap();
    let id = location
        .split("/Binary/")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    format!("Binary/{id}")
}

#[tokio::test]
async fn content_streams_up_and_down_without_being_held_in_memory() {
    let server = Server::start().await;
    let local = server.local();
    // Warm: pools, buffers and code are in place.
    let small = upload(&local, vec![7_u8; MIB]).await;
    local.get_with(&small, &[("accept", "*/*")]).await;
    forget_peak(server.pid());
    let before = resident(server.pid());

    let pattern: Vec<u8> = (0..=250).collect();
    let mut content = pattern.repeat(LARGE / pattern.len() + 1);
    content.truncate(LARGE);
    let content = Bytes::from(content);
    let path = upload(&local, content.clone()).await;
    let grown = peak(server.pid()).saturating_sub(before);
    assert!(grown < GROWTH, "the upload took {} MiB", grown / MIB);

    let url = Url::parse(&format!("{}/{path}", server.base_url)).unwrap();
    let id = path.rsplit('/').next().unwrap();
    let search = Url::parse(&format!("{}/Binary?_id={id}", server.base_url)).unwrap();
    for (url, accept) in [(&url, "*/*"), (&url, JSON), (&search, JSON)] {
        let request = Request::new(Method::GET, url.clone()).header(
            HeaderName::from_static("accept"),
            HeaderValue::from_static(accept),
        );
        let mut download = local.http().download(&request).await.unwrap();
        let mut received = 0;
        while let Some(piece) = download.piece().await.unwrap() {
            if accept == "*/*" {
                assert_eq!(piece, content[received..received + piece.len()]);
            }
            received += piece.len();
        }
        // As FHIR it is base64 within a document.
        let expected = if accept == "*/*" {
            LARGE
        } else {
            LARGE.div_ceil(3) * 4
        };
        assert!(
            (expected..expected + 2048).contains(&received),
            "{accept}: {received}"
        );
    }
    let grown = peak(server.pid()).saturating_sub(before);
    assert!(grown < GROWTH, "the downloads took {} MiB", grown / MIB);
    let last = format!("bytes={}-", LARGE - 10);
    let part = local
        .get_with(&path, &[("accept", "*/*"), ("range", &last)])
        .await;
    assert_eq!((part.status, &part.body[..]), (206, &content[LARGE - 10..]));
    let suffix = local
        .get_with(&path, &[("accept", "*/*"), ("range", "bytes=-5")])
        .await;
    assert_eq!(
        (suffix.status, &suffix.body[..]),
        (206, &content[LARGE - 5..])
    );
    let beyond = format!("bytes={LARGE}-");
    let beyond = local
        .get_with(&path, &[("accept", "*/*"), ("range", &beyond)])
        .await;
    let whole = format!("bytes */{LARGE}");
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, Some(&*whole))
    );
}

#[tokio::test]
async fn an_upload_that_is_cut_off_or_refused_leaves_nothing() {
    let world = std::sync::Arc::new(World::new());
    let database = dsf::store::testing::fresh_database().await;
    let server = Launch::of(&world, "local")
        .database(&database)
        .start()
        .await;
    let local = server.local();
    let (rows, driver) = tokio_postgres::connect(database.url.as_deref().unwrap(), NoTls)
        .await
        .unwrap();
    tokio::spawn(driver);
    let chunks = async || -> i64 {
        let query =
            "SELECT count(*) FROM fhir.content c LEFT JOIN fhir.content_chunk ON content = c.id";
        rows.query_one(query, &[]).await.unwrap().get(0)
    };

    let context = context(&local).await;
    let headers = [
        ("content-type", "application/octet-stream"),
        ("x-security-context", context.as_str()),
    ];
    for framing in [
        ("content-length", "10000000"),
        ("transfer-encoding", "chunked"),
    ] {
        let mut connection = raw::connect(&server, "local", "http/1.1").await;
        let headers = [headers[0], headers[1], framing];
        raw::send_head(&mut connection, "POST /fhir/Binary", &headers).await;
        if framing.1 == "chunked" {
            connection.write_all(b"200000\r\n").await.unwrap();
        }
        connection.write_all(&vec![1_u8; 2 * MIB]).await.unwrap();
        connection.flush().await.unwrap();
        until(
            "some content is stored",
            Duration::from_secs(20),
            async || chunks().await > 0,
        )
        .await;
        drop(connection);
        until("it is gone", Duration::from_secs(20), async || {
            chunks().await == 0
        })
        .await;
    }
    // A context that is not there: the content was taken in before that could be known.
    let nobody = "DocumentReference/00000000-0000-4000-8000-000000000000";
    let headers = [headers[0], ("x-security-context", nobody)];
    let answer = local
        .send("POST", "Binary", &headers, vec![1_u8; MIB])
        .await
        .unwrap();
    assert_eq!(answer.status, 403, "{answer}");
    until("it is gone", Duration::from_secs(20), async || {
        chunks().await == 0
    })
    .await;
    assert_eq!(local.get("Binary").await.json()["total"], 0);
}

/// §2.8: a Binary is as visible as what it belongs to.
#[tokio::test]
async fn content_is_read_by_those_who_may_read_its_context() {
    let server = Server::start().await;
    let (local, external) = (server.local(), server.client("external"));
    let open = upload(&local, "open").await;
    let raw = [("accept", "application/octet-stream")];
    let answer = external.get_with(&open, &raw).await;
    assert_eq!((answer.status, &answer.body[..]), (200, b"open".as_slice()));
    let tagged = local
        .get_with(&open, &[raw[0], ("if-none-match", "W/\"1\"")])
        .await;
    assert_eq!(tagged.status, 304);

    let context = answer.header("x-security-context").unwrap().to_owned();
    let mut narrowed = local.get(&context).await.json();
    narrowed["meta"]["tag"] = json!([tag("LOCAL")]);
    assert_eq!(local.put(&context, &narrowed).await.status, 200);
    assert_eq!(external.get_with(&open, &raw).await.status, 403);
    assert_eq!(local.get_with(&open, &raw).await.status, 200);
}
