//! One trigger to quiescence: engine steps and plugin calls in turn, nothing stored yet.
//!
//! Instances that call each other move together: what a called instance starts, ends or throws
//! reaches its caller in the same segment, and all of it is stored in one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::future::BoxFuture;
use serde_json::json;
use uuid::Uuid;

use super::graphs::{ANSWER_TASKS, Definition};
use super::lease::{Had, Leases};
use super::member::{Member, Sending};
use super::{Error, Runtime, apart, failure};
use crate::bpe::engine::{
    self, Answer, Ask, Call, CallKind, Child, ChildStart, FrameId, Halt, Next, PageId, Request,
    Start, State, Step, SubscriptionKind, Trigger, Waiting,
};
use crate::bpe::model::{Graph, Variables};
use crate::bpe::plugin::Activity;
use crate::store::bpe::flush::{Caller, Fired, Received};
use crate::store::bpe::{definition, instance, user_task};

/// The work on one instance, and on those it calls or was called by, between two commits.
pub(super) struct Segment {
    pub runtime: Runtime,
    /// The first is the one that the trigger is for.
    pub members: Vec<Member>,
    pub leases: Leases,
    pub consumed: Consumed,
    /// What happened, in order, over all members.
    pub events: Vec<(Uuid, engine::Event)>,
    /// The activity whose code is left out, by somebody's decision.
    pub skips: Option<String>,
    /// Whether a job that is due at the end is done next, by the same lease.
    pub goes_on: bool,
    /// How often code was called or another instance asked for.
    requests: u32,
}

/// What the step takes out of the inbox, the outbox or the start timers.
#[derive(Clone, Debug, Default)]
pub(super) struct Consumed {
    pub received: Option<Received>,
    pub sent: Option<(Uuid, i64)>,
    pub fired: Option<Fired>,
    /// The wish of somebody that is fulfilled by it.
    pub control: Option<Uuid>,
    /// The user task whose form the step is about.
    pub user_task: Option<user_task::Taken>,
}

