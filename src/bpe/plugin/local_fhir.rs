//! The own FHIR server as plugins and their deployment see it.

use async_trait::async_trait;
use serde_json::Value;

/// One request; `path` is relative to the base address and may have a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub method: Method,
    pub path: String,
    /// The value of `Prefer`.
    pub prefer: Option<String>,
    pub if_match: Option<String>,
    pub if_none_exist: Option<String>,
    pub body: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

/// What the server answered, whatever the status.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    pub status: u16,
    /// The body, when it is JSON.
    pub body: Option<Value>,
}

/// No answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the own FHIR server does not answer: {0}")]
pub struct Unreachable(pub String);

/// The own FHIR server. Requests are made as the own organisation.
#[async_trait]
pub trait LocalFhir: Send + Sync {
    /// Base address, without a slash at its end.
    fn base_url(&self) -> &str;

    async fn request(&self, request: Request) -> Result<Response, Unreachable>;
}

impl Request {
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            path: path.into(),
            prefer: None,
            if_match: None,
            if_none_exist: None,
            body: None,
        }
    }

    #[must_use]
    pub fn bundle(bundle: Value, prefer: &str) -> Self {
        Self {
            method: Method::Post,
            prefer: Some(prefer.to_owned()),
            body: Some(bundle),
            ..Self::get("")
        }
    }
}

impl Response {
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What an OperationOutcome says, or the bare status.
    #[must_use]
    pub fn explanation(&self) -> String {
        let said = self.body.as_ref().and_then(explanation);
        said.unwrap_or_else(|| format!("status {}", self.status))
    }
}

/// The texts of an OperationOutcome.
pub(crate) fn explanation(outcome: &Value) -> Option<String> {
    let issues = outcome.get("issue")?.as_array()?.iter();
    let texts: Vec<&str> = issues
        .filter_map(|issue| {
            issue
                .get("diagnostics")
                .or_else(|| issue.get("details")?.get("text"))
        })
        .filter_map(Value::as_str)
        .collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}
