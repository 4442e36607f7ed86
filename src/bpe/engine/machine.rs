//! The interpreter: takes operations from the agenda until it is empty or must ask.

use jiff::Timestamp;

use super::agenda::Op;
use super::change::{Change, Event, EventKind};
use super::state::{Frame, FrameId, Phase, Role, State, WaitId};
use super::{End, Failure, Next, Step, Trigger};
use crate::bpe::expression::EvaluationError;
use crate::bpe::model::{Graph, Kind, Node, Variables};

/// Operations of one step. A model that needs more runs in circles without ever waiting.
/// A multi-instance of ten thousand needs a tenth of it.
const BUDGET: u32 = 1_000_000;

pub(super) type Done<T = ()> = Result<T, Failure>;

/// One step in the making.
pub(super) struct Machine<'g> {
    pub graph: &'g Graph,
    pub state: State,
    pub now: Timestamp,
    pub changes: Change,
    pub end: Option<End>,
}

impl<'g> Machine<'g> {
    pub(super) fn new(graph: &'g Graph, state: State, now: Timestamp) -> Self {
        Self {
            graph,
            state,
            now,
            changes: Change::default(),
            end: None,
        }
    }

    pub(super) fn run(mut self, trigger: Trigger) -> Done<Step> {
        self.accept(trigger)?;
        let mut budget = BUDGET;
        let next = loop {
            if self.end.is_some() {
                self.clear();
            }
            match self.state.agenda.last() {
                Some(Op::Await { request, .. }) => break Next::Request(request.clone()),
                Some(_) if budget == 0 => {
                    let message = "the process runs in circles without waiting for anything";
                    return Err(self.failure(State::ROOT, "endless", message));
                }
                Some(_) => {
                    budget -= 1;
                    if let Some(op) = self.state.agenda.pop() {
                        self.perform(op)?;
                    }
                }
                None => match self.end.take() {
                    Some(end) => break Next::End(end),
                    None if self.inclusive_joins() => {}
                    None => break Next::Wait,
                },
            }
        };
        self.refresh_correlation();
        Ok(Step {
            state: self.state,
            changes: self.changes,
            next,
        })
    }

    fn perform(&mut self, op: Op) -> Done {
        match op {
            Op::Take(frame) => self.take(frame),
            Op::Enter(frame) => self.enter(frame),
            Op::Begin(frame) => self.begin(frame)?,
            Op::Execute(frame) => self.execute(frame)?,
            Op::Complete(frame) => self.complete(frame),
            Op::Select(frame) => self.select(frame)?,
            Op::Leave(frame) => self.leave(frame)?,
            Op::Listen { frame, on, at } => self.listen(frame, on, at)?,
            Op::Scope(frame) => self.end_scope(frame),
            Op::Cancel(frame) => self.cancel(frame),
            Op::Drop(frame) => self.drop_frame(frame)?,
            Op::Conditions(entered) => self.conditions(entered)?,
            Op::Compensate { thrower, activity } => self.compensate(thrower, activity),
            Op::Compensated(frame) => self.compensated(frame),
            Op::CancelChild(frame) => self.cancel_child(frame),
            Op::Finish(reason) => self.finish(reason),
            // Stays on the agenda until it is answered.
            Op::Await { request, then } => self.push(Op::Await { request, then }),
        }
        Ok(())
    }

    pub(super) fn push(&mut self, op: Op) {
        self.state.agenda.push(op);
    }

    /// The ended instance leaves nothing behind.
    fn clear(&mut self) {
        self.state.agenda.clear();
        let gone: Vec<_> = self.state.frames.keys().copied().collect();
        for frame in gone {
            self.remove_waits(frame);
        }
        self.state.frames.clear();
    }

    pub(super) fn finish(&mut self, reason: Option<String>) {
        let root = self.state.frames.remove(&State::ROOT);
        let variables = root.map(|root| root.variables).unwrap_or_default();
        self.remove_waits(State::ROOT);
        self.end = Some(match reason {
            None => End::Completed { variables },
            Some(reason) => End::Canceled { reason, variables },
        });
    }

    /// A number nobody has used in this instance.
    pub(super) fn number(&mut self) -> u64 {
        let number = self.state.next;
        self.state.next += 1;
        number
    }

    pub(super) fn wait_id(&mut self) -> WaitId {
        WaitId(self.number())
    }

    pub(super) fn frame(&self, id: FrameId) -> Option<&Frame> {
        self.state.frames.get(&id)
    }

    /// A frame that has not been cancelled in the meantime.
    pub(super) fn alive(&self, id: FrameId) -> Option<&Frame> {
        self.frame(id)
            .filter(|frame| frame.phase != Phase::Canceling)
    }

    pub(super) fn change_frame(&mut self, id: FrameId, change: impl FnOnce(&mut Frame)) {
        if let Some(frame) = self.state.frames.get_mut(&id) {
            change(frame);
        }
    }

    pub(super) fn node(&self, id: FrameId) -> &'g Node {
        let ix = self.frame(id).map_or(Graph::ROOT, |frame| frame.node);
        self.graph.node(ix)
    }

    /// Adds a frame below its parent.
    pub(super) fn add(&mut self, frame: Frame) -> FrameId {
        let id = FrameId(self.number());
        self.change_frame(frame.parent, |parent| parent.children += 1);
        self.state.frames.insert(id, frame);
        id
    }

    /// Takes a frame away with everything it waits for.
    pub(super) fn remove(&mut self, id: FrameId) -> Option<Frame> {
        self.remove_waits(id);
        let frame = self.state.frames.remove(&id)?;
        self.change_frame(frame.parent, |parent| {
            parent.children = parent.children.saturating_sub(1);
        });
        Some(frame)
    }

    /// The frames directly below, latest first.
    pub(super) fn children(&self, parent: FrameId) -> Vec<FrameId> {
        let below = self.state.frames.iter().rev();
        below
            .filter(|(id, frame)| frame.parent == parent && **id != State::ROOT)
            .map(|(id, _)| *id)
            .collect()
    }

    /// The id under which an entry of the node is known: bodies have a suffix.
    pub(super) fn activity(&self, id: FrameId) -> String {
        let node = self.node(id);
        match self.frame(id) {
            Some(frame) if frame.role == Role::Body => format!("{}#multiInstanceBody", node.id),
            _ => node.id.clone(),
        }
    }

    pub(super) fn history(&mut self, id: FrameId, kind: EventKind) {
        use crate::bpe::model::Event as Definition;
        let silent = matches!(
            self.node(id).kind,
            Kind::Throw(Definition::Link { .. }) | Kind::Catch(Definition::Link { .. })
        );
        if silent || id == State::ROOT {
            return;
        }
        let parent = self.frame(id).map_or(State::ROOT, |frame| frame.parent);
        let activity = self.activity(id);
        self.changes.history.push(Event {
            at: self.now,
            kind,
            frame: id,
            parent,
            activity,
        });
    }

    pub(super) fn failure(
        &self,
        frame: FrameId,
        kind: &str,
        message: impl Into<String>,
    ) -> Failure {
        let activity = self.activity(frame);
        Failure {
            activity,
            kind: kind.to_owned(),
            message: message.into(),
        }
    }

    /// An expression that cannot be evaluated fails the step.
    pub(super) fn evaluated<T>(
        &self,
        frame: FrameId,
        result: Result<T, EvaluationError>,
    ) -> Done<T> {
        result.map_err(|error| self.failure(frame, "expression", error.to_string()))
    }

    pub(super) fn root_variables(&self) -> Variables {
        self.frame(State::ROOT)
            .map(|root| root.variables.clone())
            .unwrap_or_default()
    }
}
