//! What people do to running instances by hand: the library behind the command line and the screens.
//!
//! A wish is a row first. A node that serves the role carries it out, since only that has the code
//! of the plugins; the step and the end of the wish are one transaction. So nothing is done twice,
//! nothing is done that is not written down, and whoever asked need not stay.

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use uuid::Uuid;

use super::loops::Work;
use super::segment::{Segment, Stop};
use super::{Advance, Error, LEASE, Runtime};
use crate::bpe::engine::{self, PageId, Setting, State, Trigger, WaitId};
use crate::bpe::model::Variable;
use crate::store::Store;
use crate::store::bpe::{control, instance};

/// How soon to look again at an instance that somebody works on, in seconds.
const BUSY: f64 = 0.1;

/// Something to do to an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
pub enum Action {
    /// Nothing moves it any more until it is resumed; what becomes due waits.
    Pause,
    Resume,
    /// Ends it before its time. Its Tasks fail with the reason.
    Cancel {
        reason: String,
    },
    /// The failed jobs of an activity, or all of them, are tried once more.
    Retry {
        activity: Option<String>,
    },
    /// The failed jobs are tried once more, and the code of the activity that failed is left out.
    Skip {
        activity: Option<String>,
    },
    /// Writes variables of the instance, or removes them.
    Set {
        variables: Vec<Setting>,
    },
}

impl Action {
    /// A variable to write, given as JSON, or to remove.
    #[must_use]
    pub fn setting(name: &str, value: Option<&serde_json::Value>) -> Setting {
        Setting {
            name: name.to_owned(),
            value: value.map(variable),
            local: false,
        }
    }
}

/// Whole numbers are longs, as in scenarios.
fn variable(value: &serde_json::Value) -> Variable {
    use serde_json::Value;
    match value {
        Value::Null => Variable::Null,
        Value::Bool(value) => Variable::Boolean(*value),
        Value::String(text) => Variable::String(text.clone()),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Variable::Long(whole),
            None => Variable::Double(number.as_f64().unwrap_or_default()),
        },
        Value::Array(_) | Value::Object(_) => Variable::Json(value.clone()),
    }
}

/// Asks for something; whoever serves the role does it. Answers the id of the wish.
///
/// # Errors
/// When the database does not take it.
pub async fn ask(
    store: &Store,
    actor: &str,
    instance: Uuid,
    action: &Action,
) -> Result<Uuid, crate::store::Error> {
    // An action is plain text and numbers: it always serialises.
    let action = serde_json::to_value(action).unwrap_or_default();
    store
        .read(async |conn| control::ask(conn, actor, instance, &action).await)
        .await
}

/// Carries out what people ask for.
#[derive(Clone)]
pub struct Controls(pub Runtime);

impl Work for Controls {
    type Item = control::Row;

    fn name(&self) -> &'static str {
        "control"
    }

    fn bell(&self) -> &Notify {
        &self.0.bells.control
    }

    async fn take(&self, most: i64) -> Result<Vec<control::Row>, Error> {
        Ok(self
            .0
            .store
            .read(async |conn| control::take(conn, most, LEASE.as_secs_f64()).await)
            .await?)
    }

    async fn next_due(&self) -> Result<Option<f64>, Error> {
        Ok(self
            .0
            .store
            .read(async |conn| control::next_due(conn).await)
            .await?)
    }

    async fn extend(&self, row: &control::Row) -> Result<(), Error> {
        let seconds = LEASE.as_secs_f64();
        Ok(self
            .0
            .store
            .read(async |conn| control::postpone(conn, row.id, seconds).await)
            .await?)
    }

    async fn run(&self, row: control::Row) -> Result<(), Error> {
        self.0.control(&row).await
    }
}

