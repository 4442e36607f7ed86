//! What the code of one call reaches: its log, look-ups, and the own FHIR server as far as the
//! plugin's capabilities go.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::lookup::{Lookups, Refusal};
use crate::bpe::plugin::js;
use crate::bpe::plugin::local_fhir::{LocalFhir, Method, Request};
use crate::bpe::plugin::package::LocalFhirAccess;

/// The outside of one call.
pub(super) struct Outside {
    pub local: Arc<dyn LocalFhir>,
    pub lookups: Arc<Lookups>,
    pub access: LocalFhirAccess,
    pub process: String,
    pub activity: String,
    pub business_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Question {
    Lookup(String),
    Fhir(Box<FhirQuestion>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FhirQuestion {
    method: String,
    path: String,
    prefer: Option<String>,
    if_match: Option<String>,
    if_none_exist: Option<String>,
    body: Option<Value>,
}

#[async_trait]
impl js::Outside for Outside {
    fn log(&self, level: &str, text: &str) {
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(
                    process = self.process,
                    activity = self.activity,
                    business_key = self.business_key,
                    "{text}"
                )
            };
        }
        match level {
            "debug" => event!(debug),
            "warn" => event!(warn),
            "error" => event!(error),
            _ => event!(info),
        }
    }

    async fn ask(&self, question: String) -> String {
        let answer = match serde_json::from_str(&question) {
            Ok(Question::Lookup(query)) => self
                .lookups
                .resources(&query)
                .await
                .map(|found| json!(*found)),
            Ok(Question::Fhir(question)) => self.fhir(*question).await,
            Err(error) => Err(refusal(error.to_string())),
        };
        let answer = match answer {
            Ok(value) => json!({ "value": value }),
            Err(Refusal {
                message,
                status,
                outcome,
            }) => json!({
                "error": { "message": message, "status": status, "operationOutcome": outcome },
            }),
        };
        answer.to_string()
    }
}

impl Outside {
    async fn fhir(&self, question: FhirQuestion) -> Result<Value, Refusal> {
        let method = match question.method.as_str() {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            _ => Method::Delete,
        };
        self.permit(method)?;
        if !is_relative(&question.path) {
            let message = format!("'{}' is not a path on the own FHIR server", question.path);
            return Err(refusal(message));
        }
        let request = Request {
            method,
            path: question.path,
            prefer: question.prefer,
            if_match: question.if_match,
            if_none_exist: question.if_none_exist,
            body: question.body,
        };
        let response = self
            .local
            .request(request)
            .await
            .map_err(|error| refusal(error.to_string()))?;
        if response.is_success() {
            return Ok(json!({ "status": response.status, "body": response.body }));
        }
        let is_outcome = |body: &Value| body["resourceType"] == "OperationOutcome";
        Err(Refusal {
            message: response.explanation(),
            status: Some(response.status),
            outcome: response.body.filter(is_outcome),
        })
    }

    fn permit(&self, method: Method) -> Result<(), Refusal> {
        let (needed, name) = match method {
            Method::Get => (LocalFhirAccess::Read, "read"),
            _ => (LocalFhirAccess::Write, "write"),
        };
        if self.access >= needed {
            return Ok(());
        }
        Err(refusal(format!(
            "plugin.toml must say [capabilities] local-fhir = \"{name}\" for this"
        )))
    }
}

fn refusal(message: String) -> Refusal {
    Refusal {
        message,
        status: None,
        outcome: None,
    }
}

/// A type with id, query or both; no way to another server or out of the base address.
fn is_relative(path: &str) -> bool {
    let steps = path.split('?').next().unwrap_or_default();
    !path.contains(['#', '\\'])
        && !path.chars().any(char::is_control)
        && !steps.starts_with('/')
        && !steps.contains(':')
        && !steps.contains('%')
        && steps.split('/').all(|step| step != "..")
}
