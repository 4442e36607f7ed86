//! Messages to other organisations: the Task that is posted (spec/bpe.md §7).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
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

/// What code handed to `send`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wanted {
    pub target: Value,
    pub instantiates_canonical: Option<String>,
    pub profile: Option<String>,
    pub message_name: Option<String>,
    pub business_key_strategy: Option<String>,
    #[serde(default)]
    pub additional_input_parameters: Value,
}

impl Draft {
    /// Reads fields and target of a sending element.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn of(activity: &Activity) -> Result<Self, String> {
        let target = match activity.visible.get("target") {
            Some(Variable::Target(target)) => target.clone(),
            _ => return Err("the variable target is not set: no receiver".to_owned()),
        };
        Self::to(activity, target)
    }

    /// What the model says of a message, for code that sends it itself: a target may be missing.
    pub(super) fn values(activity: &Activity) -> Result<Value, String> {
        let draft = Self::untargeted(activity)?.for_code();
        let target = match activity.visible.get("target") {
            Some(Variable::Target(target)) => wire::target(target),
            _ => Value::Null,
        };
        Ok(json!({ "values": draft["values"], "target": target }))
    }

    /// The message without a target.
    pub(super) fn untargeted(activity: &Activity) -> Result<Self, String> {
        let nobody = Target {
            organization_identifier: String::new(),
            endpoint_identifier: String::new(),
            endpoint_url: String::new(),
            correlation_key: None,
        };
        Self::to(activity, nobody)
    }

    fn to(activity: &Activity, target: Target) -> Result<Self, String> {
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
        Ok(Self {
            instantiates_canonical: field(canonical)?,
            profile: field(profile)?,
            message_name: field(name)?,
            target,
        })
    }

    /// With what code wants otherwise.
    ///
    /// # Errors
    /// When that is no target.
    pub(super) fn changed(mut self, wanted: &Wanted) -> Result<Self, String> {
        let places = [
            (
                &mut self.instantiates_canonical,
                &wanted.instantiates_canonical,
            ),
            (&mut self.profile, &wanted.profile),
            (&mut self.message_name, &wanted.message_name),
        ];
        for (place, value) in places {
            if let Some(value) = value {
                place.clone_from(value);
            }
        }
        self.target = wire::target_of(&wanted.target).ok_or("send: this is no target")?;
        Ok(self)
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
        Resource::from_value(members).expect("an object with a resourceType is a resource")
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
