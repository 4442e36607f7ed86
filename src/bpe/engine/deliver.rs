//! What a trigger does first; the agenda does the rest.

use super::agenda::{On, Op, Then};
use super::change::SubscriptionKind;
use super::machine::{Done, Machine};
use super::state::{Frame, FrameId, Phase, State, WaitId, Waiting};
use super::trigger::{Outcome, Setting, Start, Trigger};
use crate::bpe::model::{Event, Graph, Kind, NodeIx, Variables};

impl Machine<'_> {
    pub(super) fn accept(&mut self, trigger: Trigger) -> Done {
        if self.state.suspended && moves(&trigger) {
            return Err(self.failure(State::ROOT, "suspended", "the instance is suspended"));
        }
        match trigger {
            Trigger::Start(start) => self.start(start),
            Trigger::Answer { request, answer } => self.answered(request, answer),
            Trigger::Message {
                subscription,
                variables,
                local,
            } => self.event(subscription, SubscriptionKind::Message, variables, local),
            Trigger::Signal {
                subscription,
                variables,
            } => {
                let local = Variables::new();
                self.event(subscription, SubscriptionKind::Signal, variables, local)
            }
            Trigger::Job { job } => self.run_job(job),
            Trigger::Complete {
                task,
                variables,
                local,
            } => self.complete_task(task, variables, local),
            Trigger::Throw {
                task,
                outcome,
                variables,
            } => {
                let frame = self.task_frame(task)?;
                self.apply_all(frame, variables, false);
                self.outcome(frame, Then::Continue, outcome)
            }
            Trigger::Continue {
                frame,
                settings,
                outcome,
            } => self.go(frame, &settings, outcome),
            Trigger::Child { frame, child } => self.child(frame, child),
            Trigger::Set { frame, settings } => self.set(frame, &settings),
            Trigger::JobFailed { job, failure } => self.job_failed(job, &failure),
            Trigger::SetRetries { job, retries } => self.set_retries(job, retries),
            Trigger::Suspend(suspended) => {
                self.state.suspended = suspended;
                Ok(())
            }
            Trigger::Cancel { reason } => {
                self.cancel_instance(reason);
                Ok(())
            }
            Trigger::Modify {
                instructions,
                variables,
            } => {
                self.apply_all(State::ROOT, variables, false);
                self.modify(&instructions)
            }
        }
    }

    /// Somebody has done a user task: its listeners run, then the activity ends.
    fn complete_task(&mut self, task: WaitId, variables: Variables, local: Variables) -> Done {
        let frame = self.task_frame(task)?;
        self.apply_all(frame, local, true);
        self.apply_all(frame, variables, false);
        self.push(Op::Complete(frame));
        let on = On::Task {
            event: "complete".to_owned(),
            task,
        };
        self.push(Op::Listen { frame, on, at: 0 });
        Ok(())
    }

    fn start(&mut self, start: Start) -> Done {
        let at = match start.at {
            Some(at) => at,
            None => self.plain_start()?,
        };
        let mut root = Frame::moving(State::ROOT, Graph::ROOT);
        root.phase = Phase::Active;
        self.state.frames.insert(State::ROOT, root);
        self.state.business_key = start.business_key;
        self.state.called = start.called;
        let process = self.graph.node(Graph::ROOT);
        self.open(State::ROOT, process, super::state::Role::Node)?;
        self.apply_all(State::ROOT, start.variables, false);
        self.open_timers(State::ROOT, process, super::state::Role::Node)?;
        let token = self.token_before(at)?;
        self.push(Op::Enter(token));
        self.push(Op::Listen {
            frame: State::ROOT,
            on: On::Start,
            at: 0,
        });
        Ok(())
    }

    /// The none or timer start, or the only start event there is (S-LIFE-2).
    fn plain_start(&self) -> Done<NodeIx> {
        let starts: Vec<_> = self.graph.starts(Graph::ROOT).collect();
        let plain = starts
            .iter()
            .find(|(_, event)| matches!(event, Event::None | Event::Timer(_)));
        match (plain, &starts[..]) {
            (Some((ix, _)), _) | (None, [(ix, _)]) => Ok(*ix),
            _ => {
                let message = format!("process '{}' has no default start event", self.graph.key);
                Err(self.failure(State::ROOT, "no-start", message))
            }
        }
    }

    /// A message or signal reaches a subscription.
    fn event(
        &mut self,
        id: WaitId,
        kind: SubscriptionKind,
        variables: Variables,
        local: Variables,
    ) -> Done {
        let Some(row) = self
            .state
            .subscriptions
            .get(&id)
            .filter(|row| row.kind == kind)
        else {
            return Err(self.stale(format!("there is no subscription {}", id.0)));
        };
        let (frame, node) = (row.frame, row.node);
        for (name, value) in local {
            self.write(frame, &name, Some(value));
        }
        self.apply_all(frame, variables, false);
        let stays = matches!(
            self.graph.node(node).kind,
            Kind::Boundary {
                interrupting: false,
                ..
            } | Kind::Start {
                interrupting: false,
                ..
            }
        );
        if !stays {
            self.unsubscribe(id);
        }
        self.react(frame, node);
        Ok(())
    }

    fn task_frame(&self, task: WaitId) -> Done<FrameId> {
        match self.state.tasks.get(&task) {
            Some(row) => Ok(row.frame),
            None => Err(self.stale(format!("there is no user task {}", task.0))),
        }
    }

    /// What waits for an explicit trigger goes on.
    fn go(&mut self, frame: FrameId, settings: &[Setting], outcome: Outcome) -> Done {
        if self
            .frame(frame)
            .is_none_or(|found| found.waits != Some(Waiting::Continue))
        {
            return Err(self.stale(format!("nothing waits in {}", frame.0)));
        }
        for setting in settings {
            self.apply(frame, setting);
        }
        self.change_frame(frame, |found| found.waits = None);
        self.outcome(frame, Then::Complete, outcome)
    }

    /// Variables from outside; conditions react, unless the instance is suspended.
    fn set(&mut self, frame: Option<FrameId>, settings: &[Setting]) -> Done {
        let target = frame.unwrap_or(State::ROOT);
        if self.frame(target).is_none() {
            return Err(self.stale(format!("there is no activity instance {}", target.0)));
        }
        for setting in settings {
            self.apply(target, setting);
        }
        let before = self.state.agenda.len();
        self.conditions(None)?;
        if self.state.suspended && self.state.agenda.len() > before {
            return Err(self.failure(State::ROOT, "suspended", "the instance is suspended"));
        }
        Ok(())
    }
}

/// Whether a trigger moves tokens, which a suspended instance does not allow.
fn moves(trigger: &Trigger) -> bool {
    !matches!(
        trigger,
        Trigger::Set { .. }
            | Trigger::Suspend(_)
            | Trigger::Cancel { .. }
            | Trigger::Modify { .. }
            | Trigger::JobFailed { .. }
            | Trigger::SetRetries { .. }
    )
}
