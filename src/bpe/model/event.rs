//! Event definitions of start, end, intermediate and boundary events.

use super::node::{NodeIx, Pass, Service};
use crate::bpe::expression::{Condition, Expression};

/// What an event catches or throws.
#[derive(Clone, Debug)]
pub enum Event {
    None,
    /// `service` is the implementation of a throwing message event.
    Message {
        name: Option<Expression>,
        service: Option<Service>,
    },
    Timer(Timer),
    Signal(SignalEvent),
    Error(ErrorEvent),
    Escalation(EscalationEvent),
    Conditional(Conditional),
    Compensation {
        activity: Option<NodeIx>,
    },
    Cancel,
    Terminate,
    /// A catching link, or a throwing one with its resolved target.
    Link {
        name: String,
        target: Option<NodeIx>,
    },
}

#[derive(Clone, Debug)]
pub struct Timer {
    pub form: TimerForm,
    pub value: Expression,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerForm {
    Date,
    Duration,
    Cycle,
}

#[derive(Clone, Debug)]
pub struct SignalEvent {
    pub name: Expression,
    /// What a throwing event hands to the receivers.
    pub payload: Vec<Payload>,
}

/// One mapping to another instance.
#[derive(Clone, Debug)]
pub struct Payload(pub Pass);

#[derive(Clone, Debug, Default)]
pub struct ErrorEvent {
    /// Nothing: catches every BPMN error.
    pub code: Option<String>,
    pub message: Option<Expression>,
    pub code_variable: Option<String>,
    pub message_variable: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct EscalationEvent {
    pub code: Option<String>,
    pub code_variable: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Conditional {
    pub condition: Condition,
    pub variable: Option<String>,
    /// Subset of create, update, delete; empty means all.
    pub events: Vec<String>,
}

impl Event {
    /// The name of the definition, as in the element name without `EventDefinition`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Message { .. } => "message",
            Self::Timer(_) => "timer",
            Self::Signal(_) => "signal",
            Self::Error(_) => "error",
            Self::Escalation(_) => "escalation",
            Self::Conditional(_) => "conditional",
            Self::Compensation { .. } => "compensate",
            Self::Cancel => "cancel",
            Self::Terminate => "terminate",
            Self::Link { .. } => "link",
        }
    }
}
