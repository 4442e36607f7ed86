//! Asynchronous continuations and timers, their retries and incidents.

use super::agenda::Op;
use super::change::{EventKind, Job, JobKind, Repeat};
use super::machine::{Done, Machine};
use super::state::{FrameId, Phase, Role, WaitId};
use super::{Failure, timer};
use crate::bpe::model::{Kind, NodeIx, Retry, Timer};

/// How often a job is tried unless the model says otherwise.
const ATTEMPTS: u32 = 3;

impl<'g> Machine<'g> {
    pub(super) fn create_job(&mut self, frame: FrameId, kind: JobKind, exclusive: bool) {
        let Some(found) = self.frame(frame) else {
            return;
        };
        let node = self.graph.node(found.node);
        let body = node.multi.is_some() && found.role != Role::Inner;
        let suffix = if body { "#multiInstanceBody" } else { "" };
        let (at, activity) = (found.node, format!("{}{suffix}", node.id));
        let id = self.wait_id(frame);
        let job = Job {
            id,
            kind,
            node: at,
            activity,
            frame,
            due: self.now,
            retries: ATTEMPTS,
            failed: false,
            exclusive,
            incident: None,
            repeat: None,
        };
        self.put_new(job);
    }

    /// A new job has as many attempts as its retry cycle says, one at least.
    fn put_new(&mut self, mut job: Job) {
        if let Some(Ok(cycle)) = self.cycle_of(&job) {
            job.retries = cycle.attempts.max(1);
        }
        self.put_job(job);
    }

    fn put_job(&mut self, job: Job) {
        self.changes.jobs.put(job.clone(), |row| row.id);
        self.state.jobs.insert(job.id, job);
    }

    pub(super) fn create_timer(&mut self, frame: FrameId, timer: &Timer, node: NodeIx) -> Done {
        let value = timer.value.evaluate(&mut self.seen(frame));
        let value = self.evaluated(frame, value)?;
        let schedule = timer::schedule(timer.form, &value, self.now)
            .map_err(|message| self.failure(frame, "timer", message))?;
        let repeats = matches!(
            self.graph.node(node).kind,
            Kind::Boundary {
                interrupting: false,
                ..
            } | Kind::Start {
                interrupting: false,
                ..
            }
        );
        let job = Job {
            id: self.wait_id(frame),
            kind: JobKind::Timer,
            node,
            activity: self.graph.node(node).id.clone(),
            frame,
            due: schedule.due,
            retries: ATTEMPTS,
            failed: false,
            exclusive: true,
            incident: None,
            repeat: if repeats { schedule.repeat } else { None },
        };
        self.put_job(job);
        Ok(())
    }

    pub(super) fn remove_job(&mut self, id: WaitId) -> Option<Job> {
        let job = self.state.jobs.remove(&id)?;
        self.changes.jobs.delete(id);
        Some(job)
    }

    /// A job is due: the token goes on, or the timer fires.
    pub(super) fn run_job(&mut self, id: WaitId) -> Done {
        let Some(job) = self.remove_job(id) else {
            return Err(self.stale(format!("there is no job {}", id.0)));
        };
        match job.kind {
            JobKind::AsyncBefore => self.push(Op::Begin(job.frame)),
            JobKind::AsyncAfter => self.go_on(job.frame)?,
            JobKind::Timer => {
                if let Some(repeat) = &job.repeat {
                    self.repeat(&job, repeat);
                }
                self.react(job.frame, job.node);
            }
        }
        Ok(())
    }

    /// The next occurrence of a repeating timer; missed ones are skipped but count.
    fn repeat(&mut self, job: &Job, repeat: &Repeat) {
        let Some((due, left)) = timer::next(repeat, job.due, self.now) else {
            return;
        };
        let repeat = Some(Repeat {
            left,
            ..repeat.clone()
        });
        let id = self.wait_id(job.frame);
        let incident = None;
        let failed = false;
        self.put_job(Job {
            id,
            due,
            repeat,
            incident,
            failed,
            retries: ATTEMPTS,
            ..job.clone()
        });
    }

    /// After an asynchronous end: the flow is taken, or the token is gone.
    fn go_on(&mut self, token: FrameId) -> Done {
        let Some(found) = self.frame(token) else {
            return Ok(());
        };
        let (parent, via, role) = (found.parent, found.via, found.role);
        if role == Role::Inner {
            return self.loop_counts(token);
        }
        if via.is_some() {
            self.change_frame(token, |found| found.phase = Phase::Moving);
            self.push(Op::Scope(parent));
            self.push(Op::Take(token));
        } else {
            self.remove(token);
            self.push(Op::Scope(parent));
        }
        Ok(())
    }

    /// The step of a job failed and was taken back: one retry less.
    pub(super) fn job_failed(&mut self, id: WaitId, failure: &Failure) -> Done {
        let Some(mut job) = self.state.jobs.get(&id).cloned() else {
            return Err(self.stale(format!("there is no job {}", id.0)));
        };
        let mut cause = failure.to_string();
        let pause = match self.cycle_of(&job) {
            Some(Ok(cycle)) => cycle.pause(job.retries),
            Some(Err(message)) => {
                job.retries = 1;
                cause = format!("{cause}; and it cannot be retried: {message}");
                None
            }
            None => None,
        };
        job.failed = true;
        job.retries = job.retries.saturating_sub(1);
        job.due = pause.map_or(self.now, |pause| timer::after(self.now, pause));
        if job.retries == 0 {
            job.incident = Some(cause.clone());
            self.history(job.frame, EventKind::Incident { message: cause });
        }
        self.put_job(job);
        Ok(())
    }

    /// The retry cycle of a job, evaluated where the job stands.
    fn cycle_of(&mut self, job: &Job) -> Option<Result<timer::Retries, String>> {
        let Retry(expression) = self.retry_of(job)?;
        let text = expression.text(&mut self.seen(job.frame));
        Some(
            text.map_err(|error| error.to_string())
                .and_then(|text| timer::retries(&text)),
        )
    }

    fn retry_of(&self, job: &Job) -> Option<&'g Retry> {
        let node = self.graph.node(job.node);
        let inner = self
            .frame(job.frame)
            .is_some_and(|found| found.role == Role::Inner);
        match &node.multi {
            Some(multi) if inner => multi.retry.as_ref(),
            _ => node.retry.as_ref(),
        }
    }

    /// Somebody looked at an incident and lets the job try again.
    pub(super) fn set_retries(&mut self, id: WaitId, retries: u32) -> Done {
        let Some(mut job) = self.state.jobs.get(&id).cloned() else {
            return Err(self.stale(format!("there is no job {}", id.0)));
        };
        job.retries = retries;
        if retries > 0 {
            job.incident = None;
            job.due = job.due.min(self.now);
        }
        self.put_job(job);
        Ok(())
    }
}
