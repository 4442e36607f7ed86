//! The same scenarios on the persistent runtime: every trigger loads its instances from
//! PostgreSQL and stores them again, and what is expected is compared with what is stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::stub::{Seen, Stubs};
use super::world::{Fault, StartTimer};
use crate::bpe::engine::{End, Event, FrameId, Schedule, Start, State, SubscriptionKind, Trigger};
use crate::bpe::model::Variables;
use crate::bpe::plugin::package::OnFailure;
use crate::bpe::plugin::{Activity, Delivery, Host, Performance, Performed, ProcessId};
use crate::bpe::runtime::{
    self, Advance, Begin, Definition, DeployError, Runtime, Settings, Watch, deploy, whole_state,
};
use crate::kernel::{Clock, Shutdown};
use crate::store::Store;
use crate::store::bpe::definition::{self, Model};
use crate::store::bpe::{flush::Caller, outbox, snapshot};

/// A database to play on. Each scenario empties it first.
#[derive(Clone)]
pub struct Floor {
    pub store: Store,
    pub handle: Handle,
}

/// One scenario on a database.
pub(super) struct Ground {
    floor: Floor,
    runtime: Runtime,
    clock: Clock,
    log: Arc<Log>,
    deployments: u64,
    strict: bool,
}

/// What the database holds.
pub(super) struct Found {
    pub definitions: Vec<(Definition, Vec<StartTimer>)>,
    pub instances: Vec<FoundInstance>,
    pub sequence: HashMap<(Uuid, u64), u64>,
    pub happened: Vec<Event>,
}

pub(super) struct FoundInstance {
    pub id: Uuid,
    pub definition: Uuid,
    pub business_key: Option<String>,
    pub caller: Option<(Uuid, FrameId)>,
    pub state: Option<State>,
    pub end: Option<End>,
}

/// What the runtime tells of its steps.
#[derive(Default)]
struct Log {
    events: Mutex<Vec<Event>>,
    ends: Mutex<HashMap<Uuid, End>>,
}

impl Watch for Log {
    fn happened(&self, events: &[(Uuid, Event)]) {
        let mut all = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(events.iter().map(|(_, event)| event.clone()));
    }

    fn ended(&self, instance: Uuid, end: &End) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.insert(instance, end.clone());
    }
}

/// Acts out the tables of the scenario.
struct Actor {
    stubs: Arc<Stubs>,
    runtime: Arc<OnceLock<Runtime>>,
}

impl Ground {
    pub(super) fn new(
        floor: &Floor,
        now: Timestamp,
        stubs: &Arc<Stubs>,
        strict: bool,
    ) -> Result<Self, Fault> {
        let clock = Clock::manual(now);
        let own = Arc::new(OnceLock::new());
        let actor = Actor {
            stubs: Arc::clone(stubs),
            runtime: Arc::clone(&own),
        };
        let log = Arc::new(Log::default());
        let settings = Settings {
            strict_errors: strict,
            ..Settings::default()
        };
        let runtime = Runtime::new(
            floor.store.clone(),
            Arc::new(actor),
            clock.clone(),
            Shutdown::new(),
            settings,
        )
        .watched(log.clone());
        own.get_or_init(|| runtime.clone());
        let store = floor.store.clone();
        floor
            .handle
            .block_on(async { store.read(async |conn| snapshot::clear(conn).await).await })
            .map_err(text)?;
        Ok(Self {
            floor: floor.clone(),
            runtime,
            clock,
            log,
            deployments: 0,
            strict,
        })
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.floor.handle.block_on(work)
    }

    /// The clock stands where the scenario's stands.
    pub(super) fn set_clock(&self, now: Timestamp) {
        self.clock.advance(now.duration_since(self.clock.now()));
    }

    /// Deploys files together; each holds one process or more.
    pub(super) fn deploy(&mut self, models: &[(String, String, String)]) -> Result<(), Fault> {
        self.deployments += 1;
        let number = self.deployments;
        let clock = self.clock.clone();
        self.wait(async {
            self.floor
                .store
                .write(async |conn| {
                    let deployment = definition::next_deployment(conn).await?;
                    for (key, version_tag, source) in models {
                        // Without the number an old content would be no new version.
                        let digest = Sha256::digest(format!("{number} {source}"));
                        let model = Model {
                            key,
                            version_tag,
                            plugin: "scenario",
                            source,
                            sha256: &digest,
                        };
                        deploy(conn, model, deployment, &clock).await?;
                    }
                    Ok::<(), DeployError>(())
                })
                .await
        })
        .map_err(text)
    }

