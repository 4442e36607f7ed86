//! What the engine costs: durable steps of real instances, each from one wait to the next, beside
//! a bare statement of the same shape on the same tables; whole instances, beside Operaton on the
//! same PostgreSQL; how late timers fire; and whether a crowd costs its members anything.
//!
//! ```text
//! cargo bench --bench engine           some 60 s; SECONDS=5 for steadier figures
//! mvn -B -f benches/operaton/pom.xml package
//! OPERATON=benches/operaton/target cargo bench --bench engine
//! TIMERS=10000 CROWD=100000 cargo bench --bench engine
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot set its stage fails by panicking"
)]

#[path = "engine/crowd.rs"]
mod crowd;
#[path = "common/figures.rs"]
mod figures;
#[path = "engine/instances.rs"]
mod instances;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dsf::bpe::engine::Start;
use dsf::bpe::plugin::package::OnFailure;
use dsf::bpe::plugin::{Activity, Delivery, Host, Performance, Performed, ProcessId};
use dsf::bpe::runtime::{self, Advance, Begin, Jobs, Pace, Runtime, deploy, work};
use dsf::kernel::{Clock, Shutdown};
use dsf::store::bpe::definition::{self, Model};
use dsf::store::testing::temporary_folder;
use dsf::store::{Cluster, Schema, Settings, Store};
use figures::{Figures, measure, period};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// A service task behind an asynchronous continuation, again and again.
const LOOP: &str = r#"<startEvent id="start"/>
    <sequenceFlow id="a" sourceRef="start" targetRef="join"/>
    <exclusiveGateway id="join"/>
    <sequenceFlow id="b" sourceRef="join" targetRef="work"/>
    <serviceTask id="work" camunda:class="Work" camunda:asyncBefore="true"/>
    <sequenceFlow id="c" sourceRef="work" targetRef="join"/>"#;
const TIMER: &str = r#"<startEvent id="start"/>
    <sequenceFlow id="a" sourceRef="start" targetRef="wait"/>
    <intermediateCatchEvent id="wait">
        <timerEventDefinition><timeDuration>PT1S</timeDuration></timerEventDefinition>
    </intermediateCatchEvent>
    <sequenceFlow id="b" sourceRef="wait" targetRef="work"/>
    <serviceTask id="work" camunda:class="Work"/>
    <sequenceFlow id="c" sourceRef="work" targetRef="end"/>
    <endEvent id="end"/>"#;

fn setting(name: &str, default: usize) -> usize {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::main]
async fn main() {
    let cluster = Cluster::start(&temporary_folder("bench"), None)
        .await
        .unwrap();
    cluster.ensure_database("bench").await.unwrap();
    let settings = Settings {
        url: Some(cluster.url("bench")),
        pool_size: 40,
        ..Settings::default()
    };
    let store = Store::open(&settings, Schema::Bpe).await.unwrap();
    let looping = deployed(&store, "looping", LOOP).await;
    let timed = deployed(&store, "timed", TIMER).await;
    Figures::head();
    for clients in [1, 8, 32] {
        let bare = bare(&cluster.url("bench"), looping, clients).await;
        bare.print(&format!("bare guarded statement, {clients} clients"), None);
        let steps = steps(&store, &cluster.url("bench"), looping, clients).await;
        steps.print_rate(&format!("durable steps, {clients} clients"), &bare);
    }
    let ten = deployed_file(&store, instances::KEY, instances::MODEL).await;
    for clients in [1, 8, 32] {
        let url = cluster.url("operaton");
        cluster.ensure_database("operaton").await.unwrap();
        let what = format!("instances, {clients} clients");
        let operaton = instances::operaton(&url, clients);
        let ours = instances::ours(&store, ten, clients).await;
        match operaton {
            Some(operaton) => ours.print_rate(&format!("{what}, beside Operaton"), &operaton),
            None => ours.print_rate(&what, &ours),
        }
    }
    let admin = connected(&cluster.url("bench")).await;
    let clear = "DELETE FROM bpe.instance; VACUUM bpe.job; VACUUM bpe.instance";
    for statement in clear.split("; ") {
        admin.batch_execute(statement).await.unwrap();
    }
    timers(&store, timed).await;
    crowd::receivers(&store).await;
    crowd::waiting(&store, &cluster.url("bench"), looping).await;
    cluster.stop().await;
}

