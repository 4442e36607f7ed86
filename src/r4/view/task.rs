//! A Task: the one message that organisations exchange.

use serde_json::{Value, json};

use crate::r4::identifier::{has_coding, values_in_system};
use crate::r4::reference::logical;
use crate::r4::{Canonical, Coding, Identifier, Node, Resource, dsf};

/// The states of a Task that the framework uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Draft,
    Requested,
    InProgress,
    Completed,
    Failed,
}

impl Status {
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Requested => "requested",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// `None` for the states of FHIR that the framework does not use.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [
            Self::Draft,
            Self::Requested,
            Self::InProgress,
            Self::Completed,
            Self::Failed,
        ]
        .into_iter()
        .find(|status| status.code() == code)
    }
}

/// A Task, read.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a>(pub &'a Resource);

impl<'a> Task<'a> {
    #[must_use]
    pub fn status(self) -> Option<Status> {
        Status::from_code(self.0.str("status")?)
    }

    #[must_use]
    pub fn requester(self) -> Option<&'a Value> {
        self.0.get("requester")
    }

    #[must_use]
    pub fn requester_identifier(self) -> Option<Identifier> {
        Identifier::from_element(self.requester()?.member("identifier")?)
    }

    /// The entries of `restriction.recipient`.
    pub fn recipients(self) -> impl Iterator<Item = &'a Value> {
        self.0
            .get("restriction")
            .into_iter()
            .flat_map(|restriction| restriction.items("recipient"))
    }

    /// The identifier of the only recipient.
    #[must_use]
    pub fn recipient_identifier(self) -> Option<Identifier> {
        let mut recipients = self.recipients();
        let only = recipients.next().filter(|_| recipients.next().is_none())?;
        Identifier::from_element(only.member("identifier")?)
    }

    #[must_use]
    pub fn instantiates_canonical(self) -> Option<Canonical> {
        self.0.str("instantiatesCanonical").map(Canonical::parse)
    }

    /// The values of the identifiers that draft Tasks have.
    pub fn task_identifiers(self) -> impl Iterator<Item = &'a str> {
        values_in_system(self.0, dsf::sid::TASK)
    }

    pub fn inputs(self) -> impl DoubleEndedIterator<Item = &'a Value> {
        self.0.items("input")
    }

    pub fn outputs(self) -> impl DoubleEndedIterator<Item = &'a Value> {
        self.0.items("output")
    }

    /// The inputs of a kind of `bpmn-message`, whatever their value is.
    pub fn message_inputs(self, code: &'a str) -> impl Iterator<Item = &'a Value> {
        self.inputs().filter(move |input| is_message(input, code))
    }

    /// The string of the only input of this kind; `None` when there are several.
    fn message_text(self, code: &'a str) -> Option<&'a str> {
        let mut inputs = self.message_inputs(code);
        let only = inputs.next().filter(|_| inputs.next().is_none())?;
        only.text("valueString")
    }

    #[must_use]
    pub fn message_name(self) -> Option<&'a str> {
        self.message_text(dsf::message::NAME)
    }

    #[must_use]
    pub fn business_key(self) -> Option<&'a str> {
        self.message_text(dsf::message::BUSINESS_KEY)
    }

    #[must_use]
    pub fn correlation_key(self) -> Option<&'a str> {
        self.message_text(dsf::message::CORRELATION_KEY)
    }
}

/// Whether an input or output is of this kind of `bpmn-message`.
#[must_use]
pub fn is_message(parameter: &Value, code: &str) -> bool {
    let has = |kind| has_coding(kind, dsf::system::BPMN_MESSAGE, code);
    parameter.member("type").is_some_and(has)
}

/// An input or output: `value_name` is the JSON name of the value, for example `valueString`.
#[must_use]
pub fn parameter(kind: &Coding, value_name: &str, value: Value) -> Value {
    json!({ "type": { "coding": [kind.to_element()] }, value_name: value })
}

/// An input or output of `bpmn-message` with a string.
#[must_use]
pub fn message(code: &str, text: &str) -> Value {
    let kind = Coding::new(dsf::system::BPMN_MESSAGE, code);
    parameter(&kind, "valueString", Value::String(text.to_owned()))
}

pub fn set_status(task: &mut Resource, status: Status) {
    task.members_mut()
        .insert("status".to_owned(), json!(status.code()));
}

pub fn add_input(task: &mut Resource, input: Value) {
    push(task, "input", input);
}

pub fn add_output(task: &mut Resource, output: Value) {
    push(task, "output", output);
}

/// Adds an output that tells the requester what went wrong.
pub fn add_error(task: &mut Resource, text: &str) {
    add_output(task, message(dsf::message::ERROR, text));
}

fn push(task: &mut Resource, name: &str, item: Value) {
    match task.members_mut().get_mut(name) {
        Some(Value::Array(items)) => items.push(item),
        _ => {
            task.members_mut()
                .insert(name.to_owned(), Value::Array(vec![item]));
        }
    }
}

/// What a new `requested` Task says, in the form that peers expect.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub profile: &'a Canonical,
    pub process: &'a Canonical,
    pub requester: &'a Identifier,
    pub recipient: &'a Identifier,
    pub authored_on: String,
    /// All inputs, the message name among them.
    pub inputs: Vec<Value>,
}

impl Request<'_> {
    /// The Task of one organisation to another (`spec/auth-config.md` §4.5).
    #[must_use]
    pub fn to_resource(&self) -> Resource {
        Resource::of_type("Task")
            .with("meta", json!({ "profile": [self.profile.to_string()] }))
            .with("instantiatesCanonical", self.process.to_string())
            .with("status", Status::Requested.code())
            .with("intent", "order")
            .with("authoredOn", self.authored_on.clone())
            .with("requester", logical("Organization", self.requester))
            .with(
                "restriction",
                json!({ "recipient": [logical("Organization", self.recipient)] }),
            )
            .with("input", self.inputs.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_who_asks_whom_for_what() {
        let organization = |value| Identifier::new(dsf::sid::ORGANIZATION, value);
        let request = Request {
            profile: &Canonical::new("http://dsf.dev/fhir/StructureDefinition/task-ping", "2.0"),
            process: &Canonical::new("http://dsf.dev/bpe/Process/ping", "2.0"),
            requester: &organization("a.example"),
            recipient: &organization("b.example"),
            authored_on: "2026-01-01T00:00:00Z".to_owned(),
            inputs: vec![
                message("message-name", "ping"),
                message("business-key", "k"),
            ],
        };
        let mut resource = request.to_resource();
        add_error(&mut resource, "no answer");
        let task = Task(&resource);
        assert_eq!(task.status(), Some(Status::Requested));
        assert_eq!(task.requester_identifier(), Some(organization("a.example")));
        assert_eq!(task.recipient_identifier(), Some(organization("b.example")));
        assert_eq!(task.message_name(), Some("ping"));
        assert_eq!(task.business_key(), Some("k"));
        assert_eq!(task.correlation_key(), None);
        assert_eq!(
            task.outputs()
                .filter(|output| is_message(output, "error"))
                .count(),
            1
        );
    }
}
