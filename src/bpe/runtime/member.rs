//! One instance that takes part in a segment, and what the segment has gathered of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::gather::Gathered;
use super::graphs::Definition;
use super::part::Known;
use super::tasks::Held;
use super::{Error, Runtime, Settings, failure};
use crate::bpe::engine::{
    Answer, Call, CallKind, End, FrameId, Outcome, Request, Setting, State, WaitId,
};
use crate::bpe::model::{Variable, Variables};
use crate::bpe::plugin::package::OnFailure;
use crate::bpe::plugin::{Activity, Message, Performance, Performed, user_task_id};
use crate::r4::{Resource, json};
use crate::store::bpe::flush::{self, Caller, Flush, OutboxRow, Own};
use crate::store::bpe::inbox;
use crate::store::bpe::instance::Leased;
use crate::store::bpe::page;
use crate::store::bpe::user_task;

/// Name of the process variable whose value also finds the instance (spec/bpe.md §6.3).
const ALTERNATIVE_KEY: &str = "alternativeBusinessKey";

pub(super) struct Member {
    pub id: Uuid,
    pub definition: Definition,
    pub business_key: Option<String>,
    pub alternative_key: Option<String>,
    pub caller: Option<Caller>,
    /// What the database must say of it for anything to be stored.
    pub own: Own,
    /// Absent while a step works on it, and when it has ended.
    pub state: Option<State>,
    pub end: Option<End>,
    /// The request that is being served.
    pub pending: Option<WaitId>,
    /// Something happened to it: it is stored.
    pub moved: bool,
    pub tasks: Held,
    pub gathered: Gathered,
    pub outbox: Vec<OutboxRow>,
    /// The listeners that make the forms of new user tasks.
    forms: BTreeMap<WaitId, String>,
    /// Whether it had user tasks before the segment.
    pub had_tasks: bool,
    pub known: Known,
}

impl Member {
    /// An instance that begins with the segment.
    pub(super) fn new(
        id: Uuid,
        definition: Definition,
        business_key: Option<String>,
        caller: Option<Caller>,
    ) -> Self {
        let own = Own::Start {
            definition: definition.id,
            business_key: business_key.clone(),
            caller,
        };
        Self {
            id,
            definition,
            business_key,
            alternative_key: None,
            caller,
            own,
            state: Some(State::new(crate::bpe::engine::InstanceId(id))),
            end: None,
            pending: None,
            moved: false,
            tasks: Held::default(),
            gathered: Gathered::default(),
            outbox: Vec::new(),
            forms: BTreeMap::new(),
            had_tasks: false,
            known: Known::default(),
        }
    }

    /// An instance as the database has it.
    pub(super) fn load(
        leased: &Leased,
        definition: Definition,
        tasks: Option<Vec<inbox::Held>>,
        mut state: State,
    ) -> Self {
        let caller = leased.caller.zip(leased.caller_frame);
        let mut member = Self::new(leased.id, definition, leased.business_key.clone(), None);
        member.caller = caller.map(|(instance, frame)| Caller { instance, frame });
        member.alternative_key.clone_from(&leased.alternative_key);
        member.own = Own::Continue {
            rev: leased.rev,
            epoch: leased.lease_epoch,
        };
        member.had_tasks = state.tasks().next().is_some();
        member.known = Known::first(&mut state);
        member.known.lacks_tasks = tasks.is_none();
        member.state = Some(state);
        member.tasks = Held::load(tasks.unwrap_or_default());
        member
    }

    /// The same instance once everything is stored, with its lease kept.
    pub(super) fn stored(self) -> Self {
        let (rev, epoch) = match self.own {
            Own::Start { .. } => (1, 1),
            Own::Continue { rev, epoch } => (rev + 1, epoch),
        };
        let state = self.state.as_ref();
        let had_tasks = state.is_some_and(|state| state.tasks().next().is_some());
        let known = match state {
            Some(state) => self.known.stored(self.id, state),
            None => Known::default(),
        };
        Self {
            own: Own::Continue { rev, epoch },
            had_tasks,
            known,
            tasks: self.tasks.stored(),
            pending: None,
            moved: false,
            gathered: Gathered::default(),
            outbox: Vec::new(),
            forms: BTreeMap::new(),
            ..self
        }
    }

    /// The job that is due, the oldest if there are several.
    pub(super) fn due(&self, now: jiff::Timestamp) -> Option<WaitId> {
        let state = self.state.as_ref().filter(|state| !state.suspended)?;
        let due = state.jobs().filter(|job| job.retries > 0 && job.due <= now);
        due.min_by_key(|job| (job.due, job.id)).map(|job| job.id)
    }

