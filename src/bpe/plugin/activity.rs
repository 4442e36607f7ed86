//! The seam between the runtime and plugin code: what an activity is told, what it answers.
//!
//! The runtime calls [`Host::perform`] with no transaction open and no lock held. Whatever the
//! code changes is part of the [`Performance`]; nothing has an effect before the runtime has
//! stored it, except what the code itself did on a FHIR server.

use async_trait::async_trait;
use uuid::Uuid;

use sha2::{Digest, Sha256};

use crate::bpe::engine::{CallKind, FrameId, Setting, TaskPatch, WaitId};
use crate::bpe::model::Variables;
use crate::bpe::plugin::package::OnFailure;
use crate::r4::Resource;

/// A process in one of its versions: `dsfdev_ping` and `1.0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    pub key: String,
    pub version: String,
}

impl std::fmt::Display for ProcessId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}|{}", self.key, self.version)
    }
}

/// One call of plugin code.
#[derive(Clone, Debug)]
pub struct Activity {
    pub process: ProcessId,
    pub definition: Uuid,
    pub instance: Uuid,
    pub business_key: String,
    /// The BPMN id of the node.
    pub node: String,
    pub frame: FrameId,
    pub kind: CallKind,
    /// The value of `camunda:class`.
    pub class: String,
    /// Injected fields, evaluated.
    pub fields: Variables,
    /// Of a user task: the canonical of its Questionnaire.
    pub form_key: Option<String>,
    /// The id of the flow just taken.
    pub flow: Option<String>,
    /// An `end` listener runs because the activity is cancelled.
    pub canceled: bool,
    /// What code sees at this place: inner scopes hide outer ones.
    pub visible: Variables,
    /// The local scope alone.
    pub local: Variables,
    pub tasks: Tasks,
    /// Stable over repetitions of the same call: for idempotent requests of the code.
    pub effect: Uuid,
}

/// The Tasks of the instance, as spec/bpe.md §3.6 groups them.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    /// The Task whose message started the instance; absent after a timer start.
    pub start: Option<Resource>,
    /// The start Task in the root scope, then those received in the scope around the activity.
    pub current: Vec<Resource>,
    /// All that are not answered yet, oldest first.
    pub all: Vec<Resource>,
}

/// The id of a user task on its form: the same for a step that is repeated after a crash.
#[must_use]
pub fn user_task_id(instance: Uuid, task: WaitId) -> Uuid {
    let digest = Sha256::new()
        .chain_update(instance)
        .chain_update(task.0.to_be_bytes())
        .chain_update("user task")
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// What a call led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Performance {
    /// Writes of variables, in order; they hold even when the outcome is a BPMN error.
    pub settings: Vec<Setting>,
    /// Tasks whose outputs the code has changed.
    pub tasks: Vec<Resource>,
    /// The Task that started the instance is to be seen on the server as it is now.
    pub shown: bool,
    /// What a task listener changes of its user task.
    pub task: Option<Box<TaskPatch>>,
    pub outcome: Performed,
}

impl Performance {
    /// Done, and nothing has changed.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            settings: Vec::new(),
            tasks: Vec::new(),
            shown: false,
            task: None,
            outcome: Performed::Done,
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Performed {
    Done,
    /// An error that the model may catch.
    Error {
        code: String,
        message: Option<String>,
    },
    Escalation {
        code: String,
    },
    /// The activity stays until it is told to go on.
    Wait,
    /// The code has deleted its own instance, for this reason.
    Delete {
        reason: String,
    },
    /// Anything unexpected; `kind` names it as an exception's class would.
    Failed {
        kind: String,
        message: String,
    },
    /// A message to send: the activity goes on when it is delivered.
    Send(Box<Message>),
}

/// A message for another organisation, complete but for the requester, which is ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub organization: String,
    pub endpoint: String,
    /// Base address of the recipient's FHIR server.
    pub address: String,
    /// The Task to post (spec/bpe.md §7.3).
    pub task: Resource,
}

/// The end of a message's journey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The recipient's server has the Task.
    Accepted,
    /// It will not have it; `status` is the HTTP status of a refusal, absent when no answer came
    /// until the deadline.
    Failed {
        status: Option<u16>,
        message: String,
    },
}

/// What the listener of a user task has to say about the form, the QuestionnaireResponse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FormCode {
    pub before: bool,
    pub after: bool,
}

/// When code is shown the form of a user task.
#[derive(Clone, Debug, PartialEq)]
pub enum FormMoment {
    /// Before it is on the server; code may change it. With it comes the Questionnaire that it was
    /// made of.
    Before(Box<Resource>),
    /// When it is there.
    After,
}

/// Runs the code of all loaded plugins.
#[async_trait]
pub trait Host: Send + Sync {
    /// Never fails as a whole: what goes wrong is a [`Performed::Failed`].
    async fn perform(&self, activity: Activity) -> Performance;

    /// What an exception leads to that the code of a process does not handle itself.
    fn on_failure(&self, process: &ProcessId) -> OnFailure;

    /// What became of the message that the activity sent. The performance goes on for the
    /// activity; it cannot send once more.
    async fn delivered(&self, activity: Activity, delivery: Delivery) -> Performance;

    /// Whether this listener of the creation of a user task stands for the usual one, which makes
    /// the form (spec/bpe.md §4.1), and what it wants to see of that. Other listeners run beside it.
    fn form_code(&self, _process: &ProcessId, _class: &str) -> Option<FormCode> {
        None
    }

    /// Shows the form to the listener; answers the form as it is to be.
    async fn form(
        &self,
        _activity: Activity,
        _moment: FormMoment,
        form: Resource,
    ) -> (Performance, Resource) {
        (Performance::nothing(), form)
    }
}
