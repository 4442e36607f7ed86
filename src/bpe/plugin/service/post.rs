//! Questions about mail, validation, and tokens of providers that code names itself.

use std::sync::Arc;

use serde_json::{Value, json};

use super::question::{MailQuestion, OidcQuestion, ValidateQuestion};
use super::session::Session;
use super::stream::decoded;
use super::{Refusal, oidc};
use crate::net::http;
use crate::net::mail::{File, Mail};
use crate::r4::Resource;

const ANY: &str = "application/octet-stream";

impl Session {
    pub(super) async fn mail(&self, question: MailQuestion) -> Result<Value, Refusal> {
        self.capabilities()
            .wants("mail", self.capabilities().mail)?;
        let mut attachments = Vec::new();
        for attachment in question.attachments {
            attachments.push(File {
                name: attachment.filename,
                media_type: attachment.mime_type.unwrap_or_else(|| ANY.to_owned()),
                content: decoded(&attachment.content)?,
            });
        }
        let mail = Mail {
            subject: question.subject,
            text: question.text,
            html: question.html,
            attachments,
            to: question.to,
            cc: question.cc,
            bcc: question.bcc,
            reply_to: question.reply_to,
        };
        let sent = self.services().mailer.send(&mail).await;
        sent.map_err(|error| Refusal::new(error.to_string()))?;
        Ok(Value::Null)
    }

    pub(super) async fn oidc(&self, question: OidcQuestion) -> Result<Value, Refusal> {
        let services = self.services();
        if let Some(id) = question.id {
            self.capabilities().connection(&id)?;
            return services.connections.oidc(&id, &question.wanted).await;
        }
        self.capabilities()
            .wants("oidc", self.capabilities().oidc)?;
        let provider = question
            .provider
            .ok_or_else(|| Refusal::new("no provider was named"))?;
        let http = http::Client::new(&services.outward)?;
        oidc::Client::new(http, provider)
            .answer(&question.wanted)
            .await
    }

    pub(super) fn validates(&self) -> Value {
        json!(self.services().validator.is_some())
    }

    /// Judging takes its time: not on the threads that serve everybody.
    pub(super) async fn validate(&self, question: ValidateQuestion) -> Result<Value, Refusal> {
        let validator = self.services().validator.as_ref().map(Arc::clone);
        let validator = validator.ok_or_else(|| Refusal::new("this node cannot validate"))?;
        let resource = Resource::from_value(question.resource)
            .ok_or_else(|| Refusal::new("this is not a FHIR resource"))?;
        let judged =
            tokio::task::spawn_blocking(move || validator(&resource, &question.profiles)).await;
        judged.map_err(|error| Refusal::new(error.to_string()))
    }
}
