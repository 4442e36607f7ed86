//! What makes an instance move.

use serde::{Deserialize, Serialize};

use super::state::{FrameId, WaitId};
use super::{End, Failure};
use crate::bpe::model::{FlowIx, NodeIx, Variable, Variables};

/// One thing that happened to an instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    Start(Start),
    /// What became of a [`super::Request`].
    Answer {
        request: WaitId,
        answer: Answer,
    },
    /// A message for one subscription.
    Message {
        subscription: WaitId,
        variables: Variables,
        local: Variables,
    },
    Signal {
        subscription: WaitId,
        variables: Variables,
    },
    /// A timer or an asynchronous continuation is due.
    Job {
        job: WaitId,
    },
    /// A user task is done.
    Complete {
        task: WaitId,
        variables: Variables,
        local: Variables,
    },
    /// A BPMN error or escalation is reported for a user task.
    Throw {
        task: WaitId,
        outcome: Outcome,
        variables: Variables,
    },
    /// A receive task without message, or code that said it would wait, goes on.
    Continue {
        frame: FrameId,
        settings: Vec<Setting>,
        outcome: Outcome,
    },
    /// News of the instance that a call activity called.
    Child {
        frame: FrameId,
        child: Child,
    },
    /// Variables from outside: of the instance or, with a frame, seen from there.
    Set {
        frame: Option<FrameId>,
        settings: Vec<Setting>,
    },
    /// The step of a job failed: one retry less, or an incident.
    JobFailed {
        job: WaitId,
        failure: Failure,
    },
    SetRetries {
        job: WaitId,
        retries: u32,
    },
    Suspend(bool),
    Cancel {
        reason: String,
    },
    Modify {
        instructions: Vec<Instruction>,
        variables: Variables,
    },
}

/// How an instance begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start {
    /// The start event or, for an explicit start elsewhere, any node. Nothing: the plain start.
    pub at: Option<NodeIx>,
    pub business_key: Option<String>,
    pub variables: Variables,
    /// Set when a call activity started it: the end is news for somebody.
    pub called: bool,
}

/// What became of a request. Settings hold even when the outcome is a BPMN error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub settings: Vec<Setting>,
    pub task: Option<TaskPatch>,
    /// The code deleted its own instance, for this reason.
    pub delete: Option<String>,
    pub outcome: Outcome,
}

/// One write or removal of a variable, in the order in which code did it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    pub name: String,
    /// Nothing: remove.
    pub value: Option<Variable>,
    /// Only in the local scope.
    pub local: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Done,
    BpmnError {
        code: String,
        message: Option<String>,
    },
    Escalation {
        code: String,
    },
    /// Unexpected: fails the step unless an error event names the kind.
    Failed {
        kind: String,
        message: String,
    },
    /// The activity stays until [`Trigger::Continue`].
    Wait,
}

/// What a task listener changes of its task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskPatch {
    pub name: Option<String>,
    pub description: Option<String>,
    pub assignee: Option<String>,
}

/// What happened to a called instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Child {
    Ended(End),
    Escalated {
        code: String,
        variables: Variables,
    },
    Threw {
        code: String,
        message: Option<String>,
        variables: Variables,
    },
}

/// One change of tokens by hand.
#[derive(Clone, Debug, PartialEq)]
pub enum Instruction {
    Cancel(FrameId),
    CancelAll(NodeIx),
    Before(NodeIx),
    After(NodeIx),
    Flow(FlowIx),
}

impl Answer {
    /// Done, with these writes.
    #[must_use]
    pub fn done(settings: Vec<Setting>) -> Self {
        Self {
            settings,
            task: None,
            delete: None,
            outcome: Outcome::Done,
        }
    }
}
