//! What an instance is doing, for people: read only, no lease taken.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::{Error, whole_state};
use crate::bpe::engine::{JobKind, State, SubscriptionKind};
use crate::store::Store;
use crate::store::bpe::{control, history};

/// An instance that runs or has run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    pub id: Uuid,
    pub process: String,
    pub business_key: Option<String>,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    /// How it ended; absent while it runs.
    pub outcome: Option<String>,
    pub paused: bool,
    pub waits: Vec<Wait>,
    pub variables: Vec<Value>,
    pub history: Vec<Event>,
    pub controls: Vec<Done>,
}

/// Something that it waits for.
#[derive(Clone, Debug, Serialize)]
pub struct Wait {
    pub activity: String,
    /// `message`, `signal`, `condition`, `timer`, `job`, `user-task`.
    pub kind: &'static str,
    /// Name of the message or signal, or why a job failed.
    pub detail: String,
    pub due: Option<Timestamp>,
    pub incident: bool,
}

/// A variable of the instance.
#[derive(Clone, Debug, Serialize)]
pub struct Value {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub value: serde_json::Value,
}

#[derive(Clone, Debug, Serialize)]
pub struct Event {
    pub at: Timestamp,
    pub event: String,
    pub activity: String,
}

/// Something that was done by hand.
#[derive(Clone, Debug, Serialize)]
pub struct Done {
    pub asked: Timestamp,
    pub actor: String,
    pub action: serde_json::Value,
    /// Absent while nobody has dealt with it.
    pub outcome: Option<String>,
}

/// Looks at an instance; nothing when there never was one.
///
/// # Errors
/// When the database cannot be read, or the stored state not be understood.
pub async fn look(store: &Store, id: Uuid) -> Result<Option<Look>, Error> {
    let (row, events, controls) = store
        .read(async |conn| {
            Ok::<_, crate::store::Error>((
                history::by_id(conn, id).await?,
                history::events(conn, id).await?,
                control::of_instance(conn, id).await?,
            ))
        })
        .await?;
    let Some(row) = row else { return Ok(None) };
    let state = whole_state(store, id).await?;
    let events = events.into_iter().map(|event| Event {
        at: event.at.to_jiff(),
        event: event.event,
        activity: event.activity,
    });
    let controls = controls.into_iter().map(|row| Done {
        asked: row.asked.to_jiff(),
        actor: row.actor,
        action: row.action,
        outcome: row.outcome,
    });
    Ok(Some(Look {
        id,
        process: row.process,
        business_key: row.business_key,
        started: row.started.to_jiff(),
        ended: row.ended.to_jiff(),
        outcome: row.outcome,
        paused: state.as_ref().is_some_and(|state| state.suspended),
        waits: state.as_ref().map(waits).unwrap_or_default(),
        variables: state.as_ref().map(variables).unwrap_or_default(),
        history: events.collect(),
        controls: controls.collect(),
    }))
}

fn waits(state: &State) -> Vec<Wait> {
    let subscriptions = state.subscriptions().map(|row| Wait {
        activity: row.activity.clone(),
        kind: match row.kind {
            SubscriptionKind::Message => "message",
            SubscriptionKind::Signal => "signal",
            SubscriptionKind::Conditional => "condition",
        },
        detail: row.name.clone(),
        due: None,
        incident: false,
    });
    let jobs = state.jobs().map(|row| Wait {
        activity: row.activity.clone(),
        kind: if row.kind == JobKind::Timer {
            "timer"
        } else {
            "job"
        },
        detail: row.incident.clone().unwrap_or_default(),
        due: Some(row.due),
        incident: row.incident.is_some(),
    });
    let tasks = state.tasks().map(|row| Wait {
        activity: row.activity.clone(),
        kind: "user-task",
        detail: row.name.clone().unwrap_or_default(),
        due: row.due,
        incident: false,
    });
    subscriptions.chain(jobs).chain(tasks).collect()
}

fn variables(state: &State) -> Vec<Value> {
    let all = state.local(State::ROOT).into_iter();
    all.map(|(name, value)| Value {
        name,
        kind: value.type_name(),
        value: value.to_json(),
    })
    .collect()
}