    /// What code is told about the place where it runs.
    pub(super) fn activity(&self, frame: FrameId, sending: Sending) -> Activity {
        let nowhere = State::new(crate::bpe::engine::InstanceId(self.id));
        let state = self.state.as_ref().unwrap_or(&nowhere);
        let Sending {
            node,
            kind,
            class,
            fields,
            flow,
            canceled,
        } = sending;
        let form_key = match kind {
            CallKind::TaskListener { task, .. } => {
                let mut tasks = state.tasks();
                let found = tasks.find(|one| one.id == task);
                found.and_then(|task| task.form_key.clone())
            }
            _ => None,
        };
        Activity {
            form_key,
            process: self.definition.process.clone(),
            definition: self.definition.id,
            instance: self.id,
            business_key: self.business_key.clone().unwrap_or_default(),
            effect: effect(self.id, frame, &kind),
            node,
            frame,
            kind,
            class,
            fields,
            flow,
            canceled,
            visible: state.visible(frame),
            local: state.local(frame),
            tasks: self.tasks.seen_from(state.parent(frame)),
        }
    }

    /// Takes in what code did and turns its outcome into the engine's.
    pub(super) fn performed(
        &mut self,
        runtime: &Runtime,
        activity: &Activity,
        performance: Performance,
    ) -> Answer {
        let mut settings = performance.settings;
        self.note(&settings);
        self.update_tasks(performance.tasks, performance.shown);
        let mut delete = None;
        let outcome = match performance.outcome {
            Performed::Done => Outcome::Done,
            Performed::Wait => Outcome::Wait,
            Performed::Error { code, message } => Outcome::BpmnError { code, message },
            Performed::Escalation { code } => Outcome::Escalation { code },
            Performed::Delete { reason } => {
                delete = Some(reason);
                Outcome::Done
            }
            Performed::Send(message) => {
                let row = message_row(activity, &message, &runtime.settings);
                self.outbox.push(row);
                Outcome::Wait
            }
            // The process wants failed steps kept for an administrator: the step fails as a whole,
            // and the job that it belongs to is retried and then left as an incident.
            Performed::Failed { kind, message }
                if runtime.host.on_failure(&activity.process) == OnFailure::Incident =>
            {
                Outcome::Failed { kind, message }
            }
            Performed::Failed { kind, message } => {
                let verdict = failure::judge(self, activity, &kind, &message);
                settings.extend(verdict.settings);
                delete = verdict.delete;
                Outcome::Done
            }
        };
        Answer {
            settings,
            task: performance.task.map(|task| *task),
            delete,
            outcome,
        }
    }

    /// Takes in what code has changed of its Tasks, and shows the first of them if it shall be seen.
    pub(super) fn update_tasks(&mut self, tasks: Vec<Resource>, shown: bool) {
        self.tasks.update(tasks);
        if shown {
            self.outbox.extend(self.tasks.show());
        }
    }

    /// The alternative key stands in a column of its own, to be found by.
    pub(super) fn note(&mut self, settings: &[Setting]) {
        for setting in settings {
            if setting.name == ALTERNATIVE_KEY && !setting.local {
                let text = setting.value.as_ref().and_then(Variable::as_str);
                self.alternative_key = text.map(str::to_owned);
            }
        }
    }

    /// Completes the Tasks that were received in the scope of an end event, and with the last of the
    /// process the one that started it: the `end` listeners that follow see them so.
    pub(super) fn at_end_event(&mut self, frame: FrameId, canceled: bool) {
        let Some(state) = &self.state else {
            return;
        };
        self.tasks.complete_scope(state.parent(frame));
        if !canceled && state.is_last(frame) {
            self.tasks.complete_start();
        }
    }

    /// Keeps how the instance ended and answers its Tasks.
    pub(super) fn end(&mut self, end: End) {
        match &end {
            End::Completed { .. } => self.tasks.complete_all(),
            End::Canceled { reason, .. } => self.tasks.fail_all(reason),
        }
        self.end = Some(end);
    }

    /// A signal for everybody outside of the step.
    pub(super) fn signal(&mut self, document: String, settings: &Settings) {
        self.outbox.push(OutboxRow {
            id: Uuid::now_v7(),
            kind: "signal",
            frame: None,
            task: None,
            document,
            address: None,
            call: None,
            patience_seconds: settings.answer_deadline.as_secs_f64(),
        });
    }

    /// Keeps the listener that stands for the usual one of a new user task.
    pub(super) fn note_form(&mut self, runtime: &Runtime, sending: &Sending) {
        let CallKind::TaskListener { event, task } = &sending.kind else {
            return;
        };
        let process = &self.definition.process;
        if event == "create" && runtime.host.form_code(process, &sending.class).is_some() {
            let text = serde_json::to_string(sending).ok();
            self.forms.extend(text.map(|text| (*task, text)));
        }
    }

