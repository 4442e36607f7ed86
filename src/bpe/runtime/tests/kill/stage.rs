//! What the nodes of the kill points work on, and how another node goes on.

use super::*;
use crate::bpe::engine::{FrameId, InstanceId, Outcome, Trigger};
use crate::bpe::runtime::{Incoming, Starting};
use crate::r4::json;
use crate::store::bpe::{job, outbox};

const WORK: &str = r#"<serviceTask id="a" camunda:class="a" camunda:asyncBefore="true"/>"#;
const MORE: &str = r#"<serviceTask id="b" camunda:class="b" camunda:asyncBefore="true"/>"#;
const MESSAGE: &str = r#"<receiveTask id="m" messageRef="m"/>"#;
const MODELS: [(&str, &[&str]); 10] = [
    ("work", &[WORK, MORE]),
    ("message", &[MESSAGE, MORE]),
    ("late", &[WORK, MESSAGE]),
    (
        "timed",
        &[
            r#"<intermediateCatchEvent id="t"><timerEventDefinition>
            <timeDuration>PT0.01S</timeDuration></timerEventDefinition></intermediateCatchEvent>"#,
            MORE,
        ],
    ),
    (
        "child",
        &[r#"<serviceTask id="d" camunda:class="d" camunda:asyncBefore="true"/>"#],
    ),
    (
        "parent",
        &[r#"<callActivity id="c" calledElement="child" camunda:asyncBefore="true"/>"#],
    ),
    (
        "thrower",
        &[
            r#"<intermediateThrowEvent id="x" camunda:asyncBefore="true">
            <signalEventDefinition signalRef="g"/></intermediateThrowEvent>"#,
        ],
    ),
    (
        "listener",
        &[r#"<intermediateCatchEvent id="l">
            <signalEventDefinition signalRef="g"/></intermediateCatchEvent>"#],
    ),
    (
        "many",
        &[r#"<receiveTask id="r"><multiInstanceLoopCharacteristics>
            <loopCardinality>70</loopCardinality></multiInstanceLoopCharacteristics>
            </receiveTask>"#],
    ),
    ("empty", &[]),
];

/// One after the other between a start and an end.
fn model(key: &str, nodes: &[&str]) -> String {
    let id = |node: &str| node.split('"').nth(1).unwrap_or_default().to_owned();
    let mut ids = vec!["s".to_owned()];
    ids.extend(nodes.iter().map(|node| id(node)));
    ids.push("e".to_owned());
    let flows = ids.windows(2).map(|pair| {
        let [from, to] = pair else {
            return String::new();
        };
        format!(r#"<sequenceFlow id="f-{from}" sourceRef="{from}" targetRef="{to}"/>"#)
    });
    let flows: String = flows.collect();
    let nodes = nodes.concat();
    format!(
        r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
        xmlns:camunda="http://camunda.org/schema/1.0/bpmn">
        <message id="m" name="m"/><signal id="g" name="g"/>
        <process id="{key}" isExecutable="true">
        <startEvent id="s"/>{nodes}<endEvent id="e"/>{flows}</process></definitions>"#
    )
}

/// A model that starts by a timer, so that it deploys one.
pub(super) fn timed_start(number: u32) -> String {
    let content = format!(
        r#"<startEvent id="s"><timerEventDefinition><timeCycle>R/PT{}H</timeCycle>
        </timerEventDefinition></startEvent>
        <sequenceFlow id="f" sourceRef="s" targetRef="e"/><endEvent id="e"/>"#,
        number + 1
    );
    file("hourly", &content)
}

/// A database for the kills at one point.
pub(super) struct Ground {
    pub point: u32,
    pub store: Store,
    pub url: String,
    /// The world outside: code writes down here that it was called.
    pub effects: PathBuf,
    definitions: BTreeMap<&'static str, Uuid>,
}

impl Ground {
    pub async fn new(point: u32, effects: &Path) -> Self {
        let settings = testing::fresh_database().await;
        let store = Store::open(&settings, Schema::Bpe).await.unwrap();
        let mut definitions = BTreeMap::new();
        if point == 11 {
            deployed(&store, "hourly", &timed_start(0)).await;
        } else {
            for (key, nodes) in MODELS {
                definitions.insert(key, deployed(&store, key, &model(key, nodes)).await);
            }
        }
        Self {
            point,
            store,
            url: settings.url.unwrap(),
            effects: effects.join(point.to_string()),
            definitions,
        }
    }

    /// An instance whose business key names its process and itself. States of the layout before
    /// have everything on one page.
    pub async fn begin(&self, process: &'static str) -> Uuid {
        let mut runtime = node(&self.store, Code::new(|_| Performed::Done));
        if self.point == 19 {
            Arc::make_mut(&mut runtime.settings).crowd = u32::MAX;
        }
        let instance = Uuid::now_v7();
        let definition = self.definitions[process];
        let start = Start {
            business_key: Some(format!("{process}/{instance}")),
            ..Start::default()
        };
        let begin = Begin {
            instance,
            definition: runtime.definition_by_id(definition).await.unwrap(),
            start,
            strict_errors: false,
        };
        let advance = runtime.begin(begin).await.unwrap();
        assert!(matches!(advance, Advance::Done), "{advance:?}");
        instance
    }

    /// A Task in the inbox; answers its id.
    pub async fn task(&self, process: &str, instance: Uuid) -> Uuid {
        let (task, key) = (Uuid::now_v7(), format!("{process}/{instance}"));
        let document = format!(r#"{{"resourceType":"Task","id":"{task}"}}"#);
        let receive = async |conn: &mut _| inbox::receive(conn, task, 1, &document, &key).await;
        assert!(self.store.read(receive).await.unwrap());
        task
    }

    pub async fn connections(&self) -> Vec<i32> {
        let all = async |conn: &mut _| snapshot::connections(conn).await;
        self.store.read(all).await.unwrap()
    }

    /// Instances that an instance has called.
    pub async fn children(&self, caller: Uuid) -> Vec<Uuid> {
        let all = async |conn: &mut _| snapshot::instances(conn).await;
        let all = self.store.read(all).await.unwrap().into_iter();
        all.filter(|it| it.caller == Some(caller))
            .map(|it| it.id)
            .collect()
    }

    /// Models of the process that starts by a timer, and its timers.
    pub async fn models(&self) -> (usize, usize) {
        let models = async |conn: &mut _| snapshot::definitions(conn).await;
        let timers = async |conn: &mut _| definition::timers(conn).await;
        let models = self.store.read(models).await.unwrap().len();
        (models, self.store.read(timers).await.unwrap().len())
    }

    pub async fn no_orphaned_history(&self) {
        let all = async |conn: &mut _| snapshot::instances(conn).await;
        let known: Vec<Uuid> = self
            .store
            .read(all)
            .await
            .unwrap()
            .iter()
            .map(|it| it.id)
            .collect();
        let lines = async |conn: &mut _| snapshot::history(conn).await;
        for line in self.store.read(lines).await.unwrap() {
            assert!(known.contains(&line.instance), "history of nobody");
        }
    }

    /// Each call of code of an instance had one name, however often it was made.
    pub fn one_effect(&self, instance: Uuid) {
        let text = std::fs::read_to_string(&self.effects).unwrap();
        let calls = text
            .lines()
            .filter(|line| line.starts_with(&format!("{instance} a ")));
        let calls: Vec<_> = calls.collect();
        assert!(calls.len() > 1, "the call was not repeated: {text}");
        assert!(calls.iter().all(|call| *call == calls[0]), "{calls:?}");
    }

    /// The message that nobody took is there; it goes, for the next round.
    pub async fn one_message_is_left(&self) {
        let open = async |conn: &mut _| inbox::take(conn, 10, 0.0).await;
        let open = self.store.read(open).await.unwrap();
        assert_eq!(open.len(), 1);
        let drop = async |conn: &mut _| inbox::drop_entry(conn, &open[0]).await;
        self.store.read(drop).await.unwrap();
    }

    pub async fn all_have_heard(&self) {
        let all = async |conn: &mut _| snapshot::instances(conn).await;
        let mut listeners = 0;
        for row in self.store.read(all).await.unwrap() {
            if row.definition == self.definitions["listener"] {
                listeners += 1;
                assert_eq!(count(&completed(&self.store, row.id).await, "l"), 1);
            }
        }
        assert!(listeners > 0);
    }

    /// All but one instance of each round so far.
    pub async fn others_are_done(&self, round: u32) {
        let all = async |conn: &mut _| snapshot::instances(conn).await;
        let others = self.store.read(all).await.unwrap();
        let failing = others.iter().filter(|it| it.runs).count();
        assert_eq!(failing, round as usize + 1);
        for other in others.iter().filter(|it| !it.runs) {
            let done = completed(&self.store, other.id).await;
            assert_eq!((count(&done, "a"), count(&done, "b")), (1, 1));
        }
    }
}

/// The mark that a call leaves outside.
pub(super) fn mark(effects: &Path, activity: &Activity) {
    use std::io::Write;
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(effects);
    let (instance, node) = (activity.instance, &activity.node);
    writeln!(file.unwrap(), "{instance} {node} {}", activity.effect).unwrap();
}

/// Code that leaves a mark, and fails where the point is about failures.
pub(super) fn code(point: u32, poison: Uuid, effects: PathBuf) -> Arc<Code> {
    Code::new(move |activity| {
        mark(&effects, activity);
        match point {
            13 | 20 if activity.instance == poison => Performed::Failed {
                kind: "failure".to_owned(),
                message: "it always does".to_owned(),
            },
            _ => Performed::Done,
        }
    })
}

/// How often each activity of an instance was completed.
pub(super) async fn completed(store: &Store, instance: Uuid) -> Vec<String> {
    let events = async |conn: &mut _| history::events(conn, instance).await;
    let events = store.read(events).await.unwrap().into_iter();
    let done = events.filter(|line| line.event == "completed");
    done.map(|line| line.activity).collect()
}

pub(super) fn count(done: &[String], activity: &str) -> usize {
    done.iter().filter(|it| *it == activity).count()
}

pub(super) async fn incidents(store: &Store, instance: Uuid) -> usize {
    let events = async |conn: &mut _| history::events(conn, instance).await;
    let events = store.read(events).await.unwrap();
    events
        .iter()
        .filter(|line| line.event == "incident")
        .count()
}

/// Another node does everything that is left.
pub(super) async fn settle(ground: &Ground, subject: Uuid) {
    let store = &ground.store;
    let runtime = node(store, code(ground.point, subject, ground.effects.clone()));
    let expire = async |conn: &mut _| snapshot::expire_leases(conn).await;
    store.read(expire).await.unwrap();
    loop {
        run_jobs(&runtime).await;
        let moved = post(&runtime).await + signals(&runtime, usize::MAX).await;
        if moved + receivers(&runtime, subject).await == 0 {
            break;
        }
    }
    if ground.point == 14 {
        let sweep = async |conn: &mut _| history::sweep(conn, 0, 2).await;
        while store.read(sweep).await.unwrap() > 0 {}
    }
}

pub(super) fn process(key: &str) -> ProcessId {
    ProcessId {
        key: key.to_owned(),
        version: "1.0".to_owned(),
    }
}

/// Hands Tasks over as the inbox does; answers how many were taken in.
pub(super) async fn post(runtime: &Runtime) -> usize {
    let store = &runtime.store;
    let take = async |conn: &mut _| inbox::take(conn, 10, 0.0).await;
    let mut taken = 0;
    for entry in store.read(take).await.unwrap() {
        if entry.status != "claimed" {
            claim(store, &entry).await;
        }
        taken += usize::from(matches!(handed(runtime, &entry).await, Some(Advance::Done)));
    }
    taken
}

/// Notes that a Task is ours on the server.
pub(super) async fn claim(store: &Store, entry: &inbox::Entry) {
    let claim = async |conn: &mut _| inbox::claimed(conn, entry, &entry.document, None).await;
    let claimed = store.read(claim).await.unwrap();
    assert_eq!(claimed, inbox::Claimed::Ours);
}

/// Starts an instance by a Task, hands it to the one that waits, or holds it.
pub(super) async fn handed(runtime: &Runtime, entry: &inbox::Entry) -> Option<Advance> {
    let (process, _) = entry.business_key.split_once('/').unwrap();
    let found = candidates(runtime, entry).await;
    let incoming = Incoming {
        task: entry.task,
        epoch: entry.lease_epoch,
        document: json::parse(entry.document.as_bytes()).unwrap(),
    };
    let waits = found.first().map(|it| (it.instance, it.subscription));
    match waits {
        Some((instance, Some(subscription))) => Some(
            runtime
                .receive(instance, subscription, incoming)
                .await
                .unwrap(),
        ),
        None if process == "work" => {
            let definition = runtime
                .definition(&self::process(process))
                .await
                .unwrap()
                .unwrap();
            let at = definition.graph.find("s").unwrap();
            let business_key = entry.business_key.clone();
            let start = Starting {
                definition,
                at,
                business_key,
            };
            Some(runtime.start(start, incoming).await.unwrap())
        }
        _ => {
            let hold = async |conn: &mut _| inbox::hold(conn, entry, 0.0, 60.0).await;
            runtime.store.read(hold).await.unwrap();
            None
        }
    }
}

pub(super) async fn candidates(
    runtime: &Runtime,
    entry: &inbox::Entry,
) -> Vec<instance::Candidate> {
    let (process, _) = entry.business_key.split_once('/').unwrap();
    let key = &entry.business_key;
    let ask =
        async |conn: &mut _| instance::candidates(conn, process, "1.0", key, ("m", None)).await;
    runtime.store.read(ask).await.unwrap()
}

/// Delivers signals, so many entries of the outbox at most.
pub(super) async fn signals(runtime: &Runtime, most: usize) -> usize {
    let take = async |conn: &mut _| outbox::take(conn, 10, 0.0).await;
    let due = runtime.store.read(take).await.unwrap();
    let due: Vec<_> = due
        .into_iter()
        .filter(|it| it.kind.starts_with("signal"))
        .collect();
    let due = due.iter().take(most);
    let mut delivered = 0;
    for entry in due {
        let advance = runtime.deliver_signal(entry).await.unwrap();
        delivered += usize::from(matches!(advance, Advance::Done));
    }
    delivered
}

/// Lets receive tasks without message go on.
async fn receivers(runtime: &Runtime, instance: Uuid) -> usize {
    let waiting = state(&runtime.store, instance).await;
    let frames: Vec<FrameId> = waiting
        .iter()
        .flat_map(State::waiting)
        .filter(|it| it.2 == Waiting::Continue)
        .map(|it| it.0)
        .collect();
    for frame in &frames {
        let advance = runtime.trigger(instance, go_on(*frame)).await.unwrap();
        assert!(matches!(advance, Advance::Done), "{advance:?}");
    }
    frames.len()
}

pub(super) fn go_on(frame: FrameId) -> Trigger {
    Trigger::Continue {
        frame,
        settings: Vec::new(),
        outcome: Outcome::Done,
    }
}

/// The due jobs of an instance.
pub(super) async fn due(store: &Store, of: InstanceId) -> Vec<job::Taken> {
    let take = async |conn: &mut _| job::take(conn, 1000, 0.0).await;
    let mut all = store.read(take).await.unwrap();
    all.retain(|taken| taken.instance.id == of.0);
    all
}
