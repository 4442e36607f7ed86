//! Timers of start events. They belong to the newest model of their process (`spec/bpmn.md`
//! S-TIM-5): deploying a newer one replaces them.

use tokio::sync::Notify;
use uuid::Uuid;

use super::graphs::{self, Definition};
use super::loops::Work;
use super::segment::Consumed;
use super::{Advance, Begin, Error, Runtime};
use crate::bpe::engine::{Schedule, Start, start_schedule};
use crate::bpe::model::{Event, Graph};
use crate::kernel::Clock;
use crate::store;
use crate::store::AsyncPgConnection;
use crate::store::bpe::definition::{self, Model, StartTimer};
use crate::store::bpe::flush::Fired;

/// A model that cannot be deployed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("{0}")]
    Model(String),
}

/// Stores a model and, if it is new, the timers that start it. Call it in a transaction.
///
/// # Errors
/// When the model does not parse, or a start timer is no time.
pub async fn deploy(
    conn: &mut AsyncPgConnection,
    model: Model<'_>,
    deployment: i64,
    clock: &Clock,
) -> Result<Uuid, DeployError> {
    let deployed = definition::deploy(conn, model, deployment).await?;
    let replaced = definition::drop_timers_of_others(conn, model.key, deployed.id).await?;
    if !deployed.created && replaced == 0 {
        return Ok(deployed.id);
    }
    let graph = graphs::parsed(model.source, model.key).map_err(DeployError::Model)?;
    for (activity, schedule) in schedules(&graph, clock).map_err(DeployError::Model)? {
        let due = schedule.due;
        let schedule = text(&schedule);
        definition::add_timer(conn, deployed.id, &activity, (due, &schedule)).await?;
    }
    Ok(deployed.id)
}

fn schedules(graph: &Graph, clock: &Clock) -> Result<Vec<(String, Schedule)>, String> {
    let mut all = Vec::new();
    for (node, event) in graph.starts(Graph::ROOT) {
        if let Event::Timer(timer) = event {
            let id = graph.node(node).id.clone();
            let schedule =
                start_schedule(timer, clock.now()).map_err(|error| format!("{id}: {error}"))?;
            all.push((id, schedule));
        }
    }
    Ok(all)
}

fn text(schedule: &Schedule) -> String {
    // A schedule is two times and a text: it always serialises.
    serde_json::to_string(schedule).unwrap_or_default()
}

/// Starts what is due.
#[derive(Clone)]
pub struct StartTimers(pub Runtime);

impl Work for StartTimers {
    type Item = StartTimer;

    fn name(&self) -> &'static str {
        "start timers"
    }

    fn bell(&self) -> &Notify {
        &self.0.bells.timers
    }

    async fn take(&self, most: i64) -> Result<Vec<StartTimer>, Error> {
        Ok(self
            .0
            .store
            .read(async |conn| definition::due_timers(conn, most).await)
            .await?)
    }

    async fn next_due(&self) -> Result<Option<f64>, Error> {
        Ok(self
            .0
            .store
            .read(async |conn| definition::next_timer(conn).await)
            .await?)
    }

    /// Nothing to keep: the row is taken in the statement that stores the instance.
    async fn extend(&self, _: &StartTimer) -> Result<(), Error> {
        Ok(())
    }

    async fn run(&self, timer: StartTimer) -> Result<(), Error> {
        let activity = timer.activity.clone();
        if let Advance::Failed(failure) = self.0.fire(timer).await? {
            tracing::error!(
                activity,
                "a start timer could not start its process: {failure}"
            );
        }
        self.0.bells.timers.notify_one();
        Ok(())
    }
}

impl Runtime {
    /// Starts the process of a timer and moves the timer on, both or neither. A start that fails
    /// costs this occurrence.
    pub async fn fire(&self, timer: StartTimer) -> Result<Advance, Error> {
        let definition = self.graphs.by_id(&self.store, timer.definition).await?;
        let schedule: Option<Schedule> = serde_json::from_str(&timer.schedule).ok();
        let next = schedule.and_then(|schedule| schedule.next(self.clock.now()));
        let fired = Fired {
            timer: timer.id,
            due: timer.due.to_jiff(),
            next: next.map(|schedule| (schedule.due, text(&schedule))),
        };
        let begin = self.occurrence(definition, &timer);
        let consumed = Consumed {
            fired: Some(fired.clone()),
            ..Consumed::default()
        };
        let advance = self.begin_by(begin, consumed).await?;
        if let Advance::Failed(_) = &advance {
            self.store
                .read(async |conn| store::bpe::flush::fire(conn, &fired).await)
                .await?;
        }
        Ok(advance)
    }

    fn occurrence(&self, definition: Definition, timer: &StartTimer) -> Begin {
        let at = definition.graph.find(&timer.activity);
        Begin {
            instance: Uuid::now_v7(),
            definition,
            start: Start {
                at,
                ..Start::default()
            },
            strict_errors: self.settings.strict_errors,
        }
    }
}
