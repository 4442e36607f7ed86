//! Nodes that are killed: real processes, real PostgreSQL, no time to clean up.
//!
//! The victim is this test program once more, told to work on a database and to abort at a point.
//! The points stand in the test's own code and in what the runtime tells its [`Watch`], so that
//! no release build can meet them. `DSF_KILLS=50` kills so often at each point.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::bpe::engine::End;
use crate::store::bpe::snapshot;

const MODEL: &str = r#"<startEvent id="s"/><sequenceFlow id="f1" sourceRef="s" targetRef="a"/>
    <serviceTask id="a" camunda:class="a" camunda:asyncBefore="true"/>
    <sequenceFlow id="f2" sourceRef="a" targetRef="fork"/><parallelGateway id="fork"/>
    <sequenceFlow id="f3" sourceRef="fork" targetRef="b"/>
    <sequenceFlow id="f4" sourceRef="fork" targetRef="t"/>
    <serviceTask id="b" camunda:class="b" camunda:asyncBefore="true" camunda:asyncAfter="true"/>
    <intermediateCatchEvent id="t"><timerEventDefinition>
        <timeDuration>PT0.01S</timeDuration></timerEventDefinition></intermediateCatchEvent>
    <sequenceFlow id="f5" sourceRef="b" targetRef="join"/>
    <sequenceFlow id="f6" sourceRef="t" targetRef="join"/><parallelGateway id="join"/>
    <sequenceFlow id="f7" sourceRef="join" targetRef="c"/>
    <callActivity id="c" calledElement="child" camunda:asyncBefore="true"/>
    <sequenceFlow id="f8" sourceRef="c" targetRef="e"/><endEvent id="e"/>"#;
const CHILD: &str = r#"<startEvent id="s"/><sequenceFlow id="f1" sourceRef="s" targetRef="d"/>
    <serviceTask id="d" camunda:class="d" camunda:asyncBefore="true"/>
    <sequenceFlow id="f2" sourceRef="d" targetRef="e"/><endEvent id="e"/>"#;
const POINTS: [&str; 5] = ["called", "storing", "stored", "began-job", "ended"];

/// Aborts when its point has been reached so often.
struct Doom {
    point: String,
    left: AtomicU32,
}

impl Doom {
    fn reach(&self, point: &str) {
        if self.point == point && self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            std::process::abort();
        }
    }
}

impl Watch for Doom {
    fn storing(&self) {
        self.reach("storing");
    }

    fn stepped(&self, _: usize, _: Duration) {
        self.reach("stored");
    }

    fn began_job(&self, _: Duration) {
        self.reach("began-job");
    }

    fn ended(&self, _: Uuid, _: &End) {
        self.reach("ended");
    }
}

/// Not a test by itself: what a killed node does until then.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test below, as a process of its own"]
async fn victim() {
    let Ok(url) = std::env::var("DSF_VICTIM_URL") else {
        return;
    };
    let settings = crate::store::Settings {
        url: Some(url),
        ..crate::store::Settings::default()
    };
    let store = Store::connect(&settings, Schema::Bpe).unwrap();
    let doom = Arc::new(Doom {
        point: std::env::var("DSF_VICTIM_POINT").unwrap(),
        left: AtomicU32::new(std::env::var("DSF_VICTIM_NTH").unwrap().parse().unwrap()),
    });
    let (shutdown, at_call) = (Shutdown::new(), doom.clone());
    let code = Code::new(move |_| {
        at_call.reach("called");
        Performed::Done
    });
    let settings = Settings {
        lease: Duration::from_millis(200),
        ..Settings::default()
    };
    let runtime = Runtime::new(
        store.clone(),
        code,
        Clock::system(),
        shutdown.clone(),
        settings,
    );
    let runtime = runtime.watched(doom);
    let pace = Pace {
        idle: Duration::from_millis(20),
        ..Pace::default()
    };
    shutdown.spawn(work(Jobs(runtime), shutdown.clone(), 4, pace));
    while running(&store).await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn running(store: &Store) -> usize {
    let all = store
        .read(async |conn| snapshot::instances(conn).await)
        .await;
    all.unwrap().iter().filter(|it| it.runs).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_at_any_point_loses_nothing_and_repeats_nothing() {
    let kills = std::env::var("DSF_KILLS")
        .ok()
        .and_then(|text| text.parse().ok());
    let kills: usize = kills.unwrap_or(1);
    let settings = testing::fresh_database().await;
    let store = Store::open(&settings, Schema::Bpe).await.unwrap();
    deployed(&store, "child", &file("child", CHILD)).await;
    let definition = deployed(&store, "p", &file("p", MODEL)).await;
    let runtime = node(&store, Code::new(|_| Performed::Done));
    let instances = kills * POINTS.len() * 3;
    for _ in 0..instances {
        begin(&runtime, definition, Variables::new()).await;
    }
    let mut killed = 0;
    for round in 0..kills {
        for point in POINTS {
            let nth = (round * 7 + 2) % 11 + 1;
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--ignored", "--exact", "bpe::runtime::tests::crash::victim"])
                .env("DSF_VICTIM_URL", settings.url.as_ref().unwrap())
                .env("DSF_VICTIM_POINT", point)
                .env("DSF_VICTIM_NTH", nth.to_string())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            killed += usize::from(!status.success());
        }
    }
    println!("{killed} processes killed");
    assert!(killed > 0, "nobody was killed: the test proves nothing");
    let last = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "bpe::runtime::tests::crash::victim"])
        .env("DSF_VICTIM_URL", settings.url.as_ref().unwrap())
        .env("DSF_VICTIM_POINT", "none")
        .env("DSF_VICTIM_NTH", "1")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(last.success());
    let lines = store.read(async |conn| snapshot::history(conn).await);
    let mut counts = std::collections::BTreeMap::new();
    for line in lines.await.unwrap() {
        if line.event == "completed" {
            *counts.entry(line.activity).or_insert(0) += 1;
        }
    }
    for activity in ["a", "b", "c", "d", "t", "join"] {
        let times = if activity == "join" { 2 } else { 1 };
        assert_eq!(
            counts.get(activity),
            Some(&(times * instances)),
            "{activity}"
        );
    }
}
