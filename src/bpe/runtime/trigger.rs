//! What makes instances move: Tasks, outcomes of messages, jobs, signals.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::graphs::Definition;
use super::lease::Leases;
use super::member::{Member, Sending};
use super::segment::{Consumed, Segment, Stop, frame};
use super::{Error, Runtime, failure};
use crate::bpe::engine::{self, FrameId, Outcome, Start, Trigger, WaitId};
use crate::bpe::model::{NodeIx, Variables};
use crate::bpe::plugin::{Delivery, Performed};
use crate::r4::Resource;
use crate::store::bpe::flush::Received;
use crate::store::bpe::job::Taken;
use crate::store::bpe::outbox;

/// What became of a trigger.
#[derive(Clone, Debug)]
pub enum Advance {
    /// Taken in and stored.
    Done,
    /// Somebody else works on the instance: try again soon.
    Busy,
    /// Nobody waits for it any more, or we lost the right to go on: nothing has changed.
    Stale,
    /// The step failed; nothing has changed.
    Failed(engine::Failure),
}

/// A claimed Task.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub task: Uuid,
    pub epoch: i64,
    pub document: Resource,
}

/// Where a new instance begins.
#[derive(Clone, Debug)]
pub struct Starting {
    pub definition: Definition,
    pub at: NodeIx,
    pub business_key: String,
}

/// A start that no Task asks for.
#[derive(Clone, Debug)]
pub struct Begin {
    pub instance: Uuid,
    pub definition: Definition,
    pub start: Start,
    /// A BPMN error that nobody catches fails the step instead of ending its path.
    pub strict_errors: bool,
}

impl Runtime {
    /// Starts an instance by a Task. The instance has the id of that Task, so that no crash can
    /// make two of it.
    pub async fn start(&self, start: Starting, incoming: Incoming) -> Result<Advance, Error> {
        let key = Some(start.business_key);
        let mut member = Member::new(incoming.task, start.definition, key.clone(), None);
        if let Some(state) = &mut member.state {
            state.crowd = self.settings.crowd;
        }
        member.tasks.receive(incoming.task, incoming.document, None);
        let received = Received {
            task: incoming.task,
            epoch: incoming.epoch,
            scope: None,
        };
        let trigger = Trigger::Start(Start {
            at: Some(start.at),
            business_key: key,
            variables: Variables::new(),
            called: false,
        });
        self.with_member(member, Leases::default(), async |segment: &mut Segment| {
            segment.consumed.received = Some(received);
            segment.drive(0, trigger).await
        })
        .await
    }

    /// Starts an instance without a Task.
    pub async fn begin(&self, begin: Begin) -> Result<Advance, Error> {
        self.begin_by(begin, Consumed::default()).await
    }

    pub(super) async fn begin_by(
        &self,
        begin: Begin,
        consumed: Consumed,
    ) -> Result<Advance, Error> {
        let key = begin.start.business_key.clone();
        if begin.definition.suspended {
            return Ok(Advance::Failed(engine::Failure {
                activity: begin.definition.process.key.clone(),
                kind: "suspended".to_owned(),
                message: format!("process '{}' is suspended", begin.definition.process.key),
            }));
        }
        let mut member = Member::new(begin.instance, begin.definition, key, None);
        if let Some(state) = &mut member.state {
            state.strict_errors = begin.strict_errors;
            state.crowd = self.settings.crowd;
        }
        self.with_member(member, Leases::default(), async |segment: &mut Segment| {
            segment.consumed = consumed;
            segment.drive(0, Trigger::Start(begin.start)).await
        })
        .await
    }

    /// Anything that one instance is told.
    pub async fn trigger(&self, instance: Uuid, trigger: Trigger) -> Result<Advance, Error> {
        self.with_instance(instance, trigger.page(), async |segment: &mut Segment| {
            segment.drive(0, trigger).await
        })
        .await
    }

    /// Hands a Task to an instance that waits for it.
    pub async fn receive(
        &self,
        instance: Uuid,
        subscription: i64,
        incoming: Incoming,
    ) -> Result<Advance, Error> {
        let subscription = wait(subscription);
        self.with_instance(
            instance,
            subscription.page(),
            async |segment: &mut Segment| {
                let member = &mut segment.members[0];
                let state = member.state.as_ref();
                let scope = state.and_then(|state| state.receiving_scope(subscription));
                let scope = scope.ok_or(Stop::Stale)?;
                let scope = i64::try_from(scope.0).ok();
                let Incoming {
                    task,
                    epoch,
                    document,
                } = incoming;
                member.tasks.receive(task, document, scope);
                segment.consumed.received = Some(Received { task, epoch, scope });
                let trigger = Trigger::Message {
                    subscription,
                    variables: Variables::new(),
                    local: Variables::new(),
                };
                segment.drive(0, trigger).await
            },
        )
        .await
    }

    /// Takes in what became of a message: the plugin may react, then the activity goes on.
    pub async fn delivered(
        &self,
        entry: &outbox::Entry,
        delivery: Delivery,
    ) -> Result<Advance, Error> {
        let (Some(instance), Some(number), Some(call)) =
            (entry.instance, entry.frame, entry.call.as_deref())
        else {
            return Ok(Advance::Stale);
        };
        let Ok(sending) = serde_json::from_str::<Sending>(call) else {
            return Ok(Advance::Stale);
        };
        let sent = Some((entry.id, entry.lease_epoch));
        let frame = frame(number);
        self.with_instance(instance, frame.page(), async |segment: &mut Segment| {
            let state = segment.members[0].state.as_ref();
            if !state.is_some_and(|state| state.is_waiting(frame)) {
                return Err(Stop::Stale);
            }
            segment.consumed.sent = sent;
            let trigger = self.react(segment, frame, sending, delivery).await?;
            segment.drive(0, trigger).await
        })
        .await
    }

