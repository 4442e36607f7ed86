//! Nodes that die, stall and lose their line in a reproducible order, on the real statements.
//!
//! A seed decides on the model, on what happens next and on every use of the database: it may fail
//! before it has an effect, or its answer may be lost. Code may run so long that its lease is
//! taken away while it runs. Triggers are repeated by nodes that do not know of their success.
//! In every fourth seed many instances go on at once, and their steps share statements.
//! After every event the whole database is looked at (`spec/bpmn.md` §5.12).
//!
//! `DSF_SIMULATION_SEEDS=1000` plays more seeds than the few of every day, `DSF_SIMULATION_FIRST`
//! says which is the first.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::bpe::engine::Trigger;
use crate::bpe::engine::tests::{block, possible, source};
use crate::store::bpe::{job, outbox, snapshot};
use crate::store::faults::Faults;

/// More events than any of the models needs.
const PATIENCE: usize = 2_000;

/// One line of history: instance, revision, number; event, activity.
type Line = ((Uuid, i64, i32), (String, String));

/// What the seed decides while statements run.
struct Fate {
    rng: Mutex<StdRng>,
    /// While the world is looked at, nothing fails.
    calm: AtomicBool,
    failures: AtomicU64,
}

impl Fate {
    fn strikes(&self, one_in: u32) -> bool {
        !self.calm.load(Ordering::Relaxed) && self.rng.lock().unwrap().random_range(0..one_in) == 0
    }

    fn choose(&self, among: usize) -> usize {
        self.rng.lock().unwrap().random_range(0..among)
    }
}

/// Code whose lease may run out while another node goes on with its instance.
struct Slow {
    fate: Arc<Fate>,
    other: Mutex<Weak<Runtime>>,
    within: AtomicBool,
    stolen: AtomicU64,
}

#[async_trait]
impl Host for Slow {
    async fn perform(&self, activity: Activity) -> Performance {
        let other = self.other.lock().unwrap().upgrade();
        if let Some(other) = other
            && self.fate.strikes(2)
            && !self.within.swap(true, Ordering::Relaxed)
        {
            self.fate.calm.store(true, Ordering::Relaxed);
            expire_leases(&other.store).await;
            if let Some(state) = state(&other.store, activity.instance).await {
                let all = possible(&state);
                let trigger = all[self.fate.choose(all.len())].clone();
                apply(&other, activity.instance, trigger).await.unwrap();
                self.stolen.fetch_add(1, Ordering::Relaxed);
            }
            self.fate.calm.store(false, Ordering::Relaxed);
            self.within.store(false, Ordering::Relaxed);
        }
        performance(Performed::Done)
    }

    fn on_failure(&self, _: &ProcessId) -> OnFailure {
        OnFailure::Incident
    }

    async fn delivered(&self, _: Activity, _: Delivery) -> Performance {
        performance(Performed::Done)
    }
}

async fn apply(runtime: &Runtime, instance: Uuid, trigger: Trigger) -> Result<Advance, Error> {
    match trigger {
        Trigger::Job { job } => {
            let job = i64::try_from(job.0).unwrap();
            runtime.run_job(instance, job).await
        }
        other => runtime.trigger(instance, other).await,
    }
}

async fn expire_leases(store: &Store) {
    store
        .read(async |conn| snapshot::expire_leases(conn).await)
        .await
        .unwrap();
}

/// Every second seed stores each instance of a multi-instance by itself.
fn paging_node(store: &Store, host: Arc<Slow>, seed: u64) -> Runtime {
    let mut node = node(store, host);
    if seed.is_multiple_of(2) {
        Arc::make_mut(&mut node.settings).crowd = 1;
    }
    node
}

struct World {
    /// A line that never fails, to look.
    store: Store,
    fate: Arc<Fate>,
    nodes: Vec<Arc<Runtime>>,
    host: Arc<Slow>,
    expected: BTreeMap<String, usize>,
    instances: Vec<Uuid>,
    past: Vec<Line>,
    /// Triggers that were tried before: they are tried again.
    tried: Vec<(Uuid, Trigger)>,
}

