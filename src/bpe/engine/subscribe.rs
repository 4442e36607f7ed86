//! Subscriptions of waiting nodes, boundary events and event sub-processes.

use super::agenda::Op;
use super::change::{Subscription, SubscriptionKind};
use super::machine::{Done, Machine};
use super::state::{FrameId, Phase, Role, WaitId, Waiting};
use crate::bpe::expression::Expression;
use crate::bpe::model::{Event, Graph, Kind, Node, NodeIx};

/// An event that interrupts or accompanies a node.
struct Reaction<'g> {
    node: NodeIx,
    event: &'g Event,
    /// It reacts inside of the frame: an event sub-process.
    scope: bool,
}

fn reactions<'g>(graph: &'g Graph, node: &'g Node, role: Role) -> Vec<Reaction<'g>> {
    let mut found = Vec::new();
    if role != Role::Inner {
        for &ix in &node.boundary {
            if let Kind::Boundary { event, .. } = &graph.node(ix).kind {
                found.push(Reaction {
                    node: ix,
                    event,
                    scope: false,
                });
            }
        }
    }
    if role != Role::Body && node.kind.is_container() {
        for &child in &node.children {
            if matches!(graph.node(child).kind, Kind::EventSubProcess) {
                let starts = graph.starts(child);
                found.extend(starts.map(|(ix, event)| Reaction {
                    node: ix,
                    event,
                    scope: true,
                }));
            }
        }
    }
    found
}

