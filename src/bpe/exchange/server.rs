//! The FHIR servers that the BPE talks to: the own one, and the peers' for sending.

use async_trait::async_trait;
use uuid::Uuid;

use crate::bpe::plugin::local_fhir::{self, LocalFhir, Unreachable};

use crate::net::http::{self, Client, HeaderName, HeaderValue, Method, Request, Response, Url};
use crate::r4::{Resource, json};

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");

/// The client of the own FHIR server, and the way to others.
#[derive(Clone, Debug)]
pub struct Server {
    client: Client,
    /// Without a slash at its end.
    base: String,
}

/// An answer with what callers look at.
pub type Answer = Response;

/// Why a request did not lead to what it was for.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The server refused, in its own words.
    #[error("{server} answered {status}: {text}")]
    Refused {
        server: String,
        status: u16,
        text: String,
    },
    #[error("the answer of {server} is not the FHIR resource that was asked for: {problem}")]
    Unreadable { server: String, problem: String },
    #[error("'{0}' is not an address")]
    Address(String),
}

impl Trouble {
    /// Whether it may pass by itself.
    #[must_use]
    pub fn transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            Self::Refused { status, .. } => matches!(status, 429 | 500..=599),
            Self::Unreadable { .. } | Self::Address(_) => false,
        }
    }

    /// The HTTP status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl Server {
    #[must_use]
    pub fn new(client: Client, base: &str) -> Self {
        Self {
            client,
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Address of the event channel: the base address with `ws` for `http`, and `/ws`.
    pub fn socket_address(&self) -> Result<Url, Trouble> {
        url(&format!("{}/ws", self.base.replacen("http", "ws", 1)))
    }

    /// `GET base/path`, a search with strict handling, as one searchset Bundle.
    pub async fn search(&self, query: &str) -> Result<Resource, Trouble> {
        let request = Request::get(url(&format!("{}/{query}", self.base))?)
            .header(http::header::ACCEPT, FHIR_JSON)
            .header(prefer(), HeaderValue::from_static("handling=strict"));
        resource(&self.answer(&request).await?)
    }

    pub async fn read_task(&self, id: Uuid) -> Result<Resource, Trouble> {
        self.read("Task", id).await
    }

    pub async fn read(&self, kind: &str, id: Uuid) -> Result<Resource, Trouble> {
        let request = Request::get(url(&format!("{}/{kind}/{id}", self.base))?)
            .header(http::header::ACCEPT, FHIR_JSON);
        resource(&self.answer(&request).await?)
    }

    /// Replaces the version that the resource names in `meta.versionId`, and no other. With
    /// `return=representation` the answer is the stored resource, else the given one.
    pub async fn update(&self, task: &Resource, preference: &str) -> Result<Resource, Trouble> {
        let id = task.id().unwrap_or_default();
        let mut request = Request::new(
            Method::PUT,
            url(&format!("{}/{}/{id}", self.base, task.type_name()))?,
        )
        .header(http::header::ACCEPT, FHIR_JSON)
        .header(http::header::CONTENT_TYPE, FHIR_JSON)
        .body(json::write(task, false));
        if let Ok(value) = HeaderValue::from_str(&format!("return={preference}")) {
            request = request.header(prefer(), value);
        }
        let version = task.version_id().unwrap_or_default();
        if let Ok(value) = HeaderValue::from_str(&format!("W/\"{version}\"")) {
            request = request.header(http::header::IF_MATCH, value);
        }
        let answer = self.answer(&request).await?;
        if answer.body.is_empty() {
            return Ok(task.clone());
        }
        resource(&answer)
    }

    /// Posts a Task to a peer's (or the own) server. The same key posts it once, however often
    /// this is called, where the server honours `Idempotency-Key`.
    pub async fn send(&self, address: &str, task: &str, key: Uuid) -> Result<(), Trouble> {
        let mut request = Request::new(
            Method::POST,
            url(&format!("{}/Task", address.trim_end_matches('/')))?,
        )
        .header(http::header::ACCEPT, FHIR_JSON)
        .header(http::header::CONTENT_TYPE, FHIR_JSON)
        .header(prefer(), HeaderValue::from_static("return=minimal"))
        .body(task.to_owned());
        if let Ok(value) = HeaderValue::from_str(&key.to_string()) {
            request = request.header(HeaderName::from_static("idempotency-key"), value);
        }
        self.answer(&request).await.map(drop)
    }

    /// Creates a resource; with the same key once, where the server honours `Idempotency-Key`.
    pub async fn create(&self, resource: &Resource, key: Uuid) -> Result<Resource, Trouble> {
        let address = url(&format!("{}/{}", self.base, resource.type_name()))?;
        let mut request = Request::new(Method::POST, address)
            .header(http::header::ACCEPT, FHIR_JSON)
            .header(http::header::CONTENT_TYPE, FHIR_JSON)
            .header(prefer(), HeaderValue::from_static("return=representation"))
            .body(json::write(resource, false));
        if let Ok(value) = HeaderValue::from_str(&key.to_string()) {
            request = request.header(HeaderName::from_static("idempotency-key"), value);
        }
        self::resource(&self.answer(&request).await?)
    }

    async fn answer(&self, request: &Request) -> Result<Answer, Trouble> {
        let answer = self.client.send(request).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(Trouble::Refused {
            server: origin(&answer.url),
            status: answer.status.as_u16(),
            text: said(&answer),
        })
    }
}

/// The own server for plugins and their deployment.
#[async_trait]
impl LocalFhir for Server {
    fn base_url(&self) -> &str {
        &self.base
    }

    async fn request(
        &self,
        wanted: local_fhir::Request,
    ) -> Result<local_fhir::Response, Unreachable> {
        let unreachable = |error: &dyn std::fmt::Display| Unreachable(error.to_string());
        let path = wanted.path.trim_start_matches('/');
        let address = url(&format!("{}/{path}", self.base)).map_err(|error| unreachable(&error))?;
        let method = match wanted.method {
            local_fhir::Method::Get => Method::GET,
            local_fhir::Method::Post => Method::POST,
            local_fhir::Method::Put => Method::PUT,
            local_fhir::Method::Delete => Method::DELETE,
        };
        let mut request = Request::new(method, address).header(http::header::ACCEPT, FHIR_JSON);
        let headers = [
            (prefer(), wanted.prefer),
            (http::header::IF_MATCH, wanted.if_match),
            (
                HeaderName::from_static("if-none-exist"),
                wanted.if_none_exist,
            ),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                let value = HeaderValue::from_str(&value).map_err(|error| unreachable(&error))?;
                request = request.header(name, value);
            }
        }
        if let Some(body) = wanted.body {
            request = request
                .header(http::header::CONTENT_TYPE, FHIR_JSON)
                .body(body.to_string());
        }
        let answer = self
            .client
            .send(&request)
            .await
            .map_err(|error| unreachable(&error))?;
        Ok(local_fhir::Response {
            status: answer.status.as_u16(),
            body: serde_json::from_slice(&answer.body).ok(),
        })
    }
}

