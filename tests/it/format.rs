//! Representations on the wire: encodings, protocols, XML and JSON (`spec/fhir-api.md` §2).

use std::io::Read;

use http::Request;
use serde_json::{Value, json};

use super::harness::sample::{path, patient, with, word};
use super::harness::{JSON, Server, XML, raw};

const BOTH: (&str, &str) = ("accept-encoding", "gzip, br");

/// docs/adr/0016
#[tokio::test]
async fn long_answers_are_compressed_for_those_who_ask_and_keep_their_tag() {
    let server = Server::start().await;
    let local = server.local();
    let mut large = patient(&word());
    large["name"] = json!([{"text": "word ".repeat(10_000)}]);
    let stored = local.create(&large).await;
    let path = path(&stored);

    let plain = local.get(&path).await;
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.header("vary"), Some("Accept, Accept-Encoding"));
    let tag = plain.header("etag").unwrap().to_owned();

    let gzip = local
        .get_with(&path, &[("accept-encoding", "gzip,deflate")])
        .await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    assert_eq!(gzip.header("etag"), Some(&*tag));
    assert!(
        gzip.body.len() * 5 < plain.body.len(),
        "{}",
        gzip.body.len()
    );
    let length = gzip.body.len().to_string();
    assert_eq!(gzip.header("content-length"), Some(&*length));
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&gzip.body[..])
        .read_to_end(&mut text)
        .unwrap();
    assert_eq!(text, plain.body);

    let brotli = local
        .get_with(&path, &[("accept-encoding", "gzip;q=0.5, br")])
        .await;
    assert_eq!(brotli.header("content-encoding"), Some("br"));
    let mut text = Vec::new();
    brotli::BrotliDecompress(&mut &brotli.body[..], &mut text).unwrap();
    assert_eq!(text, plain.body);

    let unchanged = local
        .get_with(&path, &[BOTH, ("if-none-match", &tag)])
        .await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.header("content-encoding"), None);
    let head = local.send("HEAD", &path, &[BOTH], "").await.unwrap();
    let length = plain.body.len().to_string();
    assert_eq!(
        head.header("content-length"),
        Some(&*length),
        "HEAD tells the plain length"
    );
    // A Task or a small Bundle is answered as the Java server does.
    let small = local.create(&patient(&word())).await;
    let small = local
        .get_with(&super::harness::sample::path(&small), &[BOTH])
        .await;
    assert_eq!(small.header("content-encoding"), None);
    assert_eq!(small.header("vary"), Some("Accept"));
}

#[tokio::test]
async fn one_connection_of_http_2_carries_many_requests_at_once() {
    let server = Server::start().await;
    let stored = server.local().create(&patient(&word())).await;
    let connection = raw::connect(&server, "local", "h2").await;
    assert_eq!(
        connection.ssl().selected_alpn_protocol(),
        Some(b"h2".as_slice())
    );
    let (mut client, driver) = h2::client::handshake(connection).await.unwrap();
    tokio::spawn(driver);
    let url = format!("{}/{}", server.base_url, path(&stored));
    let mut answers = Vec::new();
    for _ in 0..20 {
        client = client.ready().await.unwrap();
        let request = Request::get(&url).header("accept", JSON).body(()).unwrap();
        answers.push(client.send_request(request, true).unwrap().0);
    }
    for answer in answers {
        let answer = answer.await.unwrap();
        assert_eq!(
            (answer.status(), answer.version()),
            (200.into_status(), http::Version::HTTP_2)
        );
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        while let Some(piece) = body.data().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), stored);
    }
    // A body goes the same way.
    client = client.ready().await.unwrap();
    let url = format!("{}/Patient", server.base_url);
    let request = Request::post(&url)
        .header("accept", JSON)
        .header("content-type", JSON);
    let (answer, mut body) = client
        .send_request(request.body(()).unwrap(), false)
        .unwrap();
    let sent = serde_json::to_vec(&patient(&word())).unwrap();
    body.send_data(sent.into(), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 201.into_status());
}

trait IntoStatus {
    fn into_status(self) -> http::StatusCode;
}

impl IntoStatus for u16 {
    fn into_status(self) -> http::StatusCode {
        http::StatusCode::from_u16(self).unwrap()
    }
}