impl Machine<'_> {
    /// Subscribes the boundary events of a node and the event sub-processes inside it.
    pub(super) fn open(&mut self, frame: FrameId, node: &Node, role: Role) -> Done {
        for reaction in reactions(self.graph, node, role) {
            self.subscribe(frame, reaction.event, reaction.node, reaction.scope)?;
        }
        Ok(())
    }

    /// Timers of the same events; they may use input parameters.
    pub(super) fn open_timers(&mut self, frame: FrameId, node: &Node, role: Role) -> Done {
        for reaction in reactions(self.graph, node, role) {
            if let Event::Timer(timer) = reaction.event {
                self.create_timer(frame, timer, reaction.node)?;
            }
        }
        Ok(())
    }

    /// A catch event waits for its event.
    pub(super) fn wait_for(&mut self, frame: FrameId, event: &Event, ix: NodeIx) -> Done {
        if matches!(event, Event::Link { .. }) {
            self.push(Op::Complete(frame));
            return Ok(());
        }
        self.await_event(frame, event, ix)?;
        self.wait(frame, Waiting::Event);
        self.push(Op::Conditions(Some(frame)));
        Ok(())
    }

    /// The gateway waits for the first of the events behind it.
    pub(super) fn open_gateway(&mut self, frame: FrameId) -> Done {
        for &flow in &self.node(frame).outgoing {
            let target = self.graph.flow(flow).target;
            if let Kind::Catch(event) = &self.graph.node(target).kind {
                self.await_event(frame, event, target)?;
            }
        }
        self.wait(frame, Waiting::Event);
        self.push(Op::Conditions(Some(frame)));
        Ok(())
    }

    fn await_event(&mut self, frame: FrameId, event: &Event, ix: NodeIx) -> Done {
        match event {
            Event::Timer(timer) => self.create_timer(frame, timer, ix),
            event => self.subscribe(frame, event, ix, false),
        }
    }

    pub(super) fn subscribe_message(
        &mut self,
        frame: FrameId,
        name: &Expression,
        ix: NodeIx,
    ) -> Done {
        let name = name.text(&mut self.seen(frame));
        let name = self.evaluated(frame, name)?;
        self.add_subscription(frame, SubscriptionKind::Message, name, ix, false);
        Ok(())
    }

    fn subscribe(&mut self, frame: FrameId, event: &Event, ix: NodeIx, scope: bool) -> Done {
        let (kind, name) = match event {
            Event::Message {
                name: Some(name), ..
            } => (SubscriptionKind::Message, name.text(&mut self.seen(frame))),
            Event::Signal(signal) => (
                SubscriptionKind::Signal,
                signal.name.text(&mut self.seen(frame)),
            ),
            Event::Conditional(_) => (
                SubscriptionKind::Conditional,
                Ok(self.graph.node(ix).id.clone()),
            ),
            _ => return Ok(()),
        };
        let name = self.evaluated(frame, name)?;
        self.add_subscription(frame, kind, name, ix, scope);
        Ok(())
    }

    fn add_subscription(
        &mut self,
        frame: FrameId,
        kind: SubscriptionKind,
        name: String,
        node: NodeIx,
        scope: bool,
    ) {
        let id = self.wait_id(frame);
        let activity = self.graph.node(node).id.clone();
        let correlation_key = self.correlation_key(frame);
        let row = Subscription {
            id,
            kind,
            name,
            node,
            activity,
            frame,
            scope,
            correlation_key,
        };
        self.changes.subscriptions.put(row.clone(), |row| row.id);
        self.state.subscriptions.insert(id, row);
    }

    fn correlation_key(&self, frame: FrameId) -> Option<String> {
        let key = self.state.correlation_variable(frame, "correlationKey")?;
        self.is_there(key);
        key.as_str().map(str::to_owned)
    }

    /// Correlation looks at the values of now, not of the time of subscription.
    pub(super) fn refresh_correlation(&mut self) {
        let stale: Vec<_> = self
            .state
            .subscriptions
            .values()
            .filter(|row| row.correlation_key != self.correlation_key(row.frame))
            .map(|row| row.id)
            .collect();
        for id in stale {
            let Some(mut row) = self.state.subscriptions.remove(&id) else {
                continue;
            };
            row.correlation_key = self.correlation_key(row.frame);
            self.changes.subscriptions.put(row.clone(), |row| row.id);
            self.state.subscriptions.insert(id, row);
        }
    }

    pub(super) fn unsubscribe(&mut self, id: WaitId) {
        if self.state.subscriptions.remove(&id).is_some() {
            self.changes.subscriptions.delete(id);
        }
    }

    /// Everything a frame waits for goes: subscriptions, jobs, user tasks.
    pub(super) fn remove_waits(&mut self, frame: FrameId) {
        self.remove_events(frame);
        let tasks = self.state.tasks_of(frame);
        for id in tasks.map(|row| row.id).collect::<Vec<_>>() {
            self.state.tasks.remove(&id);
            self.changes.tasks.delete(id);
        }
        self.change_frame(frame, |found| found.waits = None);
    }

    /// Subscriptions and jobs of a frame.
    pub(super) fn remove_events(&mut self, frame: FrameId) {
        let subscriptions = self.state.subscriptions_of(frame);
        for id in subscriptions.map(|row| row.id).collect::<Vec<_>>() {
            self.unsubscribe(id);
        }
        let jobs = self.state.jobs_of(frame);
        for id in jobs.map(|row| row.id).collect::<Vec<_>>() {
            self.remove_job(id);
        }
    }

    /// An event for which a frame waits has happened: the node it is meant for reacts.
    pub(super) fn react(&mut self, frame: FrameId, ix: NodeIx) {
        match &self.graph.node(ix).kind {
            Kind::Boundary { interrupting, .. } => self.leave_by(frame, ix, *interrupting),
            Kind::Start { interrupting, .. } => self.enter_handler(frame, ix, *interrupting),
            _ if self.frame(frame).is_some_and(|found| found.node != ix) => {
                self.gateway_decided(frame, ix);
            }
            _ => {
                self.remove_events(frame);
                self.change_frame(frame, |found| found.waits = None);
                self.push(Op::Complete(frame));
            }
        }
    }

    /// A boundary event becomes a token beside its activity.
    pub(super) fn leave_by(&mut self, frame: FrameId, boundary: NodeIx, interrupting: bool) {
        let Some(scope) = self.state.parent(frame) else {
            return;
        };
        self.send(scope, boundary);
        if interrupting {
            self.push(Op::Cancel(frame));
        }
    }

    /// An event sub-process starts inside a scope.
    pub(super) fn enter_handler(&mut self, scope: FrameId, start: NodeIx, interrupting: bool) {
        if self
            .frame(scope)
            .is_none_or(|found| found.phase == Phase::Canceling)
        {
            return;
        }
        let others = self.children(scope);
        let handler = self.graph.node(start).parent;
        self.send(scope, handler);
        if interrupting {
            self.remove_events(scope);
            self.change_frame(scope, |found| found.phase = Phase::Active);
            for child in others.into_iter().rev() {
                self.push(Op::Cancel(child));
            }
        }
    }

    /// The first event wins: the gateway is gone before the catch event starts.
    fn gateway_decided(&mut self, frame: FrameId, catch: NodeIx) {
        let Some(scope) = self.state.parent(frame) else {
            return;
        };
        let mut token = super::state::Frame::moving(scope, catch);
        token.triggered = true;
        let token = self.add(token);
        self.push(Op::Begin(token));
        self.push(Op::Cancel(frame));
    }
}
