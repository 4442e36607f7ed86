//! Conditional events react to variables (`spec/bpmn.md` §3.7.8), at defined points only.

use super::change::SubscriptionKind;
use super::machine::{Done, Machine};
use super::state::{FrameId, How, State, WaitId, Written};
use crate::bpe::expression::EvaluationError;
use crate::bpe::model::{Conditional, Event, Kind};

impl Machine<'_> {
    /// Dispatches the changes since the last time; conditions of a frame just entered are
    /// looked at once, whatever has changed.
    pub(super) fn conditions(&mut self, entered: Option<FrameId>) -> Done {
        let written = std::mem::take(&mut self.state.written);
        if !self.has_conditions() {
            return Ok(());
        }
        let mut fired = Vec::new();
        let conditional = self
            .state
            .subscriptions
            .values()
            .filter(|row| row.kind == SubscriptionKind::Conditional)
            .map(|row| (row.id, row.frame, row.node))
            .collect::<Vec<_>>();
        for (id, frame, node) in conditional {
            let (Kind::Boundary { event, .. } | Kind::Start { event, .. } | Kind::Catch(event)) =
                &self.graph.node(node).kind
            else {
                continue;
            };
            let Event::Conditional(condition) = event else {
                continue;
            };
            let times = if entered == Some(frame) && frame != State::ROOT {
                1
            } else {
                self.relevant(frame, condition, &written)
            };
            if times > 0 && self.is_true(frame, condition)? {
                fired.push(id);
            }
        }
        for id in fired.into_iter().rev() {
            self.fire_condition(id);
        }
        Ok(())
    }

    /// Most models have none, and then nobody looks through all subscriptions.
    fn has_conditions(&self) -> bool {
        *self.conditional.get_or_init(|| {
            self.graph.iter().any(|(_, node)| match &node.kind {
                Kind::Boundary { event, .. } | Kind::Start { event, .. } | Kind::Catch(event) => {
                    matches!(event, Event::Conditional(_))
                }
                _ => false,
            })
        })
    }

    fn fire_condition(&mut self, id: WaitId) {
        if let Some(row) = self.state.subscriptions.get(&id) {
            let (frame, node) = (row.frame, row.node);
            self.react(frame, node);
        }
    }

    /// How many changes are visible to the frame and pass the filter.
    fn relevant(&self, frame: FrameId, condition: &Conditional, written: &[Written]) -> usize {
        let passes = |change: &&Written| {
            let event = match change.how {
                How::Create => "create",
                How::Update => "update",
                How::Delete => "delete",
            };
            condition
                .variable
                .as_ref()
                .is_none_or(|name| *name == change.name)
                && (condition.events.is_empty() || condition.events.iter().any(|it| it == event))
        };
        written
            .iter()
            .filter(passes)
            .filter(|change| self.is_within(frame, change.scope))
            .count()
    }

    fn is_within(&self, frame: FrameId, scope: FrameId) -> bool {
        let mut at = Some(frame);
        while let Some(frame) = at {
            if frame == scope {
                return true;
            }
            at = self.state.parent(frame);
        }
        false
    }

    /// Unknown variables count as no; anything else that goes wrong fails the step.
    fn is_true(&mut self, frame: FrameId, condition: &Conditional) -> Done<bool> {
        match condition.condition.holds(&mut self.seen(frame)) {
            Err(EvaluationError::UnknownVariable(_)) => Ok(false),
            other => self.evaluated(frame, other),
        }
    }
}
