//! Steps about the forms of user tasks: code has its say, the answer is taken in.

use serde_json::json;
use uuid::Uuid;

use super::member::Sending;
use super::segment::{Segment, Stop, frame};
use super::{Advance, Error, Runtime, failure};
use crate::bpe::engine::{CallKind, Setting, Trigger, WaitId};
use crate::bpe::model::{Variable, Variables};
use crate::bpe::plugin::package::OnFailure;
use crate::bpe::plugin::{Activity, FormCode, FormMoment, Performed, RECEIVED_RESPONSE};
use crate::r4::{Coding, Resource, json as fhir_json};
use crate::store::bpe::user_task::{self, Entry, Taken, What};

/// What became of a form that code was shown.
#[derive(Clone, Debug)]
pub enum Composed {
    Form(Box<Resource>),
    /// There is none: the step ended otherwise.
    Not(Advance),
}

impl Runtime {
    /// The fields that the model gives the listener of a user task.
    #[must_use]
    pub fn form_fields(&self, entry: &Entry) -> Variables {
        listener(entry).map_or_else(Variables::new, |sending| sending.fields)
    }

    /// Lets the listener of a user task change the form before it is created.
    pub async fn compose(
        &self,
        entry: &Entry,
        questionnaire: Resource,
        form: Resource,
    ) -> Result<Composed, Error> {
        if !self.form_code(entry).await?.before {
            return Ok(Composed::Form(Box::new(form)));
        }
        let mut composed = None;
        let made = &mut composed;
        let advance = self
            .with_instance(
                entry.instance,
                wait(entry).page(),
                async |segment: &mut Segment| {
                    let before = FormMoment::Before(Box::new(questionnaire));
                    let form = show(segment, entry, before, form).await?;
                    if let Some(form) = form {
                        let document = text(&form);
                        segment.consumed.user_task = taken(entry, What::Composed { document });
                        *made = Some(form);
                    }
                    Ok(())
                },
            )
            .await?;
        Ok(match (advance, composed) {
            (Advance::Done, Some(form)) => Composed::Form(Box::new(form)),
            (advance, _) => Composed::Not(advance),
        })
    }

    /// The form is on the server.
    pub async fn opened(&self, entry: &Entry, form: Resource) -> Result<Advance, Error> {
        let Some(response) = form.id().and_then(|id| id.parse().ok()) else {
            return Ok(Advance::Stale);
        };
        let shown = self.form_code(entry).await?.after;
        let output = output(&self.form_fields(entry), response);
        if !shown && output.is_none() {
            return self.opened_unseen(entry, response).await;
        }
        self.with_instance(
            entry.instance,
            wait(entry).page(),
            async |segment: &mut Segment| {
                segment.members[0].moved = true;
                segment.consumed.user_task = taken(entry, What::Opened { response });
                if let Some(output) = output {
                    segment.all_tasks(0).await?;
                    let member = &mut segment.members[0];
                    let row = member.tasks.add_output(output);
                    member.outbox.extend(row);
                }
                if shown {
                    show(segment, entry, FormMoment::After, form).await?;
                }
                Ok(())
            },
        )
        .await
    }

    /// The same when the instance has no say in it.
    async fn opened_unseen(&self, entry: &Entry, response: Uuid) -> Result<Advance, Error> {
        let (id, epoch) = (entry.id, entry.lease_epoch);
        let what = What::Opened { response };
        let taken = Taken { id, epoch, what };
        let ours = self
            .store
            .read(async |conn| user_task::settle(conn, &taken).await)
            .await?;
        Ok(if ours { Advance::Done } else { Advance::Stale })
    }

    /// Somebody has answered: the activity ends, with the form as the received one.
    pub async fn completed(&self, entry: &Entry, form: Resource) -> Result<Advance, Error> {
        self.with_instance(
            entry.instance,
            wait(entry).page(),
            async |segment: &mut Segment| {
                segment.consumed.user_task = taken(entry, What::Completed);
                let form = serde_json::Value::Object(form.members().clone());
                let mut variables = Variables::new();
                variables.insert(
                    RECEIVED_RESPONSE.to_owned(),
                    Variable::Resource(Box::new(form)),
                );
                let trigger = Trigger::Complete {
                    task: wait(entry),
                    variables,
                    local: Variables::new(),
                };
                segment.drive(0, trigger).await
            },
        )
        .await
    }