impl Runtime {
    /// Carries out one wish.
    pub async fn control(&self, row: &control::Row) -> Result<(), Error> {
        let action: Action = match serde_json::from_value(row.action.clone()) {
            Ok(action) => action,
            Err(error) => {
                return self
                    .refuse(row.id, &format!("not understood: {error}"))
                    .await;
            }
        };
        tracing::info!(
            instance = %row.instance, actor = row.actor, action = %row.action, "by hand"
        );
        let advance = self
            .with_instance(
                row.instance,
                PageId::FIRST,
                async |segment: &mut Segment| {
                    segment.consumed.control = Some(row.id);
                    act(segment, &action).await
                },
            )
            .await?;
        match advance {
            Advance::Done => Ok(()),
            Advance::Busy => self.later(row).await,
            Advance::Stale => self.missing(row).await,
            Advance::Failed(failure) => self.refuse(row.id, &failure.to_string()).await,
        }
    }

    /// The instance is not there, or it went on without us.
    async fn missing(&self, row: &control::Row) -> Result<(), Error> {
        let runs = self
            .store
            .read(async |conn| instance::runs(conn, row.instance).await)
            .await?;
        match runs {
            true => self.later(row).await,
            false => {
                self.refuse(row.id, "the instance does not run (any more)")
                    .await
            }
        }
    }

    async fn later(&self, row: &control::Row) -> Result<(), Error> {
        Ok(self
            .store
            .read(async |conn| control::postpone(conn, row.id, BUSY).await)
            .await?)
    }

    async fn refuse(&self, id: Uuid, why: &str) -> Result<(), Error> {
        let outcome = format!("failed: {why}");
        self.store
            .read(async |conn| control::settle(conn, id, &outcome).await)
            .await?;
        Ok(())
    }
}

async fn act(segment: &mut Segment, action: &Action) -> Result<(), Stop> {
    let trigger = match action {
        Action::Pause => Trigger::Suspend(true),
        Action::Resume => Trigger::Suspend(false),
        Action::Cancel { reason } => Trigger::Cancel {
            reason: reason.clone(),
        },
        Action::Set { variables } => {
            segment.members[0].note(variables);
            Trigger::Set {
                frame: None,
                settings: variables.clone(),
            }
        }
        Action::Retry { activity } => return retry(segment, activity.as_deref()).await,
        Action::Skip { activity } => return skip(segment, activity.as_deref()).await,
    };
    segment.drive(0, trigger).await
}

/// A job that nobody tries any more.
struct Incident {
    job: WaitId,
    /// Where its step failed.
    failed: String,
}

async fn incidents(segment: &mut Segment, activity: Option<&str>) -> Result<Vec<Incident>, Stop> {
    segment.all_pages(0).await?;
    let member = &segment.members[0];
    let jobs = member.state.iter().flat_map(State::jobs);
    let found: Vec<_> = jobs
        .filter_map(|job| {
            let text = job.incident.as_deref()?;
            let failed = text.split(": ").next().unwrap_or_default();
            let known = member.definition.graph.find(failed).is_some();
            let failed = if known { failed } else { &job.activity };
            let wanted = activity.is_none_or(|it| it == failed || it == job.activity);
            wanted.then(|| Incident {
                job: job.id,
                failed: failed.to_owned(),
            })
        })
        .collect();
    if found.is_empty() {
        let place = activity.map(|it| format!(" at '{it}'")).unwrap_or_default();
        return Err(Stop::Failed(engine::Failure {
            activity: member.definition.process.key.clone(),
            kind: "control".to_owned(),
            message: format!("the instance has no incident{place}"),
        }));
    }
    Ok(found)
}

async fn retry(segment: &mut Segment, activity: Option<&str>) -> Result<(), Stop> {
    for Incident { job, .. } in incidents(segment, activity).await? {
        segment
            .drive(0, Trigger::SetRetries { job, retries: 1 })
            .await?;
    }
    Ok(())
}

async fn skip(segment: &mut Segment, activity: Option<&str>) -> Result<(), Stop> {
    for Incident { job, failed } in incidents(segment, activity).await? {
        segment.skips = Some(failed);
        segment.drive(0, Trigger::Job { job }).await?;
        if segment.members[0].end.is_some() {
            return Ok(());
        }
    }
    Ok(())
}
