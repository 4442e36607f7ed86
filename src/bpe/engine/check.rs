//! What holds of every state between two steps, whatever happened before.

use super::state::{FrameId, Phase, State, Waiting};

impl State {
    /// Says what is wrong with a state at rest; nothing if all tokens and waits belong together.
    pub(in crate::bpe) fn flaw(&self) -> Option<String> {
        if !self.agenda.is_empty() {
            return Some(format!("unfinished operations: {:?}", self.agenda));
        }
        let owners = self.subscriptions.values().map(|row| row.frame);
        let owners = owners.chain(self.jobs.values().map(|row| row.frame));
        let mut owners = owners.chain(self.tasks.values().map(|row| row.frame));
        if let Some(orphan) = owners.find(|owner| !self.frames.contains_key(owner)) {
            return Some(format!(
                "something waits for frame {}, which is gone",
                orphan.0
            ));
        }
        self.frames.keys().find_map(|id| self.flaw_of(*id))
    }

    fn flaw_of(&self, id: FrameId) -> Option<String> {
        let frame = &self.frames[&id];
        let below = |(other, found): (&FrameId, &super::state::Frame)| {
            *other != Self::ROOT && found.parent == id
        };
        let children = self.frames.iter().filter(|entry| below(*entry)).count();
        let (job, task) = (
            self.jobs.values().any(|row| row.frame == id),
            self.tasks.values().any(|row| row.frame == id),
        );
        let event = job || self.subscriptions.values().any(|row| row.frame == id);
        let problem = match frame.phase {
            _ if !self.frames.contains_key(&frame.parent) => "its scope is gone",
            _ if children != frame.children as usize => "its tokens are miscounted",
            Phase::Moving | Phase::Leaving | Phase::Canceling => "it has stopped half-way",
            Phase::AsyncBefore | Phase::AsyncAfter if !job => "nobody moves it",
            Phase::Active if frame.waits == Some(Waiting::UserTask) && !task => "its task is gone",
            Phase::Active if frame.waits == Some(Waiting::Event) && !event => {
                "nothing can reach it"
            }
            Phase::Active if frame.waits.is_none() && children == 0 => "it waits for nothing",
            _ => return None,
        };
        Some(format!(
            "frame {} at node {:?}: {problem}",
            id.0, frame.node
        ))
    }
}
