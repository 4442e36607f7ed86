//! What a step needs from outside before it can go on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::{FrameId, WaitId};
use crate::bpe::model::{NodeIx, Variables};

/// Something the host must do; it answers with the same id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub id: WaitId,
    /// The activity instance on whose behalf it is asked.
    pub frame: FrameId,
    pub node: NodeIx,
    pub activity: String,
    pub ask: Ask,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Run plugin code.
    Call(Call),
    /// Start a called instance; answer when it waits, then send [`super::Trigger::Child`] when
    /// it ends.
    Start(ChildStart),
    /// Delete the called instance of the frame.
    Cancel,
    /// Tell everybody who waits for the signal, this instance included.
    Signal {
        name: String,
        variables: Variables,
        business_key: Option<String>,
    },
    /// Hand an escalation to the instance that called this one, by [`super::Trigger::Child`].
    Escalate { code: String, variables: Variables },
    /// Hand an error that nobody catches here to the instance that called this one. If that
    /// catches it, it cancels this instance; otherwise the answer lets the path end here.
    Error {
        code: String,
        message: Option<String>,
        variables: Variables,
    },
}

/// Plugin code to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub kind: CallKind,
    /// The class key, or the delegate expression as written.
    pub class: String,
    /// Injected fields, evaluated.
    pub fields: Variables,
    /// The id of the flow just taken.
    pub flow: Option<String>,
    /// An `end` listener runs because the activity is cancelled.
    pub canceled: bool,
    /// When the segment began.
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallKind {
    Service,
    Send,
    BusinessRule,
    /// An intermediate or end event that throws a message.
    Throw,
    /// `start`, `end` or `take`.
    ExecutionListener {
        event: String,
    },
    /// `create`, `assignment`, `complete`, `delete` …
    TaskListener {
        event: String,
        task: WaitId,
    },
}

/// A called instance to start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildStart {
    pub key: String,
    pub version: Option<u32>,
    pub version_tag: Option<String>,
    /// The version of the caller's own deployment.
    pub same_deployment: bool,
    pub business_key: Option<String>,
    pub variables: Variables,
}