    pub(super) fn trigger(&self, instance: Uuid, trigger: Trigger) -> Result<(), Fault> {
        let done = self.wait(self.runtime.trigger(instance, trigger));
        self.settle(done)
    }

    pub(super) fn begin(&self, definition: Uuid, start: Start) -> Result<(), Fault> {
        let done = self.wait(async {
            // Suspension is not cached.
            let found = self.newest(definition).await?;
            let begin = Begin {
                instance: Uuid::now_v7(),
                definition: found,
                start,
                strict_errors: self.strict,
            };
            self.runtime.begin(begin).await
        });
        self.settle(done)
    }

    async fn newest(&self, id: Uuid) -> Result<Definition, runtime::Error> {
        let known = self.runtime.definition_by_id(id).await?;
        let newest = self.runtime.newest_of_all().await?;
        Ok(newest.into_iter().find(|it| it.id == id).unwrap_or(known))
    }

    pub(super) fn run_job(&self, instance: Uuid, job: u64) -> Result<(), Fault> {
        let job = i64::try_from(job).map_err(text)?;
        let done = self.wait(self.runtime.run_job(instance, job));
        self.settle(done)
    }

    pub(super) fn fire(&self, definition: Uuid, sequence: u64) -> Result<(), Fault> {
        let done = self.wait(async {
            let rows = self
                .floor
                .store
                .read(async |conn| definition::timers(conn).await)
                .await?;
            let row = rows
                .into_iter()
                .find(|row| row.definition == definition && u64::try_from(row.seq) == Ok(sequence));
            match row {
                Some(row) => self.runtime.fire(row).await,
                None => Ok(Advance::Stale),
            }
        });
        self.settle(done)
    }

    pub(super) fn suspend(&self, key: &str, tag: &str, suspended: bool) -> Result<(), Fault> {
        self.wait(async {
            self.floor
                .store
                .read(async |conn| definition::suspend(conn, key, tag, suspended).await)
                .await
        })
        .map_err(text)
    }

    /// What a trigger came to; signals that it sent are delivered.
    fn settle(&self, done: Result<Advance, runtime::Error>) -> Result<(), Fault> {
        match done.map_err(text)? {
            Advance::Done => {}
            Advance::Busy => return Err("the instance is busy".to_owned()),
            Advance::Stale => return Err("nothing waits for this".to_owned()),
            Advance::Failed(failure) => return Err(failure.to_string()),
        }
        self.wait(async {
            loop {
                let due = self
                    .floor
                    .store
                    .read(async |conn| outbox::take(conn, 100, 60.0).await)
                    .await?;
                if due.is_empty() {
                    return Ok(());
                }
                for entry in due {
                    let advance = self.runtime.deliver_signal(&entry).await?;
                    if !matches!(advance, Advance::Done) {
                        self.floor
                            .store
                            .read(async |conn| outbox::discard(conn, &entry).await)
                            .await?;
                    }
                }
            }
        })
        .map_err(|error: runtime::Error| error.to_string())
    }

    /// Reads everything anew.
    pub(super) fn look(&self) -> Result<Found, Fault> {
        self.wait(self.found()).map_err(text)
    }

    async fn found(&self) -> Result<Found, runtime::Error> {
        let store = &self.floor.store;
        let (rows, timers, instances, waits) = store
            .read(async |conn| {
                Ok::<_, crate::store::Error>((
                    snapshot::definitions(conn).await?,
                    definition::timers(conn).await?,
                    snapshot::instances(conn).await?,
                    snapshot::waits(conn).await?,
                ))
            })
            .await?;
        let mut definitions = Vec::new();
        for row in rows {
            let mut found = self.runtime.definition_by_id(row.id).await?;
            found.suspended = row.suspended;
            let own = timers.iter().filter(|timer| timer.definition == row.id);
            let own = own.filter_map(|timer| {
                Some(StartTimer {
                    node: found.graph.find(&timer.activity)?,
                    schedule: serde_json::from_str::<Schedule>(&timer.schedule).ok()?,
                    sequence: u64::try_from(timer.seq).ok()?,
                })
            });
            let own = own.collect();
            definitions.push((found, own));
        }
        let mut found = Vec::new();
        for row in instances {
            let state = match row.runs {
                true => whole_state(store, row.id).await?,
                false => None,
            };
            found.push(instance(row, state, &self.log));
        }
        let sequence = waits.into_iter().filter_map(|row| {
            let key = (row.instance, u64::try_from(row.id).ok()?);
            Some((key, u64::try_from(row.seq).ok()?))
        });
        let mut events = self
            .log
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(Found {
            definitions,
            instances: found,
            sequence: sequence.collect(),
            happened: std::mem::take(&mut *events),
        })
    }
}

