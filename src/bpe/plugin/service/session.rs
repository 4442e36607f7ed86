//! What one call of plugin code has of the services.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::question::Question;
use super::stream::{Streams, decoded};
use super::{Capabilities, Refusal, Services, crypto, mime};
use crate::bpe::plugin::runner::Outside;

/// The target of what code says about patients.
const DATA_LOG: &str = "dsf::data";

/// Whether `log.level` turns the log for sensitive data on.
#[must_use]
pub fn logs_data() -> bool {
    tracing::enabled!(target: DATA_LOG, tracing::Level::DEBUG)
}

/// Who calls, for the log.
#[derive(Clone, Debug)]
pub struct Caller {
    pub process: String,
    pub activity: String,
    pub business_key: String,
}

/// The outside of one call.
pub struct Session {
    services: Arc<Services>,
    capabilities: Arc<Capabilities>,
    caller: Caller,
    pub(super) streams: Streams,
}

impl Session {
    #[must_use]
    pub fn new(services: Arc<Services>, capabilities: Arc<Capabilities>, caller: Caller) -> Self {
        Self {
            services,
            capabilities,
            caller,
            streams: Streams::default(),
        }
    }

    pub(super) fn services(&self) -> &Services {
        &self.services
    }

    /// For work that goes on beside the call.
    pub(super) fn shared_services(&self) -> Arc<Services> {
        Arc::clone(&self.services)
    }

    pub(super) fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn answer(&self, question: &str) -> Result<Value, Refusal> {
        let question = serde_json::from_str(question)
            .map_err(|error| Refusal::new(format!("not a question: {error}")))?;
        match question {
            Question::Lookup(query) => {
                let found = self.services.lookups.resources(&query).await?;
                Ok(json!(*found))
            }
            Question::Fhir(question) => self.fhir(*question).await,
            Question::Download(question) => self.download(*question).await,
            Question::Upload(question) => self.upload(*question).await,
            Question::Transform(question) => self.transform(&question),
            Question::Read(stream) => self.read(stream.stream).await,
            Question::Write(piece) => self.write(piece.stream, &piece.data).await,
            Question::Finish(stream) => self.finish(stream.stream).await,
            Question::Close(stream) => {
                self.streams.close(stream.stream);
                Ok(Value::Null)
            }
            Question::Connection(named) => self.client_config(&named.id).await,
            Question::Oidc(question) => self.oidc(*question).await,
            Question::Mail(question) => self.mail(*question).await,
            Question::Validates(_) => Ok(self.validates()),
            Question::Validate(question) => self.validate(*question).await,
            Question::Mime(question) => {
                let data = decoded(&question.data)?;
                mime::validate(&data, &question.declared).map_err(Refusal::new)
            }
            Question::Crypto(question) => {
                // Keys take their time to make: not on the threads that serve everybody.
                let worked = tokio::task::spawn_blocking(move || crypto::answer(&question));
                let answer = worked.await;
                let answer = answer.map_err(|error| Refusal::new(error.to_string()))?;
                answer.map_err(Refusal::new)
            }
            Question::Delay(delay) => {
                tokio::time::sleep(Duration::from_millis(delay.milliseconds)).await;
                Ok(Value::Null)
            }
        }
    }
}

#[async_trait]
impl Outside for Session {
    fn log(&self, level: &str, text: &str) {
        let Caller {
            process,
            activity,
            business_key,
        } = &self.caller;
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(process, activity, business_key, "{text}")
            };
        }
        match level {
            "data" => {
                tracing::debug!(target: "dsf::data", process, activity, business_key, "{text}")
            }
            "debug" => event!(debug),
            "warn" => event!(warn),
            "error" => event!(error),
            _ => event!(info),
        }
    }

    async fn ask(&self, question: String) -> String {
        let answer = match self.answer(&question).await {
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
