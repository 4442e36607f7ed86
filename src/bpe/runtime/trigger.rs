//! Applies one trigger to one instance: lease, run, store.

use uuid::Uuid;

use super::gather::Gathered;
use super::graphs::Definition;
use super::segment::{Left, Segment, Sending};
use super::tasks::Held;
use super::turns::Turn;
use super::{Error, Runtime, failure};
use crate::bpe::engine::{self, FrameId, InstanceId, Outcome, Start, State, Trigger, WaitId};
use crate::bpe::model::{NodeIx, Variables};
use crate::bpe::plugin::{Delivery, Performed};
use crate::r4::Resource;
use crate::store::bpe::flush::{self, Flush, Own, Received};
use crate::store::bpe::instance::{self, Lease, Leased};
use crate::store::bpe::{inbox, outbox};

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

/// An instance in our hands.
struct Leasehold {
    leased: Leased,
    definition: Definition,
    state: State,
    tasks: Vec<inbox::Held>,
    /// Lets the next trigger of this node go on when this one is stored.
    _turn: Turn,
}

/// What the step takes out of the inbox or the outbox.
#[derive(Clone, Debug, Default)]
struct Consumed {
    received: Option<Received>,
    sent: Option<(Uuid, i64)>,
}

impl Runtime {
    /// Starts an instance by a Task. The instance has the id of that Task, so that no crash can
    /// make two of it.
    pub async fn start(&self, start: Starting, incoming: Incoming) -> Result<Advance, Error> {
        let mut segment = Segment {
            runtime: self.clone(),
            definition: start.definition,
            instance: incoming.task,
            business_key: start.business_key.clone(),
            alternative_key: None,
            tasks: Held::default(),
            gathered: Gathered::default(),
            outbox: Vec::new(),
        };
        segment
            .tasks
            .receive(incoming.task, incoming.document, None);
        let trigger = Trigger::Start(Start {
            at: Some(start.at),
            business_key: Some(start.business_key.clone()),
            variables: Variables::new(),
            called: false,
        });
        let left = match segment
            .run(State::new(InstanceId(incoming.task)), trigger)
            .await
        {
            Ok(left) => left,
            Err(failure) => return Ok(Advance::Failed(failure)),
        };
        let own = Own::Start {
            definition: segment.definition.id,
            business_key: start.business_key,
        };
        let received = Received {
            task: incoming.task,
            epoch: incoming.epoch,
            scope: None,
        };
        self.conclude(
            segment,
            left,
            own,
            Consumed {
                received: Some(received),
                sent: None,
            },
        )
        .await
    }

    /// Hands a Task to an instance that waits for it.
    pub async fn receive(
        &self,
        instance: Uuid,
        subscription: i64,
        incoming: Incoming,
    ) -> Result<Advance, Error> {
        let held = match self.hold(instance).await? {
            Ok(held) => held,
            Err(advance) => return Ok(advance),
        };
        let subscription = wait(subscription);
        let Some(scope) = held.state.receiving_scope(subscription) else {
            return self.settle(&held, Advance::Stale).await;
        };
        let scope = i64::try_from(scope.0).ok();
        let Incoming {
            task,
            epoch,
            document,
        } = incoming;
        let consumed = Consumed {
            received: Some(Received { task, epoch, scope }),
            sent: None,
        };
        let advance = self
            .drive(&held, consumed, async |segment: &mut Segment| {
                segment.tasks.receive(task, document, scope);
                Trigger::Message {
                    subscription,
                    variables: Variables::new(),
                    local: Variables::new(),
                }
            })
            .await?;
        self.settle(&held, advance).await
    }

    /// Takes in what became of a message: the plugin may react, then the activity goes on.
    pub async fn delivered(
        &self,
        entry: &outbox::Entry,
        delivery: Delivery,
    ) -> Result<Advance, Error> {
        let (Some(instance), Some(frame), Some(call)) =
            (entry.instance, entry.frame, entry.call.as_deref())
        else {
            return Ok(Advance::Stale);
        };
        let Ok(sending) = serde_json::from_str::<Sending>(call) else {
            return Ok(Advance::Stale);
        };
        let held = match self.hold(instance).await? {
            Ok(held) => held,
            Err(advance) => return Ok(advance),
        };
        let frame = FrameId(u64::try_from(frame).unwrap_or_default());
        if !held.state.is_waiting(frame) {
            return self.settle(&held, Advance::Stale).await;
        }
        let consumed = Consumed {
            received: None,
            sent: Some((entry.id, entry.lease_epoch)),
        };
        let advance = self
            .drive(&held, consumed, async |segment: &mut Segment| {
                self.react(segment, &held.state, frame, sending, delivery)
                    .await
            })
            .await?;
        self.settle(&held, advance).await
    }

