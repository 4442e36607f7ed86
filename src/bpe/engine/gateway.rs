//! Joins: parallel ones count flows, inclusive ones look at who may still come
//! (`spec/bpmn.md` §3.6).

use std::collections::HashSet;

use super::agenda::Op;
use super::change::EventKind;
use super::machine::Machine;
use super::state::{FrameId, Phase, State};
use crate::bpe::model::{Event, FlowIx, Gateway, Graph, Kind, NodeIx};

impl Machine<'_> {
    /// Goes on once there is a token on every incoming flow; surplus tokens stay.
    pub(super) fn parallel_join(&mut self, frame: FrameId) {
        self.change_frame(frame, |found| found.phase = Phase::Joined);
        let Some(found) = self.frame(frame) else {
            return;
        };
        let (scope, ix) = (found.parent, found.node);
        let incoming = self.graph.node(ix).incoming.clone();
        let mut used = Vec::new();
        for flow in incoming {
            match self
                .joined(scope, ix)
                .into_iter()
                .find(|(id, via)| !used.contains(id) && via.is_none_or(|via| via == flow))
            {
                Some((id, _)) => used.push(id),
                None => return,
            }
        }
        self.join(&used, frame);
    }

    /// Tokens that wait at a join of the scope.
    fn joined(&self, scope: FrameId, ix: NodeIx) -> Vec<(FrameId, Option<FlowIx>)> {
        let frames = self.state.frames.range(scope.page().frames());
        frames
            .filter(|(_, found)| {
                found.parent == scope && found.node == ix && found.phase == Phase::Joined
            })
            .map(|(id, found)| (*id, found.via))
            .collect()
    }

    /// Several tokens become one: the others end with it.
    fn join(&mut self, tokens: &[FrameId], survivor: FrameId) {
        let survivor = if tokens.contains(&survivor) {
            Some(survivor)
        } else {
            tokens.last().copied()
        };
        for &token in tokens {
            if Some(token) != survivor {
                self.history(token, EventKind::Completed);
                self.remove(token);
            }
        }
        if let Some(survivor) = survivor {
            self.change_frame(survivor, |found| found.phase = Phase::Active);
            self.push(Op::Complete(survivor));
        }
    }

    /// Fires an inclusive join for which nobody can come any more; says whether there was one.
    pub(super) fn inclusive_joins(&mut self) -> bool {
        let mut places = Vec::new();
        for frame in self.state.frames.values() {
            let inclusive = matches!(
                self.graph.node(frame.node).kind,
                Kind::Gateway(Gateway::Inclusive)
            );
            let place = (frame.parent, frame.node);
            if inclusive && frame.phase == Phase::Joined && !places.contains(&place) {
                places.push(place);
            }
        }
        for (scope, ix) in places {
            let waiting = self.joined(scope, ix);
            if self.somebody_comes(scope, ix, &waiting) {
                continue;
            }
            let mut used: Vec<(FrameId, Option<FlowIx>)> = Vec::new();
            for (id, via) in waiting {
                if via.is_none() || !used.iter().any(|(_, known)| *known == via) {
                    used.push((id, via));
                }
            }
            let used: Vec<_> = used.into_iter().map(|(id, _)| id).collect();
            if let Some(&last) = used.last() {
                self.join(&used, last);
                return true;
            }
        }
        false
    }

    /// Whether a token of the scope can still reach an empty flow of the join without having
    /// the choice to come on a flow that is already occupied (S-GW-I2).
    fn somebody_comes(
        &self,
        scope: FrameId,
        join: NodeIx,
        waiting: &[(FrameId, Option<FlowIx>)],
    ) -> bool {
        let (full, empty): (Vec<_>, Vec<_>) = self
            .graph
            .node(join)
            .incoming
            .iter()
            .copied()
            .partition(|flow| waiting.iter().any(|(_, via)| *via == Some(*flow)));
        let reaches_full = reaching(self.graph, join, &full, &HashSet::new());
        let reaches_empty = reaching(self.graph, join, &empty, &reaches_full);
        let mut frames = self.state.frames.range(scope.page().frames());
        frames.any(|(id, token)| {
            if token.parent != scope || *id == State::ROOT || token.phase == Phase::Canceling {
                return false;
            }
            match (token.phase, token.via) {
                (Phase::Joined, _) if token.node == join => false,
                (Phase::Moving | Phase::AsyncAfter, Some(flow)) => {
                    empty.contains(&flow) || reaches_empty.contains(&self.graph.flow(flow).target)
                }
                (Phase::AsyncAfter, None) => false,
                _ => reaches_empty.contains(&token.node),
            }
        })
    }
}

/// Nodes from which one of the flows can be reached without passing the join or a barred node.
fn reaching(
    graph: &Graph,
    join: NodeIx,
    flows: &[FlowIx],
    barred: &HashSet<NodeIx>,
) -> HashSet<NodeIx> {
    let mut found = HashSet::new();
    let mut next: Vec<_> = flows.iter().map(|flow| graph.flow(*flow).source).collect();
    while let Some(ix) = next.pop() {
        if ix == join || barred.contains(&ix) || !found.insert(ix) {
            continue;
        }
        let node = graph.node(ix);
        next.extend(node.incoming.iter().map(|flow| graph.flow(*flow).source));
        match &node.kind {
            Kind::Boundary { attached, .. } => next.push(*attached),
            Kind::Catch(Event::Link { .. }) => {
                next.extend(graph.iter().filter_map(|(other, node)| match &node.kind {
                    Kind::Throw(Event::Link {
                        target: Some(target),
                        ..
                    }) if *target == ix => Some(other),
                    _ => None,
                }));
            }
            _ => {}
        }
    }
    found
}
