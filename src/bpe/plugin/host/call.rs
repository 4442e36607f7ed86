//! One call of plugin code: what it is told, and what it did.

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::wire;
use crate::bpe::engine::{CallKind, Setting};
use crate::bpe::plugin::runner::{self, Runner};
use crate::bpe::plugin::{Activity, Performance, Performed, user_task_id};
use crate::r4::Resource;

/// The function to call, and what it is given beside `api` and `variables`.
pub(super) struct Call<'a> {
    pub activity: &'a Activity,
    /// A member of the entry, or `call` when the entry is a function.
    pub member: &'a str,
    /// `sendTaskValues` and `target` of a message.
    pub message: Option<Value>,
    /// What `handleException` is told.
    pub exception: Option<Value>,
    /// The form of a user task, for the code that has a say in it.
    pub form: Option<Value>,
    /// What the form was made of.
    pub questionnaire: Option<Value>,
}

impl<'a> Call<'a> {
    /// A call that is told of nothing but its activity.
    pub(super) fn of(activity: &'a Activity, member: &'a str) -> Self {
        Self {
            activity,
            member,
            message: None,
            exception: None,
            form: None,
            questionnaire: None,
        }
    }

    /// The input of the prelude's `call`.
    pub(super) fn input(&self) -> String {
        let activity = self.activity;
        let fields = wire::named(&activity.fields);
        let values = matches!(activity.kind, CallKind::TaskListener { .. })
            .then(|| json!({ "formKey": activity.form_key, "userTaskId": user_task(activity) }));
        json!({
            "class": activity.class,
            "member": self.member,
            "mayThrowBoundary": may_throw_boundary(&activity.kind),
            "context": {
                "businessKey": activity.business_key,
                "activityId": activity.node,
                "activityInstanceId": format!("{}:{}", activity.node, activity.frame.0),
                "processDefinitionId": activity.definition,
            },
            "visible": wire::named(&activity.visible),
            "local": activity.local.keys().collect::<Vec<_>>(),
            "tasks": {
                "start": activity.tasks.start.as_ref().map(Resource::members),
                "current": members(&activity.tasks.current),
                "all": members(&activity.tasks.all),
            },
            "fields": fields,
            "values": values,
            "message": self.message,
            "exception": self.exception,
            "form": self.form,
            "questionnaire": self.questionnaire,
        })
        .to_string()
    }
}

/// The function of a module that is told of deployments.
pub(super) const LISTENER: &str = "onProcessesDeployed";

/// The input of that call, which belongs to no activity.
pub(super) fn deployment(keys: &[String]) -> String {
    json!({
        "class": null, "member": LISTENER, "processes": keys, "mayThrowBoundary": false,
        "context": {}, "visible": [], "local": [], "tasks": { "start": null, "current": [], "all": [] },
        "fields": [], "values": null, "message": null, "exception": null, "form": null,
        "questionnaire": null,
    })
    .to_string()
}

/// Why a call that belongs to no activity has failed.
pub(super) fn thrown(runner: &dyn Runner, answer: Result<String, runner::Error>) -> Option<String> {
    let text = match answer {
        Ok(text) => text,
        Err(error) => return Some(error.to_string()),
    };
    match serde_json::from_str::<Answer>(&text) {
        Ok(answer) => answer.error.map(|thrown| {
            let kind = thrown.kind.clone();
            format!("{kind}: {}", thrown.message(runner))
        }),
        Err(error) => Some(runner::Error::Rubbish(error.to_string()).to_string()),
    }
}

fn user_task(activity: &Activity) -> Option<Uuid> {
    match activity.kind {
        CallKind::TaskListener { task, .. } => Some(user_task_id(activity.instance, task)),
        _ => None,
    }
}

/// BPMN errors are for service and send tasks (docs/plugins.md §3).
fn may_throw_boundary(kind: &CallKind) -> bool {
    matches!(
        kind,
        CallKind::Service | CallKind::BusinessRule | CallKind::Send
    )
}

fn members(tasks: &[Resource]) -> Vec<Value> {
    tasks
        .iter()
        .map(|task| Value::Object(task.members().clone()))
        .collect()
}

/// What the prelude's `call` answers.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    value: Value,
    error: Option<Thrown>,
    settings: Vec<(String, Value, bool)>,
    tasks: Vec<Value>,
    #[serde(default)]
    shown: bool,
}

#[derive(Deserialize)]
struct Thrown {
    boundary: Option<String>,
    kind: String,
    message: String,
    #[serde(default)]
    stack: String,
}

impl Thrown {
    /// The message, and where in the plugin it comes from.
    fn message(&self, runner: &dyn Runner) -> String {
        match runner.place(&self.stack) {
            Some(place) => format!("{} ({place})", self.message),
            None => self.message.clone(),
        }
    }
}

/// A call that came to its end, with what the function returned.
pub(super) struct Returned {
    pub performance: Performance,
    pub value: Value,
}

impl Returned {
    /// The entry's `handleException` took the exception.
    pub(super) fn is_handled(&self) -> bool {
        self.value.get("handled").is_some()
    }
}

/// Reads the answer of the prelude.
pub(super) fn returned(
    activity: &Activity,
    runner: &dyn Runner,
    answer: Result<String, runner::Error>,
) -> Returned {
    let read = answer
        .and_then(|text| understood(activity, runner, &text).map_err(runner::Error::Rubbish))
        .map_err(|error| failed(error.kind(), &error.to_string()));
    read.unwrap_or_else(|performance| Returned {
        performance,
        value: Value::Null,
    })
}

fn understood(activity: &Activity, runner: &dyn Runner, text: &str) -> Result<Returned, String> {
    let answer: Answer = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut settings = Vec::with_capacity(answer.settings.len());
    for (name, value, local) in answer.settings {
        let value = match value {
            Value::Null => None,
            value => Some(wire::decode(&value).map_err(|error| error.to_string())?),
        };
        settings.push(Setting { name, value, local });
    }
    let outcome = answer
        .error
        .map_or(Performed::Done, |thrown| outcome(activity, runner, thrown));
    let tasks = answer
        .tasks
        .into_iter()
        .filter_map(Resource::from_value)
        .collect();
    Ok(Returned {
        performance: Performance {
            settings,
            tasks,
            shown: answer.shown,
            task: None,
            outcome,
        },
        value: answer.value,
    })
}

fn outcome(activity: &Activity, runner: &dyn Runner, thrown: Thrown) -> Performed {
    match thrown.boundary {
        Some(code) if may_throw_boundary(&activity.kind) => {
            let message = Some(thrown.message).filter(|text| !text.is_empty());
            Performed::Error { code, message }
        }
        _ => Performed::Failed {
            message: thrown.message(runner),
            kind: thrown.kind,
        },
    }
}

pub(super) fn failed(kind: &str, message: &str) -> Performance {
    let outcome = Performed::Failed {
        kind: kind.to_owned(),
        message: message.to_owned(),
    };
    Performance {
        outcome,
        ..Performance::nothing()
    }
}
