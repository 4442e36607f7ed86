//! One trigger to quiescence: engine steps and plugin calls in turn, nothing stored yet.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::gather::Gathered;
use super::graphs::{ANSWER_TASKS, Definition};
use super::tasks::Held;
use super::{Runtime, failure};
use crate::bpe::engine::{
    self, Answer, Ask, Call, CallKind, End, FrameId, Next, Outcome, Request, Setting, State, Step,
    Trigger,
};
use crate::bpe::model::{Variable, Variables};
use crate::bpe::plugin::{Activity, Message, Performance, Performed};
use crate::r4::json;
use crate::store::bpe::flush::OutboxRow;

/// Name of the process variable whose value also finds the instance (spec/bpe.md §6.3).
const ALTERNATIVE_KEY: &str = "alternativeBusinessKey";

/// The work on one instance between two commits.
pub(super) struct Segment {
    pub runtime: Runtime,
    pub definition: Definition,
    pub instance: Uuid,
    pub business_key: String,
    pub alternative_key: Option<String>,
    pub tasks: Held,
    pub gathered: Gathered,
    pub outbox: Vec<OutboxRow>,
}

/// How a segment left its instance.
pub(super) enum Left {
    Waiting(Box<State>),
    Ended { outcome: String },
}

impl Segment {
    /// Runs until every token waits or the instance is over.
    ///
    /// # Errors
    /// The failure of the step; nothing that was gathered may be stored then.
    pub(super) async fn run(
        &mut self,
        state: State,
        trigger: Trigger,
    ) -> Result<Left, engine::Failure> {
        let mut step = self.step(state, trigger)?;
        loop {
            self.gathered.absorb(step.changes);
            match step.next {
                Next::Wait => return Ok(Left::Waiting(Box::new(step.state))),
                Next::End(end) => return Ok(Left::Ended { outcome: self.end(&end) }),
                Next::Request(request) => {
                    let answer = self.answer(&step.state, &request).await;
                    let trigger = Trigger::Answer { request: request.id, answer };
                    step = self.step(step.state, trigger)?;
                }
            }
        }
    }

    /// A bug in the interpreter ends this step, not the node.
    fn step(&self, state: State, trigger: Trigger) -> Result<Step, engine::Failure> {
        let now = self.runtime.clock.now();
        let graph = &self.definition.graph;
        catch_unwind(AssertUnwindSafe(|| engine::step(graph, state, trigger, now)))
            .unwrap_or_else(|_| Err(failure::panicked()))
    }

    /// Answers what is still open and names the end.
    fn end(&mut self, end: &End) -> String {
        match end {
            End::Completed { .. } => {
                self.tasks.complete_all();
                "completed".to_owned()
            }
            End::Canceled { reason, .. } => {
                self.tasks.fail_all(reason);
                format!("canceled: {reason}")
            }
        }
    }

    async fn answer(&mut self, state: &State, request: &Request) -> Answer {
        match &request.ask {
            Ask::Call(call) if call.class == ANSWER_TASKS => {
                self.tasks.complete_scope(state.parent(request.frame));
                Answer::done(Vec::new())
            }
            Ask::Call(call) => {
                let activity = self.activity(state, request.frame, Sending::by(request, call));
                let performance = self.runtime.host.perform(activity.clone()).await;
                self.performed(&activity, performance)
            }
            Ask::Signal { name, variables, .. } => {
                self.outbox.push(self.signal(name, variables));
                Answer::done(Vec::new())
            }
            // Nobody called this instance. As DSF does it: an error that nobody catches ends its
            // path, and the Tasks are complete unless code has failed them (spec/bpe.md §8.5).
            Ask::Escalate { .. } | Ask::Error { .. } => Answer::done(Vec::new()),
            Ask::Start(child) => Answer {
                outcome: Outcome::Failed {
                    kind: "UnsupportedElement".to_owned(),
                    message: format!(
                        "process '{}' cannot be called: call activities do not run yet",
                        child.key
                    ),
                },
                ..Answer::done(Vec::new())
            },
            Ask::Cancel => Answer::done(Vec::new()),
        }
    }

    /// What code is told about the place where it runs.
    pub(super) fn activity(
        &self,
        state: &State,
        frame: FrameId,
        sending: Sending,
    ) -> Activity {
        let Sending { node, kind, class, fields } = sending;
        Activity {
            process: self.definition.process.clone(),
            definition: self.definition.id,
            instance: self.instance,
            business_key: self.business_key.clone(),
            effect: effect(self.instance, frame, &kind),
            node,
            frame,
            kind,
            class,
            fields,
            visible: state.visible(frame),
            local: state.local(frame),
            tasks: self.tasks.seen_from(state.parent(frame)),
        }
    }

    /// Takes in what code did and turns its outcome into the engine's.
    fn performed(&mut self, activity: &Activity, performance: Performance) -> Answer {
        let mut settings = performance.settings;
        self.note(&settings);
        self.tasks.update(performance.tasks);
        let (outcome, delete) = match performance.outcome {
            Performed::Done => (Outcome::Done, None),
            Performed::Error { code, message } => (Outcome::BpmnError { code, message }, None),
            Performed::Send(message) => {
                self.outbox.push(self.message(activity, &message));
                (Outcome::Wait, None)
            }
            Performed::Failed { kind, message } => {
                let verdict = failure::judge(self, activity, &kind, &message);
                settings.extend(verdict.settings);
                (Outcome::Done, verdict.delete)
            }
        };
        Answer { settings, task: None, delete, outcome }
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

    fn message(&self, activity: &Activity, message: &Message) -> OutboxRow {
        OutboxRow {
            id: Uuid::now_v7(),
            kind: "message",
            frame: i64::try_from(activity.frame.0).ok(),
            task: None,
            document: text(&message.task),
            address: Some(message.address.clone()),
            call: serde_json::to_string(&Sending::of(activity)).ok(),
            patience_seconds: self.runtime.settings.send_deadline.as_secs_f64(),
        }
    }

    fn signal(&self, name: &str, variables: &Variables) -> OutboxRow {
        OutboxRow {
            id: Uuid::now_v7(),
            kind: "signal",
            frame: None,
            task: None,
            document: serde_json::json!({ "name": name, "variables": variables }).to_string(),
            address: None,
            call: None,
            patience_seconds: self.runtime.settings.answer_deadline.as_secs_f64(),
        }
    }
}

/// The call that waits for the outcome of its message, as the outbox keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sending {
    pub node: String,
    pub kind: CallKind,
    pub class: String,
    pub fields: Variables,
}

impl Sending {
    fn by(request: &Request, call: &Call) -> Self {
        Self {
            node: request.activity.clone(),
            kind: call.kind.clone(),
            class: call.class.clone(),
            fields: call.fields.clone(),
        }
    }

    fn of(activity: &Activity) -> Self {
        Self {
            node: activity.node.clone(),
            kind: activity.kind.clone(),
            class: activity.class.clone(),
            fields: activity.fields.clone(),
        }
    }
}

/// A Task as text for the database.
pub(super) fn text(task: &crate::r4::Resource) -> String {
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
