//! An identity that talks to a node. Nothing is retried: a test wants to see the first answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dsf::net::http::{self, HeaderMap, HeaderName, HeaderValue, Method, Request, Url};
use dsf::net::pem::KeyFiles;
use serde_json::Value;

use super::{JSON, World};

#[derive(Clone)]
pub struct Client {
    http: http::Client,
    base_url: String,
}

impl Client {
    /// Without a name: a client without a certificate.
    pub fn new(world: &World, name: Option<&str>, base_url: &str) -> Self {
        let identity = name.map(|name| KeyFiles {
            certificate: world.path(&format!("{name}.crt")),
            private_key: world.path(&format!("{name}.key")),
            password: None,
        });
        let settings = http::Settings {
            identity,
            server_cas: Some(world.path("ca.crt")),
            connect_timeout: Duration::from_secs(20),
            read_timeout: Duration::from_secs(40),
            ..http::Settings::default()
        };
        Self {
            http: http::Client::new(&settings).unwrap(),
            base_url: base_url.to_owned(),
        }
    }

    pub fn http(&self) -> &http::Client {
        &self.http
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// `path` is relative to the base URL, or a whole URL; headers given here replace those that
    /// JSON needs.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, http::Error> {
        let url = match path.starts_with("https:") {
            true => path.to_owned(),
            false => format!("{}/{}", self.base_url, path.trim_start_matches('/')),
        };
        let body = body.into();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = Request::new(method, Url::parse(&url).unwrap());
        let usual = [("accept", JSON), ("content-type", JSON)];
        let usual = &usual[..if body.is_empty() { 1 } else { 2 }];
        for (name, value) in usual.iter().chain(headers) {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request = request.header(name, HeaderValue::from_str(value).unwrap());
        }
        Answer::of(&self.http, &request.body(body)).await
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let bytes = if body.is_null() {
            Vec::new()
        } else {
            serde_json::to_vec(body).unwrap()
        };
        self.send(method, path, headers, bytes)
            .await
            .expect("an answer")
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], &Value::Null).await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.call("GET", path, headers, &Value::Null).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, &[], body).await
    }

    pub async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.call("POST", path, headers, body).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call("PUT", path, &[], body).await
    }

    pub async fn put_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.call("PUT", path, headers, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, &[], &Value::Null).await
    }

    /// Stores a resource; what the node made of it.
    pub async fn create(&self, resource: &Value) -> Value {
        let answer = self
            .post(resource["resourceType"].as_str().unwrap(), resource)
            .await;
        assert_eq!(answer.status, 201, "{answer}");
        answer.json()
    }

    /// The resources that a search finds.
    pub async fn search(&self, query: &str) -> Vec<Value> {
        let answer = self.get(query).await;
        assert_eq!(answer.status, 200, "{answer}");
        let bundle = answer.json();
        let entries = bundle["entry"].as_array().into_iter().flatten();
        entries.map(|entry| entry["resource"].clone()).collect()
    }
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn of(client: &http::Client, request: &Request) -> Result<Self, http::Error> {
        let mut download = client.download(request).await?;
        let mut body = BytesMut::new();
        while let Some(piece) = download.piece().await? {
            body.extend_from_slice(&piece);
        }
        Ok(Self {
            status: download.status.as_u16(),
            headers: download.headers,
            body: body.freeze(),
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Code and text of the only issue of an OperationOutcome.
    pub fn issue(&self) -> (String, String) {
        let outcome = self.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{self}");
        let [issue] = outcome["issue"].as_array().unwrap().as_slice() else {
            panic!("{self}")
        };
        let text = |element: &str| issue[element].as_str().unwrap_or_default().to_owned();
        (text("code"), text("diagnostics"))
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}
