//! What was completed can be undone (`spec/bpmn.md` §3.11).

use super::agenda::Op;
use super::change::EventKind;
use super::machine::Machine;
use super::state::{Frame, FrameId, Phase, Record, Role, State, Undo, Waiting};
use crate::bpe::model::{Event, Graph, Kind, NodeIx, Variables};

/// The handler on a boundary event of the activity.
fn handler_of(graph: &Graph, node: NodeIx) -> Option<NodeIx> {
    graph
        .node(node)
        .boundary
        .iter()
        .find_map(|ix| match graph.node(*ix).kind {
            Kind::Boundary {
                event: Event::Compensation { .. },
                handler,
                ..
            } => handler,
            _ => None,
        })
}

/// The compensation event sub-process inside a scope.
fn event_handler_of(graph: &Graph, scope: NodeIx) -> Option<NodeIx> {
    let mut inner = graph.node(scope).children.iter().copied();
    inner.find(|child| {
        matches!(graph.node(*child).kind, Kind::EventSubProcess)
            && graph
                .starts(*child)
                .any(|(_, event)| matches!(event, Event::Compensation { .. }))
    })
}

/// What a completed node leaves to be compensated; later entries are undone first.
fn records_of(graph: &Graph, frame: &Frame) -> Vec<Record> {
    let node = frame.node;
    if frame.role == Role::Body {
        let all = frame
            .counters
            .as_ref()
            .is_some_and(|it| it.completed == it.total);
        return if all {
            frame.records.clone()
        } else {
            Vec::new()
        };
    }
    let handler = handler_of(graph, node).map(Undo::Handler);
    let mut records: Vec<_> = handler
        .map(|what| Record { node, what })
        .into_iter()
        .collect();
    let nested = event_handler_of(graph, node).is_some() || !frame.records.is_empty();
    if nested && matches!(graph.node(node).kind, Kind::SubProcess { .. }) {
        let (variables, inner) = (frame.variables.clone(), frame.records.clone());
        records.push(Record {
            node,
            what: Undo::Scope {
                variables,
                records: inner,
            },
        });
    }
    records
}

impl Machine<'_> {
    pub(super) fn remember(&mut self, frame: FrameId) {
        let Some(found) = self.frame(frame) else {
            return;
        };
        let (scope, records) = (found.parent, records_of(self.graph, found));
        if frame != State::ROOT && !records.is_empty() {
            self.change_frame(scope, |parent| parent.records.extend(records));
        }
    }

    /// Starts the handlers of everything that the throw finds, the latest completed first.
    pub(super) fn compensate(&mut self, thrower: FrameId, activity: Option<NodeIx>) {
        let Some(scope) = self.alive(thrower).map(|found| found.parent) else {
            return;
        };
        let mut scopes = vec![scope];
        if matches!(self.node(scope).kind, Kind::EventSubProcess) {
            scopes.extend(self.state.parent(scope));
        }
        let mut started = Vec::new();
        for scope in scopes {
            let mut wanted = Vec::new();
            self.change_frame(scope, |found| {
                let all = std::mem::take(&mut found.records);
                let (found_now, kept) = all
                    .into_iter()
                    .partition(|record| activity.is_none_or(|node| node == record.node));
                wanted = found_now;
                found.records = kept;
            });
            for record in wanted.into_iter().rev() {
                started.push(self.undo(scope, record, Some(thrower)));
            }
        }
        if started.is_empty() {
            return self.push(Op::Compensated(thrower));
        }
        let count = u32::try_from(started.len()).unwrap_or(u32::MAX);
        self.wait(thrower, Waiting::Handlers(count));
        for ops in started.into_iter().rev() {
            self.state.agenda.extend(ops);
        }
    }

    /// The frame of one record, and what has to be done to start it.
    fn undo(&mut self, scope: FrameId, record: Record, thrower: Option<FrameId>) -> Vec<Op> {
        match record.what {
            Undo::Handler(handler) => {
                let mut frame = Frame::moving(scope, handler);
                frame.compensates = thrower;
                vec![Op::Begin(self.add(frame))]
            }
            Undo::Scope { variables, records } => {
                self.revive(scope, record.node, variables, records, thrower)
            }
        }
    }

    /// A finished sub-process stands again, with its variables as they were.
    fn revive(
        &mut self,
        scope: FrameId,
        node: NodeIx,
        variables: Variables,
        records: Vec<Record>,
        thrower: Option<FrameId>,
    ) -> Vec<Op> {
        let mut frame = Frame::moving(scope, node);
        frame.role = Role::Revived;
        frame.phase = Phase::Active;
        frame.variables = variables;
        frame.compensates = thrower;
        let event = event_handler_of(self.graph, node);
        if event.is_some() {
            frame.records.clone_from(&records);
        }
        let frame = self.add(frame);
        let mut ops = vec![Op::Scope(frame)];
        if let Some(event) = event {
            self.history(frame, EventKind::Entered);
            self.history(frame, EventKind::Canceled);
            ops.push(Op::Begin(self.add(Frame::moving(frame, event))));
            return ops;
        }
        let inner: Vec<_> = records
            .into_iter()
            .rev()
            .map(|record| self.undo(frame, record, None))
            .collect();
        ops.extend(inner.into_iter().rev().flatten());
        ops
    }

    /// One handler is done; the throw goes on after the last one.
    pub(super) fn handler_done(&mut self, thrower: FrameId) {
        match self.frame(thrower).and_then(|found| found.waits) {
            Some(Waiting::Handlers(count)) if count > 1 => {
                self.wait(thrower, Waiting::Handlers(count - 1));
            }
            Some(Waiting::Handlers(_)) => {
                self.change_frame(thrower, |found| found.waits = None);
                self.push(Op::Compensated(thrower));
            }
            _ => {}
        }
    }

    /// The throw completes; a cancelled transaction is left by its cancel boundary event.
    pub(super) fn compensated(&mut self, thrower: FrameId) {
        let Some(found) = self.alive(thrower) else {
            return;
        };
        if !matches!(self.graph.node(found.node).kind, Kind::End(Event::Cancel)) {
            return self.push(Op::Complete(thrower));
        }
        let mut transaction = found.parent;
        if self
            .frame(transaction)
            .is_some_and(|found| found.role == Role::Inner)
        {
            transaction = self.state.parent(transaction).unwrap_or(State::ROOT);
        }
        let boundary = self.node(transaction).boundary.iter().copied().find(|ix| {
            matches!(
                self.graph.node(*ix).kind,
                Kind::Boundary {
                    event: Event::Cancel,
                    ..
                }
            )
        });
        match boundary {
            Some(boundary) => self.leave_by(transaction, boundary, true),
            None => {
                let scope = self.state.parent(transaction).unwrap_or(State::ROOT);
                self.push(Op::Scope(scope));
                self.push(Op::Cancel(transaction));
            }
        }
    }
}
