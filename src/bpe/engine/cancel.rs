//! Cancellation: inside out, the latest first (`spec/bpmn.md` S-LIFE-5).

use super::agenda::{On, Op, Then};
use super::change::EventKind;
use super::machine::{Done, Machine};
use super::request::Ask;
use super::state::{FrameId, Phase, Role, State, Waiting};

impl Machine<'_> {
    pub(super) fn cancel(&mut self, frame: FrameId) {
        let Some(found) = self.alive(frame) else {
            return;
        };
        if found.in_transit() {
            self.remove(frame);
            return;
        }
        let (role, waits) = (found.role, found.waits);
        // Its end listeners have already run, or are just running.
        let leaving = found.phase == Phase::Leaving;
        self.change_frame(frame, |found| {
            found.phase = Phase::Canceling;
            found.waits = None;
        });
        self.remove_events(frame);
        self.push(Op::Drop(frame));
        if !leaving && !matches!(role, Role::Body | Role::Revived) {
            self.push(Op::Listen {
                frame,
                on: On::End { canceled: true },
                at: 0,
            });
        }
        let task = self.state.tasks_of(frame).next();
        if let Some(task) = task.map(|task| task.id) {
            let on = On::Task {
                event: "delete".to_owned(),
                task,
            };
            self.push(Op::Listen { frame, on, at: 0 });
        }
        if waits == Some(Waiting::Child) {
            self.push(Op::CancelChild(frame));
        }
        for child in self.children(frame).into_iter().rev() {
            self.push(Op::Cancel(child));
        }
    }

    /// The end of a cancellation. Output parameters are mapped even now.
    pub(super) fn drop_frame(&mut self, frame: FrameId) -> Done {
        let Some(found) = self.frame(frame) else {
            return Ok(());
        };
        let role = found.role;
        if !matches!(role, Role::Body | Role::Revived) {
            let node = self.node(frame);
            self.change_frame(frame, |found| found.task_variables.clear());
            self.map_outputs(frame, &node.outputs)?;
        }
        if role != Role::Revived {
            self.history(frame, EventKind::Canceled);
        }
        self.remove(frame);
        Ok(())
    }

    pub(super) fn cancel_child(&mut self, frame: FrameId) {
        if self.frame(frame).is_some() {
            self.ask(frame, Ask::Cancel, Then::Continue);
        }
    }

    /// Deletes the whole instance; whatever was still to be done is not.
    pub(super) fn cancel_instance(&mut self, reason: String) {
        self.state.agenda.clear();
        self.push(Op::Finish(Some(reason)));
        let canceled = On::End { canceled: true };
        self.push(Op::Listen {
            frame: State::ROOT,
            on: canceled,
            at: 0,
        });
        self.change_frame(State::ROOT, |root| root.phase = Phase::Canceling);
        self.remove_events(State::ROOT);
        for child in self.children(State::ROOT).into_iter().rev() {
            self.push(Op::Cancel(child));
        }
    }
}