/// Code that does nothing but remember when it was called.
#[derive(Default)]
struct Code(Mutex<HashMap<Uuid, Instant>>);

#[async_trait]
impl Host for Code {
    async fn perform(&self, activity: Activity) -> Performance {
        let mut called = self.0.lock().expect("nobody panics with the lock");
        called.insert(activity.instance, Instant::now());
        done()
    }

    fn on_failure(&self, _: &ProcessId) -> OnFailure {
        OnFailure::Incident
    }

    async fn delivered(&self, _: Activity, _: Delivery) -> Performance {
        done()
    }
}

fn done() -> Performance {
    Performance {
        settings: Vec::new(),
        tasks: Vec::new(),
        task: None,
        outcome: Performed::Done,
        shown: false,
    }
}

async fn deployed(store: &Store, key: &str, content: &str) -> Uuid {
    let source = format!(
        r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
        xmlns:camunda="http://camunda.org/schema/1.0/bpmn">
        <process id="{key}" isExecutable="true">{content}</process></definitions>"#
    );
    deployed_file(store, key, &source).await
}

async fn deployed_file(store: &Store, key: &str, source: &str) -> Uuid {
    store
        .write(async |conn| {
            let deployment = definition::next_deployment(conn).await?;
            let digest = Sha256::digest(source);
            let model = Model {
                key,
                version_tag: "1.0",
                plugin: "bench",
                source,
                sha256: &digest,
            };
            deploy(conn, model, deployment, &Clock::system()).await
        })
        .await
        .unwrap()
}

fn node(store: &Store, host: Arc<dyn Host>) -> Runtime {
    let settings = runtime::Settings::default();
    Runtime::new(
        store.clone(),
        host,
        Clock::system(),
        Shutdown::new(),
        settings,
    )
}

async fn begin(runtime: &Runtime, definition: Uuid) -> Uuid {
    let instance = Uuid::now_v7();
    let begin = Begin {
        instance,
        definition: runtime.definition_by_id(definition).await.unwrap(),
        start: Start::default(),
        strict_errors: false,
    };
    let advance = runtime.begin(begin).await.unwrap();
    assert!(matches!(advance, Advance::Done), "{advance:?}");
    instance
}

/// The steps that as many workers as there are clients do in the period.
async fn steps(store: &Store, url: &str, definition: Uuid, clients: usize) -> Figures {
    let runtime = node(store, Arc::<Code>::default());
    for _ in 0..clients * 4 {
        begin(&runtime, definition).await;
    }
    let shutdown = Shutdown::new();
    let jobs = Jobs(runtime);
    let worker = tokio::spawn(work(jobs, shutdown.clone(), clients, Pace::default()));
    let admin = connected(url).await;
    // The first ones prepare their statements.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (before, begun) = (revisions(&admin).await, Instant::now());
    tokio::time::sleep(period()).await;
    let (after, whole) = (revisions(&admin).await, begun.elapsed());
    shutdown.begin();
    worker.await.unwrap();
    // A step under way would lock its instances in another order than the deletion.
    shutdown.drain(Duration::from_secs(10)).await.unwrap();
    admin
        .batch_execute("DELETE FROM bpe.instance")
        .await
        .unwrap();
    let count = usize::try_from(after - before).unwrap();
    Figures {
        times: vec![whole / u32::try_from(count.max(1)).unwrap(); count],
        whole,
    }
}

