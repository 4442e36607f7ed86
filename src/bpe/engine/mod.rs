//! The BPMN interpreter as a pure function (`spec/bpmn.md` §3 and §5).
//!
//! [`step`] takes the state of one instance and one trigger and runs until every token waits,
//! the instance ends, or something outside is needed: plugin code, a called instance, a signal.
//! Then the step carries a [`Request`]; the host does it, with no transaction open, and answers
//! by [`Trigger::Answer`]. What the interpreter still had to do is part of the [`State`], so a
//! state in the middle of a segment can be stored and resumed.
//!
//! An instance is a tree of frames, one for each entry of a node. What happens to them is a
//! stack of small operations; a frame that is cancelled takes its remaining operations with it.
//!
//! A step that fails returns a [`Failure`] and no state: the caller keeps the one it had.

mod agenda;
mod call;
mod cancel;
mod change;
mod compensate;
mod conditions;
mod deliver;
mod enter;
mod gateway;
mod job;
mod leave;
mod machine;
mod modify;
mod multi;
mod page;
mod propagate;
mod request;
mod state;
mod subscribe;
mod task;
mod timer;
mod trigger;
mod variables;

pub use change::{
    Change, Delta, Event, EventKind, Job, JobKind, Repeat, Subscription, SubscriptionKind, UserTask,
};
pub use page::{Absent, CROWD, Page, PageId};
pub use request::{Ask, Call, CallKind, ChildStart, Request};
pub use state::{FrameId, InstanceId, State, WaitId, Waiting};
pub use timer::{Every, Schedule};
pub use trigger::{Answer, Child, Instruction, Outcome, Setting, Start, TaskPatch, Trigger};

use jiff::Timestamp;

use crate::bpe::expression::{EvaluationError, Expression, Scope};
use crate::bpe::model::{Conditional, Graph, Timer, Variable, Variables};

/// What one trigger led to.
#[derive(Clone, Debug)]
pub struct Step {
    pub state: State,
    /// What has to be stored beside the state, in order.
    pub changes: Change,
    pub next: Next,
}

/// How a step left the instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Every token waits for a trigger.
    Wait,
    /// Something outside must happen before the segment goes on.
    Request(Request),
    End(End),
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    Completed {
        variables: Variables,
    },
    Canceled {
        reason: String,
        variables: Variables,
    },
}

/// Why a step cannot be done. Nothing has changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{activity}: {message}")]
pub struct Failure {
    /// The BPMN id of the node at which it happened.
    pub activity: String,
    /// Names the class of failure, as an exception's class would.
    pub kind: String,
    pub message: String,
}

/// Why there is no step. Nothing has changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Halt {
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The same trigger has to be tried on a state that has what is absent.
    #[error("the step needs a part of the state that is not there")]
    Absent(Absent),
}

/// Runs one trigger to the next point where the instance waits or needs something.
///
/// # Errors
/// A [`Failure`] when the model, an expression or the plugin code fails, or when the trigger no
/// longer fits the state; [`Absent`] parts of the state that the step needs. The state is
/// unchanged in the hands of a caller who kept a copy.
pub fn step(graph: &Graph, state: State, trigger: Trigger, now: Timestamp) -> Result<Step, Halt> {
    machine::Machine::new(graph, state, now).run(trigger)
}

/// When the start timer of a definition is due, for the first time and how often.
///
/// # Errors
/// When the timer needs variables, which nothing has yet, or is no date, duration or cycle.
pub fn start_schedule(timer: &Timer, now: Timestamp) -> Result<Schedule, EvaluationError> {
    let value = timer
        .value
        .evaluate(&mut variables::Given(Variables::new()))?;
    timer::schedule(timer.form, &value, now).map_err(EvaluationError::Invalid)
}

/// Whether a conditional start event would start with these variables.
///
/// # Errors
/// When the condition cannot be evaluated; an unknown variable merely counts as no.
pub fn start_condition(
    conditional: &Conditional,
    variables: Variables,
) -> Result<bool, EvaluationError> {
    match conditional
        .condition
        .holds(&mut variables::Given(variables))
    {
        Err(EvaluationError::UnknownVariable(_)) => Ok(false),
        other => other,
    }
}

/// The constant part of a definition's names, such as start signals.
///
/// # Errors
/// When the expression needs variables of an instance.
pub fn constant(expression: &Expression) -> Result<String, EvaluationError> {
    let mut nothing = variables::Given(Variables::new());
    expression.text(&mut nothing as &mut dyn Scope)
}

/// Reads a value that people or partners gave as a point in time.
///
/// # Errors
/// Says what is wrong with the text.
pub fn timestamp(value: &Variable) -> Result<Timestamp, String> {
    timer::date(value)
}

#[cfg(test)]
mod check;
#[cfg(test)]
mod plugins;
#[cfg(test)]
pub(in crate::bpe) mod tests;