impl World {
    async fn new(seed: u64, store: &Store) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let block = block().new_tree(&mut runner).unwrap().current();
        let (model, expected) = source(&block);
        store
            .read(async |conn| snapshot::clear(conn).await)
            .await
            .unwrap();
        let definition = deployed(store, "p", &model).await;
        let fate = Arc::new(Fate {
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            calm: AtomicBool::new(true),
            failures: AtomicU64::new(0),
        });
        let host = Arc::new(Slow {
            fate: fate.clone(),
            other: Mutex::new(Weak::new()),
            within: AtomicBool::new(false),
            stolen: AtomicU64::new(0),
        });
        let broken = fate.clone();
        let line = store.with_faults(Faults::new(move |_| {
            let strikes = broken.strikes(12);
            broken
                .failures
                .fetch_add(u64::from(strikes), Ordering::Relaxed);
            strikes
        }));
        let nodes: Vec<_> = (0..2)
            .map(|_| Arc::new(paging_node(&line, host.clone(), seed)))
            .collect();
        *host.other.lock().unwrap() = Arc::downgrade(&nodes[1]);
        let mut world = Self {
            store: store.clone(),
            fate,
            nodes,
            host,
            expected,
            instances: Vec::new(),
            past: Vec::new(),
            tried: Vec::new(),
        };
        // In every fourth seed so many that several may share a statement.
        let company = if seed.is_multiple_of(4) { 6 } else { 2 };
        for number in 1..=company {
            world.start(definition, Uuid::from_u128(number)).await;
        }
        world
    }

    /// Tries to start an instance until it is there; the same start again changes nothing.
    async fn start(&mut self, definition: Uuid, instance: Uuid) {
        let definition = self.nodes[0].definition_by_id(definition).await.unwrap();
        self.fate.calm.store(false, Ordering::Relaxed);
        loop {
            let begin = Begin {
                instance,
                definition: definition.clone(),
                start: Start::default(),
                strict_errors: false,
            };
            let _ = self.nodes[0].begin(begin).await;
            let all = self.look().await;
            if all.iter().any(|it| it.id == instance) {
                break;
            }
        }
        self.instances.push(instance);
    }

    async fn look(&self) -> Vec<snapshot::Instance> {
        let all = self
            .store
            .read(async |conn| snapshot::instances(conn).await);
        all.await.unwrap()
    }

    /// One event: somebody does something, or something breaks. `false` when all is over.
    async fn event(&mut self) -> bool {
        let running: Vec<_> = self.look().await.into_iter().filter(|it| it.runs).collect();
        let Some(row) = running.get(self.fate.choose(running.len().max(1))) else {
            return false;
        };
        let instance = &row.id;
        let state = state(&self.store, row.id).await.unwrap();
        let node = self.nodes[self.fate.choose(2)].clone();
        let together = self.instances.len() > 2 && self.fate.choose(2) == 0;
        match if together { 8 } else { self.fate.choose(8) } {
            0 => expire_leases(&self.store).await,
            // The clock jumps, also backwards.
            1 => {
                let hours = i64::try_from(self.fate.choose(5)).unwrap() - 2;
                node.clock.advance(jiff::SignedDuration::from_hours(hours));
            }
            // As the workers do it: whatever is due, and what becomes due by it.
            3 => {
                let take = async |conn: &mut _| job::take(conn, 10, 60.0).await;
                for taken in node.store.read(take).await.unwrap_or_default() {
                    let _ = node.run_taken(&taken).await;
                }
            }
            // All at once: what queues up behind the first shares a statement.
            8 => {
                let mut steps = Vec::new();
                for row in &running {
                    let state = self::state(&self.store, row.id).await.unwrap();
                    let all = possible(&state);
                    let trigger = all[self.fate.choose(all.len())].clone();
                    self.tried.push((row.id, trigger.clone()));
                    steps.push(apply(&node, row.id, trigger));
                }
                futures_util::future::join_all(steps).await;
            }
            2 if !self.tried.is_empty() => {
                let (instance, trigger) = self.tried[self.fate.choose(self.tried.len())].clone();
                let _ = apply(&node, instance, trigger).await;
            }
            _ => {
                let all = possible(&state);
                assert!(!all.is_empty(), "a token is stuck: {state:#?}");
                let trigger = all[self.fate.choose(all.len())].clone();
                self.tried.push((*instance, trigger.clone()));
                let _ = apply(&node, *instance, trigger).await;
            }
        }
        true
    }

    async fn history(&self) -> Vec<Line> {
        let rows = self.store.read(async |conn| snapshot::history(conn).await);
        let lines = rows.await.unwrap().into_iter();
        lines
            .map(|row| ((row.instance, row.rev, row.seq), (row.event, row.activity)))
            .collect()
    }

    /// What must hold after every event.
    async fn check(&mut self) {
        let waits = self.store.read(async |conn| snapshot::waits(conn).await);
        let rows: Vec<(Uuid, i64)> = waits
            .await
            .unwrap()
            .iter()
            .map(|it| (it.instance, it.id))
            .collect();
        let mut known = Vec::new();
        for instance in self.look().await {
            let Some(state) = state(&self.store, instance.id).await else {
                continue;
            };
            assert_eq!(state.flaw(), None);
            let jobs = state.jobs().map(|it| it.id);
            let all = jobs.chain(state.subscriptions().map(|it| it.id));
            known.extend(all.map(|id| (instance.id, i64::try_from(id.0).unwrap())));
        }
        let sorted = |mut all: Vec<(Uuid, i64)>| {
            all.sort();
            all
        };
        assert_eq!(sorted(rows), sorted(known), "rows and states differ");
        let now = self.history().await;
        let kept: BTreeMap<_, _> = now.iter().cloned().collect();
        for (at, line) in &self.past {
            assert_eq!(kept.get(at), Some(line), "history has changed");
        }
        self.past = now;
    }

    /// Every task was done as often as the model says, in every instance.
    async fn conclude(&self) {
        for instance in &self.instances {
            let mut completed: BTreeMap<&str, usize> = BTreeMap::new();
            for ((of, ..), (event, activity)) in &self.past {
                if of == instance && event == "completed" {
                    *completed.entry(activity).or_default() += 1;
                }
            }
            for (activity, times) in &self.expected {
                let found = completed
                    .get(activity.as_str())
                    .copied()
                    .unwrap_or_default();
                assert_eq!(found, *times, "{activity}");
            }
        }
        let left = self
            .store
            .read(async |conn| outbox::take(conn, 10, 1.0).await);
        assert!(left.await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_breaks_nothing_is_lost_and_nothing_happens_twice() {
    let number = |name: &str, otherwise: u64| {
        let given = std::env::var(name).ok();
        given
            .and_then(|text| text.parse().ok())
            .unwrap_or(otherwise)
    };
    let (first, seeds) = (
        number("DSF_SIMULATION_FIRST", 1),
        number("DSF_SIMULATION_SEEDS", 60),
    );
    let store = store().await;
    let (mut events, mut failures, mut stolen) = (0, 0, 0);
    for seed in first..first + seeds {
        println!("seed {seed}");
        let mut world = World::new(seed, &store).await;
        for event in 0.. {
            assert!(event < PATIENCE, "seed {seed} does not come to an end");
            if !world.event().await {
                break;
            }
            world.check().await;
            events += 1;
        }
        world.check().await;
        world.conclude().await;
        failures += world.fate.failures.load(Ordering::Relaxed);
        stolen += world.host.stolen.load(Ordering::Relaxed);
    }
    println!("{seeds} seeds, {events} events, {failures} broken lines, {stolen} stolen leases");
}
