//! A token enters a node and the node does what it does (`spec/bpmn.md` §3.4, steps 1 to 8).

use super::agenda::{On, Op, Then};
use super::change::{EventKind, JobKind};
use super::machine::{Done, Machine};
use super::request::{Ask, CallKind};
use super::state::{Frame, FrameId, Phase, Role, State, Waiting};
use crate::bpe::expression::Scope;
use crate::bpe::model::{
    Async, Event, Gateway, Kind, Node, NodeIx, Pass, Payload, ServiceKind, SignalEvent, Task,
    Variables,
};

impl Machine<'_> {
    /// A token runs along its flow.
    pub(super) fn take(&mut self, frame: FrameId) {
        let Some(flow) = self.frame(frame).and_then(|found| found.via) else {
            return self.push(Op::Enter(frame));
        };
        self.push(Op::Enter(frame));
        self.push(Op::Conditions(None));
        if !self.graph.flow(flow).listeners.is_empty() {
            self.push(Op::Listen {
                frame,
                on: On::Take(flow),
                at: 0,
            });
        }
    }

    /// Stops before the node if it is asynchronous.
    pub(super) fn enter(&mut self, frame: FrameId) {
        let Some(found) = self.frame(frame) else {
            return;
        };
        let target = match found.via {
            Some(flow) => self.graph.flow(flow).target,
            None => found.node,
        };
        let (role, compensates) = (found.role, found.compensates.is_some());
        self.change_frame(frame, |token| token.node = target);
        let node = self.graph.node(target);
        match continuations(node, role).0 {
            Some(when) if !compensates => {
                self.change_frame(frame, |token| token.phase = Phase::AsyncBefore);
                self.create_job(frame, JobKind::AsyncBefore, when.exclusive);
            }
            _ => self.push(Op::Begin(frame)),
        }
    }

    /// Makes the activity instance: subscriptions, input mapping, timers, start listeners.
    pub(super) fn begin(&mut self, token: FrameId) -> Done {
        let Some(mut found) = self.remove(token) else {
            return Ok(());
        };
        let node = self.graph.node(found.node);
        if node.multi.is_some() && found.role == Role::Node {
            found.role = Role::Body;
        }
        found.phase = Phase::Active;
        let (role, triggered) = (found.role, found.triggered);
        let frame = self.add_on(token.page(), found);
        self.open(frame, node, role)?;
        if role != Role::Body && !triggered {
            self.map_inputs(frame, &node.inputs)?;
        }
        self.open_timers(frame, node, role)?;
        self.history(frame, EventKind::Entered);
        self.push(Op::Execute(frame));
        self.push(Op::Conditions(Some(frame)));
        if role != Role::Body {
            self.push(Op::Listen {
                frame,
                on: On::Start,
                at: 0,
            });
        }
        Ok(())
    }

    pub(super) fn execute(&mut self, frame: FrameId) -> Done {
        let Some(found) = self.alive(frame) else {
            return Ok(());
        };
        if found.role == Role::Body {
            return self.loop_begins(frame);
        }
        let (triggered, ix) = (found.triggered, found.node);
        let node = self.graph.node(ix);
        match &node.kind {
            Kind::Process | Kind::SubProcess { .. } | Kind::EventSubProcess => {
                self.start_inside(frame, ix);
            }
            Kind::Start { .. } | Kind::Boundary { .. } | Kind::Task(Task::Pass) => {
                self.push(Op::Complete(frame));
            }
            Kind::Catch(_) if triggered => self.push(Op::Complete(frame)),
            Kind::Catch(event) => self.wait_for(frame, event, ix)?,
            Kind::Throw(event) | Kind::End(event) => self.throw(frame, event)?,
            Kind::Task(task) => self.work(frame, task, ix)?,
            Kind::Gateway(gateway) => self.gateway(frame, *gateway)?,
            Kind::CallActivity(call) => self.call_process(frame, call)?,
        }
        Ok(())
    }

    /// A token at the start event of a scope.
    fn start_inside(&mut self, frame: FrameId, scope: NodeIx) {
        let start = self.graph.starts(scope).next().map(|(start, _)| start);
        match start {
            Some(start) => self.send(frame, start),
            None => self.push(Op::Scope(frame)),
        }
    }

    /// Puts a token before a node of the scope.
    pub(super) fn send(&mut self, scope: FrameId, node: NodeIx) {
        let token = self.add(Frame::moving(scope, node));
        self.push(Op::Enter(token));
    }

    fn work(&mut self, frame: FrameId, task: &Task, ix: NodeIx) -> Done {
        match task {
            Task::Service(kind, service) => {
                let kind = match kind {
                    ServiceKind::Service => CallKind::Service,
                    ServiceKind::Send => CallKind::Send,
                    ServiceKind::BusinessRule => CallKind::BusinessRule,
                };
                self.call(frame, service, kind, Then::Complete)
            }
            Task::Receive(Some(name)) => {
                self.subscribe_message(frame, name, ix)?;
                self.wait(frame, Waiting::Event);
                Ok(())
            }
            Task::Receive(None) => {
                self.wait(frame, Waiting::Continue);
                Ok(())
            }
            Task::User(task) => self.create_task(frame, task),
            Task::Pass => {
                self.push(Op::Complete(frame));
                Ok(())
            }
        }
    }

    pub(super) fn wait(&mut self, frame: FrameId, waits: Waiting) {
        self.change_frame(frame, |found| found.waits = Some(waits));
    }

    fn throw(&mut self, frame: FrameId, event: &Event) -> Done {
        match event {
            Event::Message {
                service: Some(service),
                ..
            } => self.call(frame, service, CallKind::Throw, Then::Complete),
            Event::Signal(signal) => self.throw_signal(frame, signal),
            Event::Error(error) => {
                let message = match &error.message {
                    Some(text) => {
                        let text = text.text(&mut self.seen(frame));
                        Some(self.evaluated(frame, text)?)
                    }
                    None => None,
                };
                let code = error.code.clone().unwrap_or_default();
                self.throw_error(frame, code, message)
            }
            Event::Escalation(escalation) => {
                self.push(Op::Complete(frame));
                self.escalate(frame, escalation.code.clone().unwrap_or_default());
                Ok(())
            }
            Event::Compensation { activity } => {
                self.push(Op::Compensate {
                    thrower: frame,
                    activity: *activity,
                });
                Ok(())
            }
            Event::Terminate => {
                self.push(Op::Complete(frame));
                self.cancel_siblings(frame);
                Ok(())
            }
            Event::Cancel => {
                self.push(Op::Compensate {
                    thrower: frame,
                    activity: None,
                });
                self.cancel_siblings(frame);
                Ok(())
            }
            _ => {
                self.push(Op::Complete(frame));
                Ok(())
            }
        }
    }

    /// Everything else in the scope of the frame is cancelled, the latest first.
    fn cancel_siblings(&mut self, frame: FrameId) {
        let scope = self.state.parent(frame).unwrap_or(State::ROOT);
        for child in self
            .children(scope)
            .into_iter()
            .rev()
            .filter(|child| *child != frame)
        {
            self.push(Op::Cancel(child));
        }
    }

    fn throw_signal(&mut self, frame: FrameId, signal: &SignalEvent) -> Done {
        let name = signal.name.text(&mut self.seen(frame));
        let name = self.evaluated(frame, name)?;
        let (variables, business_key) = self.payload(frame, &signal.payload)?;
        self.push(Op::Complete(frame));
        self.ask(
            frame,
            Ask::Signal {
                name,
                variables,
                business_key,
            },
            Then::Continue,
        );
        Ok(())
    }

    /// What mappings hand to another instance.
    pub(super) fn payload(
        &mut self,
        frame: FrameId,
        mappings: &[Payload],
    ) -> Done<(Variables, Option<String>)> {
        let (mut variables, mut key) = (Variables::new(), None);
        for Payload(pass) in mappings {
            match pass {
                Pass::All { local } => {
                    let given = if *local {
                        self.state.local(frame)
                    } else {
                        self.state.visible(frame)
                    };
                    self.all_there(&given);
                    variables.extend(given);
                }
                Pass::BusinessKey(expression) => {
                    let text = expression.text(&mut self.seen(frame));
                    key = Some(self.evaluated(frame, text)?);
                }
                Pass::Value { source, target, .. } => {
                    let value = if source.is_literal() {
                        let found = self.seen(frame).variable(source.source());
                        found.unwrap_or_default()
                    } else {
                        let value = source.evaluate(&mut self.seen(frame));
                        self.evaluated(frame, value)?
                    };
                    variables.insert(target.clone(), value);
                }
            }
        }
        Ok((variables, key))
    }

    fn gateway(&mut self, frame: FrameId, gateway: Gateway) -> Done {
        let waits_for_others = self.node(frame).incoming.len() > 1;
        match gateway {
            Gateway::EventBased => self.open_gateway(frame)?,
            Gateway::Parallel if waits_for_others => self.parallel_join(frame),
            Gateway::Inclusive if waits_for_others => {
                self.change_frame(frame, |found| found.phase = Phase::Joined);
            }
            _ => self.push(Op::Complete(frame)),
        }
        Ok(())
    }
}

/// The continuations before and after: instances of a loop have their own.
pub(super) fn continuations(node: &Node, role: Role) -> (Option<Async>, Option<Async>) {
    match (role, &node.multi) {
        (Role::Inner, Some(multi)) => (multi.async_before, multi.async_after),
        _ => (node.async_before, node.async_after),
    }
}