fn instance(row: snapshot::Instance, state: Option<State>, log: &Log) -> FoundInstance {
    let ends = log.ends.lock().unwrap_or_else(PoisonError::into_inner);
    let caller = row.caller.zip(row.caller_frame);
    let caller = caller.map(|(instance, frame)| Caller { instance, frame });
    FoundInstance {
        id: row.id,
        definition: row.definition,
        business_key: row.business_key,
        caller: caller.map(|it| (it.instance, FrameId(u64::try_from(it.frame).unwrap_or(0)))),
        state,
        end: ends.get(&row.id).cloned(),
    }
}

#[async_trait]
impl Host for Actor {
    async fn perform(&self, activity: Activity) -> Performance {
        let seen = Seen {
            activity: activity.node,
            kind: activity.kind,
            class: activity.class,
            fields: activity.fields,
            flow: activity.flow,
            canceled: activity.canceled,
            visible: activity.visible,
            business_key: Some(activity.business_key).filter(|key| !key.is_empty()),
        };
        let acted = match self.stubs.act(&seen) {
            Ok(acted) => acted,
            Err(fault) => return failed(&fault),
        };
        if let Some(name) = &acted.message
            && let Err(fault) = self.correlate(name).await
        {
            return failed(&fault);
        }
        Performance {
            settings: acted.settings,
            task: acted.task.map(Box::new),
            outcome: match acted.delete {
                Some(reason) => Performed::Delete { reason },
                None => performed(acted.outcome),
            },
            ..Performance::nothing()
        }
    }

    fn on_failure(&self, _: &ProcessId) -> OnFailure {
        OnFailure::Incident
    }

    async fn delivered(&self, _: Activity, _: Delivery) -> Performance {
        failed("a scenario sends no messages to other organisations")
    }
}

fn performed(outcome: crate::bpe::engine::Outcome) -> Performed {
    use crate::bpe::engine::Outcome;
    match outcome {
        Outcome::Done => Performed::Done,
        Outcome::Wait => Performed::Wait,
        Outcome::BpmnError { code, message } => Performed::Error { code, message },
        Outcome::Escalation { code } => Performed::Escalation { code },
        Outcome::Failed { kind, message } => Performed::Failed { kind, message },
    }
}

fn failed(message: &str) -> Performance {
    Performance {
        outcome: Performed::Failed {
            kind: "failure".to_owned(),
            message: message.to_owned(),
        },
        ..Performance::nothing()
    }
}

impl Actor {
    /// A message from within code moves its one receiver in a step of its own.
    async fn correlate(&self, name: &str) -> Result<(), Fault> {
        let runtime = self.runtime.get().ok_or("the scenario has not begun")?;
        let rows = runtime
            .store()
            .read(async |conn| snapshot::instances(conn).await)
            .await
            .map_err(text)?;
        let mut receivers = Vec::new();
        for row in rows {
            let state = whole_state(runtime.store(), row.id).await.map_err(text)?;
            let Some(state) = state else { continue };
            let open = state
                .subscriptions()
                .filter(|it| it.kind == SubscriptionKind::Message && it.name == name);
            receivers.extend(open.map(|it| (row.id, it.id)));
        }
        let [(instance, subscription)] = receivers[..] else {
            return Err(format!(
                "{} receivers wait for message '{name}'",
                receivers.len()
            ));
        };
        let trigger = Trigger::Message {
            subscription,
            variables: Variables::new(),
            local: Variables::new(),
        };
        match runtime.trigger(instance, trigger).await.map_err(text)? {
            Advance::Done => Ok(()),
            other => Err(format!("message '{name}' was not taken: {other:?}")),
        }
    }
}

fn text(error: impl ToString) -> Fault {
    error.to_string()
}