    /// What the plugin makes of the outcome; where it does not care, DSF's defaults hold.
    async fn react(
        &self,
        segment: &mut Segment,
        frame: FrameId,
        sending: Sending,
        delivery: Delivery,
    ) -> Result<Trigger, Stop> {
        let activity = segment.activity(0, frame, sending).await?;
        let member = &mut segment.members[0];
        let performance = self.host.delivered(activity.clone(), delivery).await;
        let mut settings = performance.settings;
        member.note(&settings);
        member.tasks.update(performance.tasks);
        let outcome = match performance.outcome {
            Performed::Done | Performed::Send(_) => Outcome::Done,
            Performed::Wait => Outcome::Wait,
            Performed::Error { code, message } => Outcome::BpmnError { code, message },
            Performed::Escalation { code } => Outcome::Escalation { code },
            Performed::Delete { reason } => return Ok(Trigger::Cancel { reason }),
            Performed::Failed { kind, message } => {
                let verdict = failure::judge(member, &activity, &kind, &message);
                if let Some(reason) = verdict.delete {
                    return Ok(Trigger::Cancel { reason });
                }
                settings.extend(verdict.settings);
                Outcome::Done
            }
        };
        Ok(Trigger::Continue {
            frame,
            settings,
            outcome,
        })
    }

    /// Runs a due job. A failing step costs the job a retry, or leaves an incident.
    pub async fn run_job(&self, instance: Uuid, job: i64) -> Result<Advance, Error> {
        let job = wait(job);
        let work = async |segment: &mut Segment| self.drive_job(segment, job).await;
        let advance = self.with_instance(instance, job.page(), work).await?;
        self.job_ended(instance, job, advance).await
    }

    /// The same for a job whose instance is leased. Jobs of it that are due when that is stored are
    /// done next, for a while: to give the lease back and take it again would cost as much as a step.
    pub async fn run_taken(&self, taken: &Taken) -> Result<Advance, Error> {
        let (instance, mut job) = (taken.instance.id, wait(taken.job));
        let began = Instant::now();
        let leases = Leases::default();
        leases.adopt(self, &taken.instance).await;
        let mut member = self.first(&taken.instance, job.page(), &leases).await?;
        let advance = loop {
            let goes_on = began.elapsed() < STRETCH && !self.shutdown.is_begun();
            let work = async |segment: &mut Segment| self.drive_job(segment, job).await;
            let stretch = self.stretch(member, &leases, goes_on, work).await?;
            let Some(next) = stretch.next else {
                break stretch.advance;
            };
            (member, job) = next;
        };
        // Whoever waits for the turn may have it, also we.
        drop(leases);
        self.job_ended(instance, job, advance).await
    }

    async fn drive_job(&self, segment: &mut Segment, job: WaitId) -> Result<(), Stop> {
        let state = segment.members[0].state.as_ref();
        let row = state.and_then(|state| state.job(job));
        let due = row.ok_or(Stop::Stale)?.due;
        let lag = self.clock.now().duration_since(due);
        self.watch
            .began_job(Duration::try_from(lag).unwrap_or_default());
        segment.drive(0, Trigger::Job { job }).await
    }

    async fn job_ended(
        &self,
        instance: Uuid,
        job: WaitId,
        advance: Advance,
    ) -> Result<Advance, Error> {
        let Advance::Failed(failure) = advance else {
            return Ok(advance);
        };
        if failure.kind == SUSPENDED {
            return Ok(Advance::Stale);
        }
        tracing::warn!(%instance, activity = failure.activity, "a job failed: {failure}");
        self.watch.failed_job();
        self.trigger(instance, Trigger::JobFailed { job, failure })
            .await
    }

    /// Tells an instance of a signal that it waits for.
    pub(super) async fn hear(
        &self,
        entry: &outbox::Entry,
        variables: Variables,
    ) -> Result<Advance, Error> {
        let (Some(instance), Some(subscription)) = (entry.instance, entry.frame) else {
            return Ok(Advance::Stale);
        };
        let sent = Some((entry.id, entry.lease_epoch));
        let subscription = wait(subscription);
        self.with_instance(
            instance,
            subscription.page(),
            async |segment: &mut Segment| {
                let state = segment.members[0].state.as_ref();
                if state.is_none_or(|state| state.receiving_scope(subscription).is_none()) {
                    return Err(Stop::Stale);
                }
                segment.consumed.sent = sent;
                let trigger = Trigger::Signal {
                    subscription,
                    variables,
                };
                segment.drive(0, trigger).await
            },
        )
        .await
    }

    /// Ends an instance before its time.
    pub async fn cancel(&self, instance: Uuid, reason: &str) -> Result<Advance, Error> {
        let reason = reason.to_owned();
        self.trigger(instance, Trigger::Cancel { reason }).await
    }
}

/// How long an instance may go on with its own jobs while others that it concerns wait; they wait
/// longer, see [`super::turns`].
const STRETCH: Duration = Duration::from_millis(100);

/// The kind of failure of a trigger that a suspended instance does not take.
pub const SUSPENDED: &str = "suspended";

/// Ids of waits are stored as signed numbers; one that is negative waits for nothing.
fn wait(id: i64) -> WaitId {
    WaitId(u64::try_from(id).unwrap_or_default())
}
