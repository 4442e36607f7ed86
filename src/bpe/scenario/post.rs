//! Tasks between the organisations of a scenario.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};

use super::file::Service;
use super::value;
use crate::bpe::engine::Call;
use crate::bpe::model::{Target, Variable, Variables};
use crate::r4::view::task::{Task, message};
use crate::r4::{Node, Resource, dsf};

/// The mailboxes of all organisations of a scenario.
pub trait Mail: Send {
    /// Posts a Task at the mailbox of `to`, in the name of `from`.
    ///
    /// # Errors
    /// What the mailbox answers when it does not take the Task.
    fn post(&mut self, from: &str, to: &str, task: &Resource) -> Result<(), Refusal>;

    /// The time moves on.
    fn set_clock(&mut self, now: Timestamp);
}

/// Makes the mailboxes that a scenario needs.
pub trait Postmaster {
    /// # Errors
    /// Why there are none, in words.
    fn mail(&self, members: &[Member], place: &Place<'_>) -> Result<Box<dyn Mail>, String>;
}

/// An organisation of a scenario.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its identifier.
    pub name: String,
    /// Who stands in its allow list beside itself.
    pub knows: Vec<String>,
    /// Its role in the network; `DIC` and so on.
    pub role: String,
}

/// Where and when a scenario plays.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The folder of the scenario file.
    pub folder: &'a Path,
    pub now: Timestamp,
}

/// A mailbox that does not take a Task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub message: String,
}

/// What is on its way, and what became of what was sent.
pub(super) struct Exchange {
    pub mail: Box<dyn Mail>,
    pub travelling: VecDeque<Resource>,
    /// `message receiver` of Tasks that a mailbox has taken since the step began.
    pub sent: Vec<String>,
    /// `message receiver status` of those that it has not.
    pub refused: Vec<String>,
    /// What the mailboxes said to that.
    pub told: Vec<String>,
}

/// The exchange, as one organisation reaches it.
#[derive(Clone)]
pub(super) struct Post {
    pub organization: String,
    pub exchange: Arc<Mutex<Exchange>>,
}

impl Post {
    pub(super) fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts the message of a sending element.
    pub(super) fn send(&self, sending: &Sending<'_>) -> Result<(), Refusal> {
        let unfit = |message: String| Refusal { status: 0, message };
        let task = sending.task(&self.organization).map_err(unfit)?;
        let to = receiver(&task).unwrap_or_default().to_owned();
        let name = Task(&task).message_name().unwrap_or_default().to_owned();
        let mut exchange = self.exchange();
        exchange.mail.set_clock(sending.call.at);
        match exchange.mail.post(&self.organization, &to, &task) {
            Ok(()) => {
                exchange.sent.push(format!("{name} {to}"));
                exchange.travelling.push_back(task);
                Ok(())
            }
            Err(refusal) => {
                let Refusal { status, message } = &refusal;
                let own = &self.organization;
                let told = format!("{own}: '{name}' is refused by {to}: {status} {message}");
                exchange.told.push(told);
                exchange.refused.push(format!("{name} {to} {status}"));
                Err(refusal)
            }
        }
    }
}

/// The identifier of the organisation that a Task is for.
pub(super) fn receiver(task: &Resource) -> Option<&str> {
    task.get("restriction")?
        .items("recipient")
        .next()?
        .member("identifier")?
        .text("value")
}

/// A message that an element wants to send.
pub(super) struct Sending<'a> {
    pub activity: &'a str,
    pub call: &'a Call,
    /// What code sees, what it has set included.
    pub visible: Variables,
    pub business_key: &'a str,
    /// The table of the scenario for this element.
    pub service: Option<&'a Service>,
}

impl Sending<'_> {
    /// The Task as spec/bpe.md §7.3 has it.
    fn task(&self, own: &str) -> Result<Resource, String> {
        let field = |name: &str| {
            let text = self.call.fields.get(name).and_then(Variable::as_str);
            text.ok_or_else(|| format!("{}: the field {name} is no text", self.activity))
        };
        let (to, correlation_key) =
            self.visible.get("target").and_then(target).ok_or_else(|| {
                format!("{}: the variable target names no receiver", self.activity)
            })?;
        let mut input = vec![
            message(dsf::message::NAME, field("messageName")?),
            message(dsf::message::BUSINESS_KEY, self.business_key),
        ];
        input.extend(correlation_key.map(|key| message(dsf::message::CORRELATION_KEY, &key)));
        let more = self.service.map(|service| &service.inputs[..]);
        let more = more.unwrap_or_default().iter();
        input.extend(more.map(|one| value::variable(one).to_json()));
        let at = self.call.at.to_zoned(TimeZone::UTC);
        let task = json!({
            "resourceType": "Task",
            "meta": { "profile": [field("profile")?] },
            "instantiatesCanonical": field("instantiatesCanonical")?,
            "status": "requested",
            "intent": "order",
            "authoredOn": at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
            "requester": organization(own),
            "restriction": { "recipient": [organization(&to)] },
            "input": input,
        });
        Resource::from_value(task).ok_or_else(|| "no Task".to_owned())
    }
}

fn organization(identifier: &str) -> Json {
    json!({
        "type": "Organization",
        "identifier": { "system": dsf::sid::ORGANIZATION, "value": identifier },
    })
}

/// Receiver and correlation key of a target: a name, or a table with both.
fn target(value: &Variable) -> Option<(String, Option<String>)> {
    let text = |entries: &Variables, name: &str| {
        let found = entries.get(name).and_then(Variable::as_str);
        found.map(str::to_owned)
    };
    match value {
        Variable::String(name) => Some((name.clone(), None)),
        Variable::Map(entries) => Some((
            text(entries, "organization")?,
            text(entries, "correlationKey"),
        )),
        Variable::Target(Target {
            organization_identifier,
            correlation_key,
            ..
        }) => Some((organization_identifier.clone(), correlation_key.clone())),
        _ => None,
    }
}

/// What stands for the Task where it is received: the variable `receivedTask`.
pub(super) fn received(task: &Resource) -> Variables {
    let view = Task(task);
    let text = |text: Option<&str>| Variable::from(text.map(Variable::from));
    let requester = view.requester_identifier().map(|one| one.value);
    let inputs = task.list("input").filter_map(|input| {
        let code = input.member("type")?.items("coding").next()?.text("code")?;
        let members = input.as_object()?.iter();
        let (_, value) = members
            .into_iter()
            .find(|(name, _)| name.starts_with("value"))?;
        Some((code.to_owned(), Variable::Json(value.clone())))
    });
    let task = Variables::from([
        ("requester".to_owned(), text(requester.as_deref())),
        ("correlationKey".to_owned(), text(view.correlation_key())),
        ("message".to_owned(), text(view.message_name())),
        ("input".to_owned(), Variable::Map(inputs.collect())),
    ]);
    Variables::from([("receivedTask".to_owned(), Variable::Map(task))])
}
