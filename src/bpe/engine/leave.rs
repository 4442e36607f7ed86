//! A node is done and its token goes on (`spec/bpmn.md` §3.4, steps 9 to 11).

use super::agenda::{On, Op};
use super::change::{EventKind, JobKind};
use super::enter::continuations;
use super::machine::{Done, Machine};
use super::state::{Frame, FrameId, Phase, Role, State};
use crate::bpe::expression::Condition;
use crate::bpe::model::{Event, FlowIx, Gateway, Kind, Node};

impl Machine<'_> {
    pub(super) fn complete(&mut self, frame: FrameId) {
        if self
            .alive(frame)
            .is_some_and(|found| found.phase == Phase::Active)
        {
            self.change_frame(frame, |found| found.waits = None);
            self.push(Op::Select(frame));
            self.push(Op::Conditions(None));
        }
    }

    /// Chooses the flows to take, before listeners and output mapping can change anything.
    pub(super) fn select(&mut self, frame: FrameId) -> Done {
        let Some(found) = self.alive(frame) else {
            return Ok(());
        };
        let (role, compensates) = (found.role, found.compensates.is_some());
        self.remember(frame);
        let node = self.node(frame);
        let out = match role {
            Role::Inner => Vec::new(),
            _ if compensates => Vec::new(),
            _ => self.flows_of(frame, node)?,
        };
        self.change_frame(frame, |found| {
            found.phase = Phase::Leaving;
            found.out = out;
        });
        self.push(if frame == State::ROOT {
            Op::Finish(None)
        } else {
            Op::Leave(frame)
        });
        if role != Role::Body {
            self.push(Op::Listen {
                frame,
                on: On::End { canceled: false },
                at: 0,
            });
        }
        Ok(())
    }

    fn flows_of(&mut self, frame: FrameId, node: &Node) -> Done<Vec<FlowIx>> {
        let all = &node.outgoing;
        let chosen = match &node.kind {
            Kind::Gateway(Gateway::Parallel) => return Ok(all.clone()),
            Kind::Gateway(Gateway::Exclusive) => {
                let mut chosen = Vec::new();
                for &flow in all {
                    if node.default_flow != Some(flow) && self.holds(frame, flow)? {
                        chosen.push(flow);
                        break;
                    }
                }
                chosen
            }
            _ => {
                let mut chosen = Vec::new();
                for &flow in all {
                    if node.default_flow != Some(flow) && self.holds(frame, flow)? {
                        chosen.push(flow);
                    }
                }
                chosen
            }
        };
        match node.default_flow {
            _ if !chosen.is_empty() => Ok(chosen),
            Some(flow) => Ok(vec![flow]),
            None if all.is_empty() => Ok(chosen),
            None => {
                let message = format!("no outgoing sequence flow of '{}' can be taken", node.id);
                Err(self.failure(frame, "no-flow", message))
            }
        }
    }

    fn holds(&mut self, frame: FrameId, flow: FlowIx) -> Done<bool> {
        let Some(condition) = &self.graph.flow(flow).condition else {
            return Ok(true);
        };
        let holds = Condition(condition.clone()).holds(&mut self.seen(frame));
        holds.map_err(|error| {
            let id = &self.graph.flow(flow).id;
            self.failure(frame, "expression", format!("flow '{id}': {error}"))
        })
    }

    /// Output mapping; the tokens go on.
    pub(super) fn leave(&mut self, frame: FrameId) -> Done {
        let Some(found) = self.alive(frame) else {
            return Ok(());
        };
        let (role, scope, out) = (found.role, found.parent, found.out.clone());
        let compensates = found.compensates;
        let node = self.node(frame);
        if role != Role::Body {
            self.change_frame(frame, |found| found.task_variables.clear());
            self.map_outputs(frame, &node.outputs)?;
        }
        self.history(frame, EventKind::Completed);
        self.remove_waits(frame);
        if role == Role::Inner {
            return self.loop_instance_done(frame);
        }
        if let Some(thrower) = compensates {
            self.remove(frame);
            self.handler_done(thrower);
            return Ok(());
        }
        self.push(Op::Scope(scope));
        match continuations(node, role).1 {
            Some(when) => self.continue_later(frame, &out, when.exclusive),
            None => self.continue_now(frame, node, &out),
        }
        self.remove(frame);
        self.push(Op::Conditions(None));
        Ok(())
    }

    fn continue_now(&mut self, frame: FrameId, node: &Node, out: &[FlowIx]) {
        let Some(scope) = self.state.parent(frame) else {
            return;
        };
        if let Kind::Throw(Event::Link {
            target: Some(target),
            ..
        }) = node.kind
        {
            return self.send(scope, target);
        }
        let tokens: Vec<_> = out
            .iter()
            .map(|&flow| self.token_on(scope, frame, flow))
            .collect();
        for token in tokens.into_iter().rev() {
            self.push(Op::Take(token));
        }
    }

    /// A token on a flow that has just left the node of a frame.
    fn token_on(&mut self, scope: FrameId, from: FrameId, flow: FlowIx) -> FrameId {
        let node = self
            .frame(from)
            .map_or(self.graph.flow(flow).source, |found| found.node);
        let mut token = Frame::moving(scope, node);
        token.via = Some(flow);
        self.add(token)
    }

    /// One job for each flow; without flows, one that ends the token.
    fn continue_later(&mut self, frame: FrameId, out: &[FlowIx], exclusive: bool) {
        let Some(found) = self.frame(frame) else {
            return;
        };
        let (scope, node) = (found.parent, found.node);
        let flows = if out.is_empty() {
            vec![None]
        } else {
            out.iter().copied().map(Some).collect()
        };
        for via in flows {
            let mut token = Frame::moving(scope, node);
            token.phase = Phase::AsyncAfter;
            token.via = via;
            let token = self.add(token);
            self.create_job(token, JobKind::AsyncAfter, exclusive);
        }
    }

    /// Ends a scope in which nothing is left.
    pub(super) fn end_scope(&mut self, frame: FrameId) {
        let Some(found) = self.frame(frame) else {
            return;
        };
        let over = found.phase == Phase::Active && found.children == 0;
        if !over || found.role == Role::Body {
            return;
        }
        if found.role == Role::Revived {
            let thrower = found.compensates;
            self.remove(frame);
            if let Some(thrower) = thrower {
                self.handler_done(thrower);
            }
        } else if self.graph.node(found.node).kind.is_container() {
            self.push(Op::Complete(frame));
        }
    }
}
