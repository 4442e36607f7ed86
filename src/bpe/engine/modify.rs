//! Tokens moved by hand (`spec/bpmn.md` S-MOD-1).

use super::agenda::Op;
use super::machine::{Done, Machine};
use super::page::Absent;
use super::state::{Frame, FrameId, Phase, Role, State};
use super::trigger::Instruction;
use crate::bpe::model::{FlowIx, Graph, NodeIx};

impl Machine<'_> {
    pub(super) fn modify(&mut self, instructions: &[Instruction]) -> Done {
        if !self.state.is_complete() {
            self.lacks(Absent::Pages);
            return Ok(());
        }
        let mut ops = Vec::new();
        let mut emptied = vec![State::ROOT];
        for instruction in instructions {
            match instruction {
                Instruction::Cancel(frame) => {
                    self.cancel_by_hand(*frame, &mut ops, &mut emptied)?
                }
                Instruction::CancelAll(node) => {
                    let all = self.state.frames.iter();
                    let all: Vec<_> = all
                        .filter(|(id, found)| found.node == *node && **id != State::ROOT)
                        .map(|(id, _)| *id)
                        .collect();
                    for frame in all {
                        self.cancel_by_hand(frame, &mut ops, &mut emptied)?;
                    }
                }
                Instruction::Before(node) => {
                    let token = self.token_before(*node)?;
                    ops.push(Op::Enter(token));
                }
                Instruction::After(node) => {
                    for &flow in &self.graph.node(*node).outgoing {
                        ops.push(Op::Take(self.token_at(flow)?));
                    }
                }
                Instruction::Flow(flow) => ops.push(Op::Take(self.token_at(*flow)?)),
            }
        }
        self.state.agenda.extend(emptied.into_iter().map(Op::Scope));
        self.state.agenda.extend(ops.into_iter().rev());
        Ok(())
    }

    fn cancel_by_hand(
        &mut self,
        frame: FrameId,
        ops: &mut Vec<Op>,
        emptied: &mut Vec<FrameId>,
    ) -> Done {
        let Some(found) = self.frame(frame) else {
            return Err(self.stale(format!("there is no activity instance {}", frame.0)));
        };
        // A scope from which the last token is taken away goes with it.
        let (mut top, mut scope) = (frame, found.parent);
        while scope != State::ROOT && self.frame(scope).is_some_and(|found| found.children == 1) {
            top = scope;
            scope = self.state.parent(scope).unwrap_or(State::ROOT);
        }
        emptied.push(scope);
        ops.push(Op::Cancel(top));
        Ok(())
    }

    fn token_at(&mut self, flow: FlowIx) -> Done<FrameId> {
        let token = self.token_before(self.graph.flow(flow).source)?;
        self.change_frame(token, |found| found.via = Some(flow));
        Ok(token)
    }

    /// A token before a node; scopes around it that do not exist are made.
    pub(super) fn token_before(&mut self, node: NodeIx) -> Done<FrameId> {
        let scope = self.scope_for(self.graph.node(node).parent)?;
        Ok(self.add(Frame::moving(scope, node)))
    }

    fn scope_for(&mut self, scope: NodeIx) -> Done<FrameId> {
        if scope == Graph::ROOT {
            return Ok(State::ROOT);
        }
        let mut candidates = self.state.frames.iter().filter(|(_, found)| {
            found.node == scope && found.role != Role::Body && found.phase == Phase::Active
        });
        if let Some((&frame, _)) = candidates.next() {
            if candidates.next().is_some() {
                let id = &self.graph.node(scope).id;
                let message = format!("several instances of '{id}' run; it is not clear which");
                return Err(self.stale(message));
            }
            return Ok(frame);
        }
        let node = self.graph.node(scope);
        let parent = self.scope_for(node.parent)?;
        let mut frame = Frame::moving(parent, scope);
        frame.phase = Phase::Active;
        let frame = self.add(frame);
        self.open(frame, node, Role::Node)?;
        self.map_inputs(frame, &node.inputs)?;
        self.open_timers(frame, node, Role::Node)?;
        self.history(frame, super::change::EventKind::Entered);
        Ok(frame)
    }
}
