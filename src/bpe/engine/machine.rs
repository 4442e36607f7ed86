//! The interpreter: takes operations from the agenda until it is empty or must ask.

use std::cell::{Cell, OnceCell};

use jiff::Timestamp;

use super::agenda::Op;
use super::change::{Change, Event, EventKind};
use super::page::{Absent, PageId};
use super::state::{Frame, FrameId, Phase, Role, State, WaitId};
use super::{End, Failure, Halt, Next, Step, Trigger};
use crate::bpe::expression::EvaluationError;
use crate::bpe::model::{Graph, Kind, Node, Variable, Variables};

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
    /// What was needed and was not there: whatever comes of the step is thrown away.
    absent: Cell<Option<Absent>>,
    /// Whether the model has conditions that could react to variables.
    pub conditional: OnceCell<bool>,
}

impl<'g> Machine<'g> {
    pub(super) fn new(graph: &'g Graph, state: State, now: Timestamp) -> Self {
        Self {
            graph,
            state,
            now,
            changes: Change::default(),
            end: None,
            absent: Cell::new(None),
            conditional: OnceCell::new(),
        }
    }

    pub(super) fn run(mut self, trigger: Trigger) -> Result<Step, Halt> {
        let done = self.accept(trigger).and_then(|()| self.quiesce());
        if done.is_ok() {
            self.refresh_correlation();
        }
        if let Some(absent) = self.absent.get() {
            return Err(Halt::Absent(absent));
        }
        let next = done?;
        Ok(Step {
            state: self.state,
            changes: self.changes,
            next,
        })
    }

    fn quiesce(&mut self) -> Done<Next> {
        let mut budget = BUDGET;
        loop {
            if self.absent.get().is_some() {
                return Ok(Next::Wait);
            }
            if self.end.is_some() {
                self.clear();
            }
            match self.state.agenda.last() {
                Some(Op::Await { request, .. }) => {
                    return Ok(Next::Request(request.clone()));
                }
                Some(_) if budget == 0 => {
                    let message = "the process runs in circles without waiting for anything";
                    return Err(self.failure(State::ROOT, "endless", message));
                }
                Some(_) => {
                    budget -= 1;
                    if let Some(op) = self.state.agenda.pop() {
                        self.reach(&op);
                        self.perform(op)?;
                    }
                }
                None => match self.end.take() {
                    Some(end) => return Ok(Next::End(end)),
                    None if self.inclusive_joins() => {}
                    None => return Ok(Next::Wait),
                },
            }
        }
    }

    /// What a state in the middle of a segment still has to do may lie on a page that is absent.
    fn reach(&self, op: &Op) {
        let page = op.frame().map_or(PageId::FIRST, FrameId::page);
        let is_there = page == PageId::FIRST || self.state.pages.contains_key(&page);
        if !is_there && !self.state.is_complete() {
            self.lacks(Absent::Pages);
        }
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
        self.all_there(&variables);
        self.remove_waits(State::ROOT);
        self.end = Some(match reason {
            None => End::Completed { variables },
            Some(reason) => End::Canceled { reason, variables },
        });
    }

    /// A number nobody has used in this instance; it says on which page it is used.
    fn number(&mut self, page: PageId) -> u64 {
        let next = match page {
            PageId::FIRST => &mut self.state.next,
            page => {
                let pages = self.state.pages.entry(page);
                pages.or_insert_with(|| page.first_number())
            }
        };
        *next += 1;
        *next - 1
    }

    /// A number for something that a frame waits for.
    pub(super) fn wait_id(&mut self, frame: FrameId) -> WaitId {
        WaitId(self.number(frame.page()))
    }

    /// The step goes where a part of the state is needed that is not there.
    pub(super) fn lacks(&self, absent: Absent) {
        self.absent.set(Some(absent));
    }

    /// A value that is about to be read must be there.
    pub(super) fn is_there(&self, value: &Variable) {
        if matches!(value, Variable::Apart(_)) {
            self.lacks(Absent::Values);
        }
    }

    pub(super) fn all_there(&self, variables: &Variables) {
        variables.values().for_each(|value| self.is_there(value));
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

    /// Adds a frame below its parent, on the same page.
    pub(super) fn add(&mut self, frame: Frame) -> FrameId {
        self.add_on(frame.parent.page(), frame)
    }

    pub(super) fn add_on(&mut self, page: PageId, frame: Frame) -> FrameId {
        let id = FrameId(self.number(page));
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
        let below: Vec<_> = self.state.below(parent).rev().collect();
        if self
            .frame(parent)
            .is_some_and(|found| found.paged && found.children as usize > below.len())
        {
            self.lacks(Absent::Pages);
        }
        below
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
        let root = self.frame(State::ROOT);
        let variables = root.map(|root| root.variables.clone()).unwrap_or_default();
        self.all_there(&variables);
        variables
    }
}