    /// What the plugin makes of the outcome; where it does not care, DSF's defaults hold.
    async fn react(
        &self,
        segment: &mut Segment,
        state: &State,
        frame: FrameId,
        sending: Sending,
        delivery: Delivery,
    ) -> Trigger {
        let activity = segment.activity(state, frame, sending);
        let performance = self.host.delivered(activity.clone(), delivery).await;
        let mut settings = performance.settings;
        segment.note(&settings);
        segment.tasks.update(performance.tasks);
        let outcome = match performance.outcome {
            Performed::Done | Performed::Send(_) => Outcome::Done,
            Performed::Error { code, message } => Outcome::BpmnError { code, message },
            Performed::Failed { kind, message } => {
                let verdict = failure::judge(segment, &activity, &kind, &message);
                if let Some(reason) = verdict.delete {
                    return Trigger::Cancel { reason };
                }
                settings.extend(verdict.settings);
                Outcome::Done
            }
        };
        Trigger::Continue {
            frame,
            settings,
            outcome,
        }
    }

    /// Runs a due job. A failing step costs the job a retry, or leaves an incident.
    pub async fn run_job(&self, instance: Uuid, job: i64) -> Result<Advance, Error> {
        let job = wait(job);
        let held = match self.hold(instance).await? {
            Ok(held) => held,
            Err(advance) => return Ok(advance),
        };
        if held.state.jobs().all(|waiting| waiting.id != job) {
            return self.settle(&held, Advance::Stale).await;
        }
        let nothing = Consumed::default();
        let mut advance = self
            .drive(&held, nothing.clone(), async |_: &mut Segment| {
                Trigger::Job { job }
            })
            .await?;
        if let Advance::Failed(failure) = advance {
            tracing::warn!(%instance, activity = failure.activity, "a job failed: {failure}");
            advance = self
                .drive(&held, nothing, async |_: &mut Segment| Trigger::JobFailed {
                    job,
                    failure,
                })
                .await?;
        }
        self.settle(&held, advance).await
    }

    /// Tells an instance of a signal that it waits for.
    pub async fn signal(
        &self,
        entry: &outbox::Entry,
        variables: Variables,
    ) -> Result<Advance, Error> {
        let (Some(instance), Some(subscription)) = (entry.instance, entry.frame) else {
            return Ok(Advance::Stale);
        };
        let held = match self.hold(instance).await? {
            Ok(held) => held,
            Err(advance) => return Ok(advance),
        };
        let subscription = wait(subscription);
        if held.state.receiving_scope(subscription).is_none() {
            return self.settle(&held, Advance::Stale).await;
        }
        let consumed = Consumed {
            received: None,
            sent: Some((entry.id, entry.lease_epoch)),
        };
        let advance = self
            .drive(&held, consumed, async |_: &mut Segment| Trigger::Signal {
                subscription,
                variables,
            })
            .await?;
        self.settle(&held, advance).await
    }

    /// Ends an instance before its time.
    pub async fn cancel(&self, instance: Uuid, reason: &str) -> Result<Advance, Error> {
        let held = match self.hold(instance).await? {
            Ok(held) => held,
            Err(advance) => return Ok(advance),
        };
        let advance = self
            .drive(&held, Consumed::default(), async |_: &mut Segment| {
                Trigger::Cancel {
                    reason: reason.to_owned(),
                }
            })
            .await?;
        self.settle(&held, advance).await
    }

    /// Leases and loads an instance, or says why not.
    async fn hold(&self, id: Uuid) -> Result<Result<Leasehold, Advance>, Error> {
        let Some(turn) = self.turns.wait(id).await else {
            return Ok(Err(Advance::Busy));
        };
        let seconds = self.settings.lease.as_secs_f64();
        let loaded = self
            .store
            .read(async |conn| {
                let lease = instance::lease(conn, id, seconds).await?;
                let tasks = match &lease {
                    Lease::Taken(_) => inbox::of_instance(conn, id).await?,
                    Lease::Busy | Lease::Gone => Vec::new(),
                };
                Ok::<_, Error>((lease, tasks))
            })
            .await?;
        let (leased, tasks) = match loaded {
            (Lease::Taken(leased), tasks) => (*leased, tasks),
            (Lease::Busy, _) => return Ok(Err(Advance::Busy)),
            (Lease::Gone, _) => return Ok(Err(Advance::Stale)),
        };
        let definition = self.graphs.by_id(&self.store, leased.definition).await?;
        let state = serde_json::from_str(&leased.state).map_err(|error| Error::State {
            id,
            problem: error.to_string(),
        })?;
        Ok(Ok(Leasehold {
            leased,
            definition,
            state,
            tasks,
            _turn: turn,
        }))
    }