/// Whether a searchset has a further page.
pub(super) fn has_next(bundle: &Resource) -> bool {
    bundle
        .list("link")
        .any(|link| link.get("relation").and_then(serde_json::Value::as_str) == Some("next"))
}

fn prefer() -> HeaderName {
    HeaderName::from_static("prefer")
}

fn url(text: &str) -> Result<Url, Trouble> {
    Url::parse(text).map_err(|_| Trouble::Address(text.to_owned()))
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn resource(answer: &Answer) -> Result<Resource, Trouble> {
    json::parse(&answer.body).map_err(|error| Trouble::Unreadable {
        server: origin(&answer.url),
        problem: error.to_string(),
    })
}

/// What an OperationOutcome says, in one line as DSF prints it; else the reason of the status.
fn said(answer: &Answer) -> String {
    let issues = json::parse(&answer.body).ok().map(|outcome| {
        let lines = outcome.list("issue").map(|issue| {
            let part = |name: &str| {
                issue
                    .get(name)
                    .and_then(serde_json::Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            format!(
                "{} {} {}",
                part("severity"),
                part("code"),
                part("diagnostics")
            )
        });
        lines.collect::<Vec<_>>().join("; ")
    });
    issues.filter(|text| !text.is_empty()).unwrap_or_else(|| {
        answer
            .status
            .canonical_reason()
            .unwrap_or("no reason given")
            .to_owned()
    })
}