/// Why a segment came to nothing.
pub(super) enum Stop {
    Failed(engine::Failure),
    /// An instance that it needs is in somebody else's hands.
    Busy,
    /// What it is about is gone.
    Stale,
    Broken(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl From<crate::store::Error> for Stop {
    fn from(error: crate::store::Error) -> Self {
        Self::Broken(error.into())
    }
}

impl Segment {
    pub(super) fn new(runtime: &Runtime, first: Member, leases: Leases) -> Self {
        Self {
            runtime: runtime.clone(),
            members: vec![first],
            leases,
            consumed: Consumed::default(),
            events: Vec::new(),
            skips: None,
            goes_on: false,
            requests: 0,
        }
    }

    /// Runs one trigger of a member, whatever it asks for on the way. A request that is already
    /// being served is left to whoever serves it.
    pub(super) fn drive(&mut self, at: usize, trigger: Trigger) -> BoxFuture<'_, Result<(), Stop>> {
        Box::pin(async move {
            let outer = self.members[at].pending;
            let mut trigger = trigger;
            loop {
                let step = self.step(at, trigger).await?;
                let Some(request) = self.absorb(at, step).await? else {
                    return Ok(());
                };
                if Some(request.id) == outer {
                    return Ok(());
                }
                self.members[at].pending = Some(request.id);
                let answer = self.serve(at, &request).await?;
                self.members[at].pending = outer;
                if self.members[at].end.is_some() {
                    return Ok(());
                }
                trigger = Trigger::Answer {
                    request: request.id,
                    answer,
                };
            }
        })
    }

    /// One step, on as much of the state as it needs.
    async fn step(&mut self, at: usize, mut trigger: Trigger) -> Result<Step, Stop> {
        loop {
            let member = &mut self.members[at];
            let Some(state) = member.state.take() else {
                return Err(Stop::Stale);
            };
            let again = member.known.is_partial();
            let again = again.then(|| (state.clone(), trigger.clone()));
            let now = self.runtime.clock.now();
            match (
                stepped(&member.definition.graph, state, trigger, now),
                again,
            ) {
                (Ok(step), _) => return Ok(step),
                (Err(Halt::Failed(failure)), _) => return Err(Stop::Failed(failure)),
                // Everything was there.
                (Err(Halt::Absent(_)), None) => return Err(Stop::Failed(failure::panicked())),
                (Err(Halt::Absent(absent)), Some((state, same))) => {
                    member.state = Some(state);
                    trigger = same;
                    self.get(at, absent).await?;
                }
            }
        }
    }

    /// Keeps what a step left; the end of a called instance is news for its caller.
    async fn absorb(&mut self, at: usize, step: Step) -> Result<Option<Request>, Stop> {
        let member = &mut self.members[at];
        member.moved = true;
        let events = step.changes.history.iter().cloned();
        self.events.extend(events.map(|event| (member.id, event)));
        member.gathered.absorb(step.changes);
        match step.next {
            Next::Wait => member.state = Some(step.state),
            Next::Request(request) => {
                member.state = Some(step.state);
                return Ok(Some(request));
            }
            Next::End(end) => {
                self.all_tasks(at).await?;
                self.members[at].end(end.clone());
                self.tell_caller(at, Child::Ended(end)).await?;
            }
        }
        Ok(None)
    }

    async fn serve(&mut self, at: usize, request: &Request) -> Result<Answer, Stop> {
        self.count(request)?;
        let nothing = Answer::done(Vec::new());
        match &request.ask {
            Ask::Call(call) if call.class == ANSWER_TASKS => {
                self.all_tasks(at).await?;
                self.members[at].at_end_event(request.frame, call.canceled);
            }
            Ask::Call(call) if self.skips_code(request, call) => {}
            Ask::Call(call) => {
                let sending = Sending::by(request, call);
                let runtime = self.runtime.clone();
                self.members[at].note_form(&runtime, &sending);
                let activity = self.activity(at, request.frame, sending).await?;
                let performance = runtime.host.perform(activity.clone()).await;
                return Ok(self.members[at].performed(&runtime, &activity, performance));
            }
            Ask::Signal {
                name,
                variables,
                business_key,
            } => {
                self.signal(at, name, variables, business_key.as_deref())
                    .await?;
            }
            Ask::Escalate { code, variables } => {
                let (code, variables) = (code.clone(), variables.clone());
                self.tell_caller(at, Child::Escalated { code, variables })
                    .await?;
            }
            Ask::Error {
                code,
                message,
                variables,
            } => {
                let news = Child::Threw {
                    code: code.clone(),
                    message: message.clone(),
                    variables: variables.clone(),
                };
                self.tell_caller(at, news).await?;
            }
            Ask::Start(child) => self.start_child(at, request, child).await?,
            Ask::Cancel => self.cancel_child(at, request.frame).await?,
        }
        Ok(nothing)
    }

    /// What code is told, which may use all of it.
    pub(super) async fn activity(
        &mut self,
        at: usize,
        frame: FrameId,
        sending: Sending,
    ) -> Result<Activity, Stop> {
        self.all_values(at).await?;
        self.all_tasks(at).await?;
        Ok(self.members[at].activity(frame, sending))
    }

    fn skips_code(&self, request: &Request, call: &Call) -> bool {
        let listens = matches!(
            call.kind,
            CallKind::ExecutionListener { .. } | CallKind::TaskListener { .. }
        );
        !listens && self.skips.as_ref() == Some(&request.activity)
    }

    /// A loop that only ever calls code would never come to a wait.
    fn count(&mut self, request: &Request) -> Result<(), Stop> {
        self.requests += 1;
        if self.requests <= self.runtime.settings.most_calls {
            return Ok(());
        }
        Err(Stop::Failed(engine::Failure {
            activity: request.activity.clone(),
            kind: "endless".to_owned(),
            message: "the process runs in circles without waiting for anything".to_owned(),
        }))
    }

    /// The own receivers of a signal hear it now, everybody else by the outbox.
    async fn signal(
        &mut self,
        at: usize,
        name: &str,
        variables: &Variables,
        business_key: Option<&str>,
    ) -> Result<(), Stop> {
        let document = json!({
            "name": name, "variables": variables, "businessKey": business_key,
        });
        let settings = self.runtime.settings.clone();
        self.members[at].signal(document.to_string(), &settings);
        self.all_pages(at).await?;
        let state = self.members[at].state.as_ref();
        let receivers: Vec<_> = state
            .into_iter()
            .flat_map(engine::State::subscriptions)
            .filter(|row| row.kind == SubscriptionKind::Signal && row.name == name)
            .map(|row| row.id)
            .collect();
        for subscription in receivers {
            let state = self.members[at].state.as_ref();
            if state.is_none_or(|state| state.receiving_scope(subscription).is_none()) {
                continue;
            }
            let variables = variables.clone();
            let trigger = Trigger::Signal {
                subscription,
                variables,
            };
            self.drive(at, trigger).await?;
        }
        Ok(())
    }

    /// Hands news to the call activity that called a member, if it still waits.
    async fn tell_caller(&mut self, at: usize, child: Child) -> Result<(), Stop> {
        let Some(caller) = self.members[at].caller else {
            return Ok(());
        };
        let frame = frame(caller.frame);
        let Some(above) = self.member(caller.instance, frame.page()).await? else {
            return Ok(());
        };
        let state = self.members[above].state.as_ref();
        let waits = state.and_then(|state| state.waits_for(frame)) == Some(Waiting::Child);
        if waits {
            self.drive(above, Trigger::Child { frame, child }).await?;
        }
        Ok(())
    }

    async fn start_child(
        &mut self,
        at: usize,
        request: &Request,
        child: &ChildStart,
    ) -> Result<(), Stop> {
        let definition = self.called(at, child).await?;
        let definition = definition.filter(|found| !found.suspended);
        let Some(definition) = definition else {
            return Err(Stop::Failed(engine::Failure {
                activity: request.activity.clone(),
                kind: "call".to_owned(),
                message: format!(
                    "no process '{}' that may start is deployed to be called",
                    child.key
                ),
            }));
        };
        let caller = Caller {
            instance: self.members[at].id,
            frame: number(request.frame),
        };
        let key = child.business_key.clone();
        let mut member = Member::new(Uuid::now_v7(), definition, key.clone(), Some(caller));
        if let (Some(own), Some(state)) = (&self.members[at].state, &mut member.state) {
            state.strict_errors = own.strict_errors;
            state.crowd = own.crowd;
        }
        self.members.push(member);
        let start = Start {
            at: None,
            business_key: key,
            variables: child.variables.clone(),
            called: true,
        };
        self.drive(self.members.len() - 1, Trigger::Start(start))
            .await
    }

    async fn called(&self, at: usize, child: &ChildStart) -> Result<Option<Definition>, Stop> {
        let own = &self.members[at].definition;
        let version = child.version.map(i32::try_from).transpose();
        let Ok(version) = version else {
            return Ok(None);
        };
        let wanted = definition::Wanted {
            version,
            version_tag: child.version_tag.as_deref(),
            deployment: child.same_deployment.then_some(own.deployment),
        };
        Ok(self
            .runtime
            .graphs
            .called(&self.runtime.store, &child.key, wanted)
            .await?)
    }

    async fn cancel_child(&mut self, at: usize, call: FrameId) -> Result<(), Stop> {
        let caller = Caller {
            instance: self.members[at].id,
            frame: number(call),
        };
        let here = self
            .members
            .iter()
            .position(|member| member.caller == Some(caller) && member.end.is_none());
        let child = match here {
            Some(child) => Some(child),
            None => {
                let found = self
                    .runtime
                    .store
                    .read(async |conn| {
                        instance::called_by(conn, caller.instance, caller.frame).await
                    })
                    .await?;
                match found.filter(|id| self.members.iter().all(|member| member.id != *id)) {
                    Some(id) => self.member(id, PageId::FIRST).await?,
                    None => None,
                }
            }
        };
        if let Some(child) = child {
            let reason = "the call activity was cancelled".to_owned();
            self.drive(child, Trigger::Cancel { reason }).await?;
        }
        Ok(())
    }

    /// The member with this id, with a page of its state; an instance that is not one yet is leased
    /// and loaded.
    pub(super) async fn member(&mut self, id: Uuid, page: PageId) -> Result<Option<usize>, Stop> {
        if let Some(at) = self.members.iter().position(|member| member.id == id) {
            self.page(at, page).await?;
            return Ok(Some(at));
        }
        let leased = match self.leases.wait(&self.runtime, id, page).await? {
            Had::Taken(leased) => leased,
            Had::Busy => return Err(Stop::Busy),
            Had::Gone => return Ok(None),
        };
        let member = self.runtime.loaded(&leased, page).await?;
        self.members.push(member);
        Ok(Some(self.members.len() - 1))
    }
}

/// A bug in the interpreter ends its step, not the node.
fn stepped(
    graph: &Graph,
    state: State,
    trigger: Trigger,
    now: jiff::Timestamp,
) -> Result<Step, Halt> {
    catch_unwind(AssertUnwindSafe(|| {
        engine::step(graph, state, trigger, now)
    }))
    .unwrap_or_else(|_| Err(failure::panicked().into()))
}

impl Runtime {
    /// A leased instance with its model, and the page that it was leased for.
    pub(super) async fn loaded(
        &self,
        leased: &instance::Leased,
        page: PageId,
    ) -> Result<Member, Error> {
        let definition = self.graphs.by_id(&self.store, leased.definition).await?;
        let state = apart::understood(leased.id, &leased.state)?;
        let mut member = Member::load(leased, definition, leased.tasks(), state);
        if page != PageId::FIRST {
            match leased.page() {
                Ok(Some(text)) => {
                    member.put_page(page, text)?;
                    member.note_pages();
                }
                Ok(None) => {}
                Err(instance::NotSeen) => member.read_pages(self, Some(page)).await?,
            }
        }
        Ok(member)
    }
}

/// Frames are counted from 1 within an instance; none comes near the sign.
pub(super) fn number(frame: FrameId) -> i64 {
    i64::try_from(frame.0).unwrap_or(i64::MAX)
}

pub(super) fn frame(number: i64) -> FrameId {
    FrameId(u64::try_from(number).unwrap_or(u64::MAX))
}