    /// Runs one trigger on a leased instance and stores the result.
    async fn drive<F>(
        &self,
        held: &Leasehold,
        consumed: Consumed,
        prepare: F,
    ) -> Result<Advance, Error>
    where
        F: AsyncFnOnce(&mut Segment) -> Trigger,
    {
        let work = async {
            let mut segment = self.resumed(held);
            let trigger = prepare(&mut segment).await;
            let left = segment.run(held.state.clone(), trigger).await;
            (segment, left)
        };
        let Some((segment, left)) = self.while_leased(&held.leased, work).await else {
            return Ok(Advance::Stale);
        };
        let own = Own::Continue {
            rev: held.leased.rev,
            epoch: held.leased.lease_epoch,
        };
        match left {
            Ok(left) => self.conclude(segment, left, own, consumed).await,
            Err(failure) => Ok(Advance::Failed(failure)),
        }
    }

    fn resumed(&self, held: &Leasehold) -> Segment {
        Segment {
            runtime: self.clone(),
            definition: held.definition.clone(),
            instance: held.leased.id,
            business_key: held.leased.business_key.clone(),
            alternative_key: held.leased.alternative_key.clone(),
            tasks: Held::load(held.tasks.clone()),
            gathered: Gathered::default(),
            outbox: Vec::new(),
        }
    }

    /// Waits for work on an instance and keeps the lease alive meanwhile; nothing when the lease
    /// was lost, and then the work is abandoned.
    async fn while_leased<T>(&self, leased: &Leased, work: impl Future<Output = T>) -> Option<T> {
        let lease = self.settings.lease;
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                () = tokio::time::sleep(lease / 3) => {}
            }
            let renewed = self
                .store
                .read(async |conn| {
                    let seconds = lease.as_secs_f64();
                    instance::renew(conn, leased.id, leased.lease_epoch, seconds).await
                })
                .await;
            match renewed {
                Ok(true) => {}
                Ok(false) => return None,
                // The lease has two thirds of its time left; the guard decides in the end.
                Err(error) => tracing::warn!(instance = %leased.id, "lease not renewed: {error}"),
            }
        }
    }

    /// Stores everything in one statement and wakes who has something to do now.
    async fn conclude(
        &self,
        segment: Segment,
        left: Left,
        own: Own,
        consumed: Consumed,
    ) -> Result<Advance, Error> {
        let flush = self.flush_of(&segment, left, own, consumed)?;
        let stored = self
            .store
            .read(async |conn| flush::run(conn, &flush).await)
            .await?;
        if !stored {
            return Ok(Advance::Stale);
        }
        if !flush.outbox.is_empty() {
            self.bells.outbox.notify_one();
        }
        if segment.gathered.has_jobs() {
            self.bells.jobs.notify_one();
        }
        if segment.gathered.opens_subscriptions() {
            self.wake_held(&segment).await?;
        }
        Ok(Advance::Done)
    }

    async fn wake_held(&self, segment: &Segment) -> Result<(), Error> {
        let mut keys = vec![segment.business_key.clone()];
        keys.extend(segment.alternative_key.clone());
        let woken = self
            .store
            .read(async |conn| inbox::wake_held(conn, &keys).await)
            .await?;
        if woken > 0 {
            self.bells.inbox.notify_one();
        }
        Ok(())
    }

    fn flush_of(
        &self,
        segment: &Segment,
        left: Left,
        own: Own,
        consumed: Consumed,
    ) -> Result<Flush, Error> {
        let instance = segment.instance;
        let (put_subscriptions, delete_subscriptions) = segment.gathered.subscriptions();
        let (put_jobs, delete_jobs) = segment.gathered.jobs();
        let mut outbox = segment.outbox.clone();
        outbox.extend(segment.tasks.answers(self.settings.answer_deadline));
        let (left, waits) = match left {
            Left::Waiting(state) => {
                let state = serde_json::to_string(&state).map_err(|error| Error::State {
                    id: instance,
                    problem: error.to_string(),
                })?;
                let alternative_key = segment.alternative_key.clone();
                (
                    flush::Left::Waiting {
                        state,
                        alternative_key,
                    },
                    true,
                )
            }
            Left::Ended { outcome } => (flush::Left::Ended { outcome }, false),
        };
        Ok(Flush {
            instance,
            own,
            left,
            lease_seconds: 0.0,
            received: consumed.received,
            sent: consumed.sent,
            // Nothing waits for an instance that has ended; its rows went with it.
            put_subscriptions: if waits { put_subscriptions } else { Vec::new() },
            delete_subscriptions,
            put_jobs: if waits { put_jobs } else { Vec::new() },
            delete_jobs,
            tasks: segment.tasks.rows(),
            outbox,
            history: segment.gathered.history(),
        })
    }

    /// Gives the lease back where the step did not do so itself.
    async fn settle(&self, held: &Leasehold, advance: Advance) -> Result<Advance, Error> {
        if matches!(advance, Advance::Stale | Advance::Failed(_)) {
            let (id, epoch) = (held.leased.id, held.leased.lease_epoch);
            self.store
                .read(async |conn| instance::release(conn, id, epoch).await)
                .await?;
        }
        Ok(advance)
    }
}

/// Ids of waits are stored as signed numbers; one that is negative waits for nothing.
fn wait(id: i64) -> WaitId {
    WaitId(u64::try_from(id).unwrap_or_default())
}