    /// What the segment changes of its user tasks.
    pub(super) fn user_tasks(&self, settings: &Settings) -> user_task::Changes {
        let (put, gone) = self.gathered.tasks();
        let waits = self.end.is_none();
        let new = put.filter(|_| waits).map(|task| user_task::New {
            id: user_task_id(self.id, task.id),
            task: super::gather::key(task.id),
            frame: super::segment::number(task.frame),
            business_key: self.business_key.clone().unwrap_or_default(),
            form: task.form_key.clone().unwrap_or_default(),
            listener: self.forms.get(&task.id).cloned(),
            patience_seconds: settings.answer_deadline.as_secs_f64(),
        });
        user_task::Changes {
            new: new.collect(),
            gone: if self.had_tasks { gone } else { Vec::new() },
            all_gone: self.had_tasks && !waits,
        }
    }

    /// Everything that is to be stored of it.
    pub(super) fn flush(&self, settings: &Settings) -> Result<Flush, Error> {
        let (put_subscriptions, delete_subscriptions) = self.gathered.subscriptions();
        let (put_jobs, delete_jobs) = self.gathered.jobs();
        let mut outbox = self.outbox.clone();
        outbox.extend(self.tasks.answers(settings.answer_deadline));
        let waits = self.end.is_none();
        let (left, blobs, pages) = match (&self.end, &self.state) {
            (None, Some(state)) => self.waiting(state)?,
            _ => (self.ended(), None, None),
        };
        Ok(Flush {
            instance: self.id,
            own: self.own.clone(),
            left,
            lease_seconds: 0.0,
            received: None,
            sent: None,
            // Nothing waits for an instance that has ended; its rows went with it.
            put_subscriptions: if waits { put_subscriptions } else { Vec::new() },
            delete_subscriptions,
            put_jobs: if waits { put_jobs } else { Vec::new() },
            delete_jobs,
            tasks: self.tasks.rows(),
            outbox,
            history: self.gathered.history(),
            blobs,
            pages,
        })
    }

    fn ended(&self) -> flush::Left {
        let outcome = match &self.end {
            Some(End::Canceled { reason, .. }) => format!("canceled: {reason}"),
            Some(End::Completed { .. }) | None => "completed".to_owned(),
        };
        flush::Left::Ended { outcome }
    }

    fn waiting(&self, state: &State) -> Result<Waiting, Error> {
        let difference = self.known.difference(self.id, state)?;
        let left = flush::Left::Waiting {
            state: difference.state,
            alternative_key: self.alternative_key.clone(),
            suspended: state.suspended,
        };
        Ok((left, difference.blobs, difference.pages))
    }
}

/// A waiting instance as it is to be stored.
type Waiting = (flush::Left, Option<flush::Blobs>, Option<page::Pages>);

fn message_row(activity: &Activity, message: &Message, settings: &Settings) -> OutboxRow {
    OutboxRow {
        id: Uuid::now_v7(),
        kind: "message",
        frame: i64::try_from(activity.frame.0).ok(),
        task: None,
        document: text(&message.task),
        address: Some(message.address.clone()),
        call: serde_json::to_string(&Sending::of(activity)).ok(),
        patience_seconds: settings.send_deadline.as_secs_f64(),
    }
}

/// The call that waits for the outcome of its message, as the outbox keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sending {
    pub node: String,
    pub kind: CallKind,
    pub class: String,
    pub fields: Variables,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
    #[serde(default)]
    pub canceled: bool,
}

impl Sending {
    pub(super) fn by(request: &Request, call: &Call) -> Self {
        Self {
            node: request.activity.clone(),
            kind: call.kind.clone(),
            class: call.class.clone(),
            fields: call.fields.clone(),
            flow: call.flow.clone(),
            canceled: call.canceled,
        }
    }

    fn of(activity: &Activity) -> Self {
        Self {
            node: activity.node.clone(),
            kind: activity.kind.clone(),
            class: activity.class.clone(),
            fields: activity.fields.clone(),
            flow: activity.flow.clone(),
            canceled: activity.canceled,
        }
    }
}

/// A Task as text for the database.
pub(super) fn text(task: &Resource) -> String {
    String::from_utf8_lossy(&json::write(task, false)).into_owned()
}

/// Names one call of code for good: the same call repeated after a crash has the same name.
fn effect(instance: Uuid, frame: FrameId, kind: &CallKind) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(instance.as_bytes());
    hash.update(frame.0.to_be_bytes());
    hash.update(format!("{kind:?}").as_bytes());
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