async fn revisions(admin: &Client) -> i64 {
    let sum = "SELECT coalesce(sum(rev), 0)::bigint FROM bpe.instance";
    admin.query_one(sum, &[]).await.unwrap().get(0)
}

async fn connected(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A guarded change of the state, one job for another, four lines of history (bpmn §5.14).
async fn bare(url: &str, definition: Uuid, clients: usize) -> Figures {
    const STEP: &str = "WITH own AS (
            UPDATE bpe.instance SET state = $2, rev = rev + 1
            WHERE id = $1 AND rev = $3 RETURNING id, rev),
        gone AS (DELETE FROM bpe.job USING own WHERE job.instance = own.id AND job.id = $3),
        new AS (INSERT INTO bpe.job (instance, id, kind, activity, due, retries)
            SELECT own.id, own.rev, 'timer', 'work', now() + interval '1 day', 3 FROM own),
        told AS (INSERT INTO bpe.history (instance, rev, seq, at, event, activity)
            SELECT own.id, own.rev, n, now(), 'enter', 'work' FROM own, generate_series(1, 4) n)
        SELECT count(*) FROM own";
    let mut workers = Vec::new();
    for _ in 0..clients {
        let (client, id) = (connected(url).await, Uuid::now_v7());
        let insert = "INSERT INTO bpe.instance (id, definition, state, rev, lease_epoch) \
                      VALUES ($1, $2, '', 0, 1)";
        client.execute(insert, &[&id, &definition]).await.unwrap();
        let step = client.prepare(STEP).await.unwrap();
        workers.push(Arc::new((client, step, id, Mutex::new(0_i64))));
    }
    let state = "x".repeat(600);
    type Worker = Arc<(Client, tokio_postgres::Statement, Uuid, Mutex<i64>)>;
    let figures = measure(&workers, |worker: Worker| {
        let state = state.clone();
        async move {
            let (client, step, id, rev) = &*worker;
            let now = *rev.lock().unwrap();
            let row = client.query_one(step, &[id, &state, &now]).await.unwrap();
            assert_eq!(row.get::<_, i64>(0), 1);
            *rev.lock().unwrap() += 1;
        }
    })
    .await;
    let admin = connected(url).await;
    admin
        .batch_execute("DELETE FROM bpe.instance")
        .await
        .unwrap();
    figures
}

/// From the moment a timer is due until the code behind it is called, at light load.
async fn timers(store: &Store, definition: Uuid) {
    let code = Arc::new(Code::default());
    let runtime = node(store, Arc::clone(&code) as _);
    let shutdown = Shutdown::new();
    let jobs = Jobs(runtime.clone());
    let worker = tokio::spawn(work(jobs, shutdown.clone(), 4, Pace::default()));
    let mut due = HashMap::new();
    let count = setting("TIMERS", 200);
    let pause = Duration::from_millis(if count > 1000 {
        60_000 / count as u64
    } else {
        20
    });
    for _ in 0..count {
        let second = Timestamp::now();
        let instance = begin(&runtime, definition).await;
        runtime.bells().jobs.notify_one();
        let waited = Timestamp::now().duration_since(second).unsigned_abs();
        // It began to wait somewhere in between: the lag is told too long rather than too short.
        due.insert(instance, Instant::now() - waited + Duration::from_secs(1));
        tokio::time::sleep(pause).await;
    }
    let begun = Instant::now();
    while code.0.lock().unwrap().len() < count && begun.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    shutdown.begin();
    worker.await.unwrap();
    let called = code.0.lock().unwrap();
    let lag = |(instance, due): (&Uuid, &Instant)| {
        called
            .get(instance)
            .map(|at| at.saturating_duration_since(*due))
    };
    let figures = Figures {
        times: due.iter().filter_map(lag).collect(),
        whole: Duration::from_secs(1),
    };
    figures.print_times(&format!("lag of {} timers", figures.times.len()));
}
