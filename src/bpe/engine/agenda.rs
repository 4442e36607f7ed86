//! The operations of the interpreter: what is still to be done, the next thing last.

use serde::{Deserialize, Serialize};

use super::request::Request;
use super::state::{FrameId, WaitId};
use crate::bpe::model::{FlowIx, NodeIx};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Op {
    /// A token runs along its flow.
    Take(FrameId),
    /// A token stands before its node.
    Enter(FrameId),
    /// Subscriptions, input mapping, timers, start listeners.
    Begin(FrameId),
    Execute(FrameId),
    /// The behaviour is done.
    Complete(FrameId),
    /// Chooses flows, then the end listeners run.
    Select(FrameId),
    /// Output mapping; the tokens go on.
    Leave(FrameId),
    /// Runs the listeners from this one on.
    Listen {
        frame: FrameId,
        on: On,
        at: usize,
    },
    /// Ends a scope in which nothing is left.
    Scope(FrameId),
    Cancel(FrameId),
    /// The end of a cancellation: output mapping, removal.
    Drop(FrameId),
    /// Dispatches the variable changes to conditional events; those of the frame, which has
    /// just been entered, are evaluated once whatever has changed.
    Conditions(Option<FrameId>),
    /// Starts the handlers of everything that the throw finds.
    Compensate {
        thrower: FrameId,
        activity: Option<NodeIx>,
    },
    /// All handlers of the throw are done.
    Compensated(FrameId),
    /// The host is asked for something; nothing below goes on before it answers.
    Await {
        request: Request,
        then: Then,
    },
    CancelChild(FrameId),
    /// The end of the instance: nothing, or the reason of its deletion.
    Finish(Option<String>),
}

impl Op {
    /// The frame that it is about.
    pub(super) fn frame(&self) -> Option<FrameId> {
        match self {
            Self::Take(frame)
            | Self::Enter(frame)
            | Self::Begin(frame)
            | Self::Execute(frame)
            | Self::Complete(frame)
            | Self::Select(frame)
            | Self::Leave(frame)
            | Self::Listen { frame, .. }
            | Self::Scope(frame)
            | Self::Cancel(frame)
            | Self::Drop(frame)
            | Self::Compensate { thrower: frame, .. }
            | Self::Compensated(frame)
            | Self::CancelChild(frame) => Some(*frame),
            Self::Conditions(frame) => *frame,
            Self::Await { request, .. } => Some(request.frame),
            Self::Finish(_) => None,
        }
    }
}

/// Which listeners run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum On {
    Start,
    End { canceled: bool },
    Take(FlowIx),
    Task { event: String, task: WaitId },
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Then {
    /// The behaviour of the frame: done means complete.
    Complete,
    Listener,
    /// An error was offered to the caller, who did not want it.
    Uncaught,
    /// Nothing depends on it.
    Continue,
}