    /// There can be no form. Where failed steps are kept, this one waits for somebody to mend it,
    /// and nothing happens here.
    pub async fn form_failed(
        &self,
        entry: &Entry,
        message: &str,
    ) -> Result<Option<Advance>, Error> {
        let mut kept = false;
        let keeps = &mut kept;
        let advance = self
            .with_instance(
                entry.instance,
                wait(entry).page(),
                async |segment: &mut Segment| {
                    let activity = activity(segment, entry).await?;
                    *keeps =
                        segment.runtime.host.on_failure(&activity.process) == OnFailure::Incident;
                    if *keeps {
                        return Ok(());
                    }
                    fail(segment, &activity, message).await
                },
            )
            .await?;
        Ok((!kept).then_some(advance))
    }

    async fn form_code(&self, entry: &Entry) -> Result<FormCode, Error> {
        let Some(sending) = listener(entry) else {
            return Ok(FormCode::default());
        };
        let definition = self
            .store
            .read(async |conn| {
                crate::store::bpe::instance::definition_of(conn, entry.instance).await
            })
            .await?;
        let Some(definition) = definition else {
            return Ok(FormCode::default());
        };
        let process = self.graphs.by_id(&self.store, definition).await?.process;
        let code = self.host.form_code(&process, &sending.class);
        Ok(code.unwrap_or_default())
    }
}

/// Shows a form to code and takes in what that changes; nothing when that ended the instance.
async fn show(
    segment: &mut Segment,
    entry: &Entry,
    moment: FormMoment,
    form: Resource,
) -> Result<Option<Resource>, Stop> {
    let activity = activity(segment, entry).await?;
    let host = segment.runtime.host.clone();
    let (performance, form) = host.form(activity.clone(), moment, form).await;
    let member = &mut segment.members[0];
    member.note(&performance.settings);
    member.update_tasks(performance.tasks, performance.shown);
    match performance.outcome {
        Performed::Failed { message, .. } => {
            fail(segment, &activity, &message).await?;
            Ok(None)
        }
        Performed::Delete { reason } => {
            segment.drive(0, Trigger::Cancel { reason }).await?;
            Ok(None)
        }
        _ => {
            set(segment, entry, performance.settings).await?;
            Ok(Some(form))
        }
    }
}

async fn set(segment: &mut Segment, entry: &Entry, settings: Vec<Setting>) -> Result<(), Stop> {
    let frame = Some(frame(entry.frame));
    segment.drive(0, Trigger::Set { frame, settings }).await
}

async fn fail(segment: &mut Segment, activity: &Activity, message: &str) -> Result<(), Stop> {
    let text = failure::step_text(activity, message);
    tracing::warn!(instance = %activity.instance, "{text}");
    segment.members[0].tasks.fail_all(&text);
    let reason = message.to_owned();
    segment.drive(0, Trigger::Cancel { reason }).await
}

/// The call of the listener, if the user task still waits.
async fn activity(segment: &mut Segment, entry: &Entry) -> Result<Activity, Stop> {
    let member = &segment.members[0];
    let state = member.state.as_ref();
    let task = state.and_then(|state| state.task(wait(entry)));
    let task = task.ok_or(Stop::Stale)?;
    let frame = task.frame;
    let sending = listener(entry).unwrap_or_else(|| Sending {
        node: task.activity.clone(),
        kind: CallKind::TaskListener {
            event: "create".to_owned(),
            task: task.id,
        },
        class: String::new(),
        fields: Variables::new(),
        flow: None,
        canceled: false,
    });
    segment.activity(0, frame, sending).await
}

fn listener(entry: &Entry) -> Option<Sending> {
    serde_json::from_str(entry.listener.as_deref()?).ok()
}

fn taken(entry: &Entry, what: What) -> Option<Taken> {
    let (id, epoch) = (entry.id, entry.lease_epoch);
    Some(Taken { id, epoch, what })
}

/// The output that refers to a form, where the model wants one (spec/bpe.md §4.2).
fn output(fields: &Variables, response: Uuid) -> Option<serde_json::Value> {
    let field = |name: &str| {
        let text = fields.get(name).and_then(Variable::as_str);
        text.filter(|text| !text.trim().is_empty())
    };
    let system = field("taskOutputSystem")?;
    let mut kind = Coding::new(system, field("taskOutputCode")?).to_element();
    kind["version"] = json!(field("taskOutputVersion")?);
    let reference = format!("QuestionnaireResponse/{response}");
    Some(json!({
        "type": { "coding": [kind] },
        "valueReference": { "reference": reference, "type": "QuestionnaireResponse" },
    }))
}

/// Numbers of waits are stored signed; one that is negative waits for nothing.
fn wait(entry: &Entry) -> WaitId {
    WaitId(u64::try_from(entry.task).unwrap_or_default())
}

fn text(form: &Resource) -> String {
    String::from_utf8_lossy(&fhir_json::write(form, false)).into_owned()
}
