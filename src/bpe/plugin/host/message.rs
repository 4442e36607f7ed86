//! Messages to other organisations: the Task that is posted (spec/bpe.md §7).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::wire;
use crate::bpe::engine::Setting;
use crate::bpe::model::{Target, Variable};
use crate::bpe::plugin::package::MESSAGE_FIELDS;
use crate::bpe::plugin::{Activity, Message};
use crate::r4::{Resource, dsf};

const ALTERNATIVE_KEY: &str = "alternativeBusinessKey";

/// What is known of a message before code has its say.
pub(super) struct Draft {
    pub instantiates_canonical: String,
    pub profile: String,
    pub message_name: String,
    pub target: Target,
}

/// Which business key the message carries (§6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyStrategy {
    Same,
    Alternative,
    New,
}

impl KeyStrategy {
    pub(super) fn named(name: Option<&str>) -> Self {
        match name {
            Some("ALTERNATIVE") => Self::Alternative,
            Some("NEW") => Self::New,
            _ => Self::Same,
        }
    }

    /// A new key is the same again when the call is repeated after a crash.
    fn key(self, activity: &Activity) -> String {
        match self {
            Self::Same => activity.business_key.clone(),
            Self::Alternative => derived(activity.effect, "alternative business key"),
            Self::New => derived(activity.effect, "new business key"),
        }
    }
}

fn derived(effect: Uuid, purpose: &str) -> String {
    let digest = Sha256::new()
        .chain_update(effect)
        .chain_update(purpose)
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

impl Draft {
    /// Reads fields and target of a sending element.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn of(activity: &Activity) -> Result<Self, String> {
        let field = |name: &str| {
            let text = activity.fields.get(name).and_then(Variable::as_str);
            text.filter(|text| !text.trim().is_empty())
                .map(str::to_owned)
                .ok_or_else(|| {
                    format!(
                        "the field {name} of {} is not a text with something in it",
                        activity.node
                    )
                })
        };
        let [canonical, profile, name] = MESSAGE_FIELDS;
        let target = match activity.visible.get("target") {
            Some(Variable::Target(target)) => target.clone(),
            _ => return Err("the variable target is not set: no receiver".to_owned()),
        };
        Ok(Self {
            instantiates_canonical: field(canonical)?,
            profile: field(profile)?,
            message_name: field(name)?,
            target,
        })
    }

    /// `sendTaskValues` and `target` for the code.
    pub(super) fn for_code(&self) -> Value {
        json!({
            "values": {
                "instantiatesCanonical": self.instantiates_canonical,
                "profile": self.profile,
                "messageName": self.message_name,
            },
            "target": wire::target(&self.target),
        })
    }

    /// The finished message, and what sending it sets.
    pub(super) fn finish(
        self,
        activity: &Activity,
        strategy: KeyStrategy,
        more: Vec<Value>,
        sender: &Sender<'_>,
    ) -> (Message, Option<Setting>) {
        let key = strategy.key(activity);
        let setting = (strategy == KeyStrategy::Alternative).then(|| Setting {
            name: ALTERNATIVE_KEY.to_owned(),
            value: Some(Variable::from(key.as_str())),
            local: false,
        });
        let task = self.task(&key, more, sender);
        let Target {
            organization_identifier,
            endpoint_identifier,
            endpoint_url,
            ..
        } = self.target;
        let message = Message {
            organization: organization_identifier,
            endpoint: endpoint_identifier,
            address: endpoint_url,
            task,
        };
        (message, setting)
    }

    /// The Task of §7.3.
    #[expect(
        clippy::expect_used,
        reason = "the literal is an object with a resourceType"
    )]
    fn task(&self, business_key: &str, more: Vec<Value>, sender: &Sender<'_>) -> Resource {
        let mut input = vec![
            text_input(dsf::message::NAME, &self.message_name),
            text_input(dsf::message::BUSINESS_KEY, business_key),
        ];
        if let Some(key) = &self.target.correlation_key {
            input.push(text_input(dsf::message::CORRELATION_KEY, key));
        }
        input.extend(more);
        let at = sender
            .now
            .to_zoned(TimeZone::UTC)
            .strftime("%Y-%m-%dT%H:%M:%S+00:00");
        let members = json!({
            "resourceType": "Task",
            "meta": { "profile": [self.profile] },
            "instantiatesCanonical": self.instantiates_canonical,
            "status": "requested",
            "intent": "order",
            "authoredOn": at.to_string(),
            "requester": organization(sender.organization),
            "restriction": { "recipient": [organization(&self.target.organization_identifier)] },
            "input": input,
        });
        Resource::from_value(members).expect("a Task is a resource")
    }
}

/// Who sends, and when.
pub(super) struct Sender<'a> {
    pub organization: &'a str,
    pub now: Timestamp,
}

fn text_input(code: &str, value: &str) -> Value {
    json!({
        "type": { "coding": [{ "system": dsf::system::BPMN_MESSAGE, "code": code }] },
        "valueString": value,
    })
}

fn organization(identifier: &str) -> Value {
    json!({
        "type": "Organization",
        "identifier": { "system": dsf::sid::ORGANIZATION, "value": identifier },
    })
}

/// What `additionalInputParameters` returned, if these are inputs.
pub(super) fn parameters(returned: Value) -> Result<Vec<Value>, String> {
    match returned {
        Value::Null => Ok(Vec::new()),
        Value::Array(inputs) if inputs.iter().all(|input| input.get("type").is_some()) => {
            Ok(inputs)
        }
        _ => {
            Err("additionalInputParameters must return an array of Task.input elements".to_owned())
        }
    }
}