/// §2.6; the live Java server loses line breaks and blanks on this way.
#[tokio::test]
async fn nothing_is_lost_between_json_and_xml() {
    let server = Server::start().await;
    let local = server.local();
    let mut full = patient(&word());
    let div = "<div xmlns=\"http://www.w3.org/1999/xhtml\">\n  <p>a  b</p>\n\t<pre> x\n y </pre> c&#160;</div>";
    full["text"] = json!({"status": "generated", "div": div});
    full["contained"] = json!([{
        "resourceType": "Basic", "id": "o",
        "code": {"text": " a\tb\n"}, "subject": {"reference": "#"},
    }]);
    full["_active"] =
        json!({"id": "x", "extension": [{"url": "http://example.org/u", "valueCode": "c"}]});
    full["name"] = json!([{
        "text": "line 1\r\nline 2\t😀 <&\"'>",
        "given": ["a", null, "c"],
        "_given": [null, {"id": "y", "extension": [{"url": "http://example.org/u", "valueCode": "d"}]}, null],
    }]);
    // serde_json keeps what is written: 1.00 stays 1.00.
    let number: Value = "1.00".parse().unwrap();
    full["extension"] = json!([{"url": "http://example.org/d", "valueDecimal": number}]);
    let stored = local.create(&full).await;
    let path = path(&stored);
    let as_xml = local.get_with(&path, &[("accept", XML)]).await;
    let headers = [("content-type", XML), ("accept", JSON)];
    let back = local
        .send("PUT", &path, &headers, as_xml.body.clone())
        .await
        .unwrap();
    assert_eq!(back.status, 200, "{back}");
    let without_meta = |resource: &Value| with(resource, "meta", Value::Null);
    assert_eq!(without_meta(&back.json()), without_meta(&stored));
    assert!(back.to_string().contains("1.00"), "{back}");
}

/// §2.2, §2.4
#[tokio::test]
async fn the_query_and_the_weights_of_accept_choose_the_representation() {
    let server = Server::start().await;
    let local = server.local();
    let path = path(&local.create(&patient(&word())).await);
    for (query, accept, kind) in [
        (
            "",
            "application/fhir+json;q=0.1, application/fhir+xml;q=0.9",
            XML,
        ),
        (
            "",
            "application/fhir+xml;q=0.1, application/fhir+json",
            JSON,
        ),
        ("", "image/png, application/fhir+json;q=0.2", JSON),
        ("?_format=xml", JSON, XML),
        ("?_format=application/fhir%2Bjson", XML, JSON),
    ] {
        let answer = local
            .get_with(&format!("{path}{query}"), &[("accept", accept)])
            .await;
        let expected = format!("{kind};charset=UTF-8");
        assert_eq!(
            answer.header("content-type"),
            Some(&*expected),
            "{query} {accept}"
        );
    }
    let pretty = local.get(&format!("{path}?_pretty=true")).await;
    assert!(pretty.to_string().contains("\n  \"id\""), "{pretty}");
    let short = local.get(&format!("{path}?_summary=text")).await.json();
    assert_eq!(short["identifier"], Value::Null);
    assert_eq!(short["meta"]["tag"][1]["code"], "SUBSETTED");
}

/// Billion laughs, files of the server, bodies that are no text, bottomless nesting.
#[tokio::test]
async fn hostile_documents_are_refused_before_they_cost_anything() {
    let server = Server::start().await;
    let local = server.local();
    let patient = |inner: &str| format!("<Patient xmlns=\"http://hl7.org/fhir\">{inner}</Patient>");
    let laughs = "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>"
        .to_owned()
        + &patient("<language value=\"&b;\"/>");
    let file = "<!DOCTYPE x [<!ENTITY f SYSTEM \"file:///etc/passwd\">]>".to_owned()
        + &patient("<language value=\"&f;\"/>");
    let deep_xml = patient(&"<extension>".repeat(100_000));
    let deep_json = format!(
        "{{\"resourceType\":\"Patient\",\"x\":{}",
        "[".repeat(1_000_000)
    );
    let no_text: &[u8] = b"{\"resourceType\":\"Patient\",\"language\":\"\xff\xfe\"}";
    let zero = "{\"resourceType\":\"Patient\",\"language\":\"a\\u0000b\"}";
    for (kind, body) in [
        (XML, laughs.into_bytes()),
        (XML, file.into_bytes()),
        (XML, deep_xml.into_bytes()),
        (JSON, deep_json.into_bytes()),
        (JSON, no_text.to_vec()),
        (JSON, zero.into()),
        (JSON, b"\xef\xbb\xbf{\"resourceType\":\"Patient\"}".to_vec()),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let answer = local
            .send("POST", "Patient", &[("content-type", kind)], body)
            .await
            .unwrap();
        assert_eq!(answer.status, 403, "{shown}: {answer}");
        assert_eq!(answer.issue().1, "Unable to parse resource", "{shown}");
    }
    let long = format!("Patient?name={}", "x".repeat(20_000));
    let answer = local.get(&long).await;
    assert_eq!(
        (answer.status, answer.issue().0.as_str()),
        (414, "too-long"),
        "{answer}"
    );
    let answer = local
        .get_with("Patient", &[("x-filler", &"x".repeat(40_000))])
        .await;
    assert_eq!(
        (answer.status, answer.issue().0.as_str()),
        (431, "too-long"),
        "{answer}"
    );
}
