//! Organisations that ping each other: mailboxes and engines as processes of their own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use dsf::store::Settings;
use dsf::store::testing::{fresh_database, temporary_folder};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::harness::{Client, Launch, ORGANIZATION, Server, World, until};

const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn three_organisations_of_dev_up_ping_each_other() {
    let network = Network(temporary_folder("network"));
    let up = network
        .run(&["up", "--organizations", "3", "--detach"])
        .await;
    assert!(up.status.success(), "{up:?}");
    let ping = network.run(&["ping", "--json"]).await;
    let text = String::from_utf8_lossy(&ping.stdout);
    let table: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {ping:?}"));
    let pairs = table.as_array().expect("a line for each pair");
    assert!(ping.status.success() && pairs.len() == 6, "{table:#}");
    let down = network.run(&["down"]).await;
    assert!(down.status.success(), "{down:?}");
}

/// A network of `dsf dev`; it is taken down when this is dropped.
struct Network(PathBuf);

impl Network {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dsf"));
        command.arg("dev").args(arguments).arg("--dir").arg(&self.0);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Nothing may be running.
        let _ = self.command(&["reset"]).output();
    }
}

/// A mailbox and an engine that are two processes.
struct Organization {
    world: Arc<World>,
    name: &'static str,
    database: Settings,
    mailbox: Option<Server>,
    engine: Option<Server>,
}

impl Organization {
    async fn start(world: &Arc<World>, name: &'static str) -> Self {
        let (world, database) = (Arc::clone(world), fresh_database().await);
        let mut organization = Self {
            world,
            name,
            database,
            mailbox: None,
            engine: None,
        };
        organization.open_mailbox().await;
        organization.start_engine().await;
        let local = organization.local();
        until("the ping-pong processes are deployed", PATIENCE, async || {
            let query = "ActivityDefinition?url=http://dsf.dev/bpe/Process/pong&version=1.0&status=active";
            !local.search(query).await.is_empty()
        })
        .await;
        organization
    }

    async fn open_mailbox(&mut self) {
        let launch = Launch::of(&self.world, self.name).database(&self.database);
        self.mailbox = Some(launch.start().await);
    }

    async fn start_engine(&mut self) {
        let launch = Launch::of(&self.world, self.name).database(&self.database);
        self.engine = Some(launch.engine().start().await);
    }

    fn local(&self) -> Client {
        self.mailbox.as_ref().expect("an open mailbox").local()
    }

    /// Asks the engine to ping everybody; the id of the Task.
    async fn ping(&self) -> String {
        let own = json!({
            "type": "Organization",
            "identifier": {
                "system": ORGANIZATION,
                "value": self.world.member(self.name).identifier,
            },
        });
        let message = "http://dsf.dev/fhir/CodeSystem/bpmn-message";
        let task = json!({
            "resourceType": "Task",
            "meta": {"profile": ["http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0"]},
            "instantiatesCanonical": "http://dsf.dev/bpe/Process/ping|1.0",
            "status": "requested",
            "intent": "order",
            "authoredOn": Timestamp::now().to_string(),
            "requester": own,
            "restriction": {"recipient": [own]},
            "input": [{
                "type": {"coding": [{"system": message, "code": "message-name"}]},
                "valueString": "startPing",
            }],
        });
        self.local().create(&task).await["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// What the pings came to, as the engine notes it in the Task.
    async fn outcome(&self, ping: &str) -> Option<Vec<String>> {
        let task = self.local().get(&format!("Task/{ping}")).await.json();
        if task["status"] == "failed" {
            return Some(vec![task["output"].to_string()]);
        }
        let outputs = task["output"].as_array()?.iter();
        let codes = outputs.map(|output| {
            output["valueCoding"]["code"]
                .as_str()
                .unwrap_or("?")
                .to_owned()
        });
        (task["status"] == "completed").then(|| codes.collect())
    }

    /// How many Tasks in the mailbox carry each message, by status.
    async fn messages(&self) -> BTreeMap<(String, String), usize> {
        let mut counts = BTreeMap::new();
        for page in 1.. {
            let tasks = self
                .local()
                .search(&format!("Task?_sort=_id&_count=100&_page={page}"))
                .await;
            if tasks.is_empty() {
                break;
            }
            for task in tasks {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let key = (
                    text(&task["input"][0]["valueString"]),
                    text(&task["status"]),
                );
                *counts.entry(key).or_default() += 1;
            }
        }
        counts
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_is_away_for_a_while_is_pinged_when_it_is_back() {
    let world = Arc::new(World::recorded());
    let a = Organization::start(&world, "bpe-a").await;
    let mut b = Organization::start(&world, "bpe-b").await;
    let first = a.ping().await;
    until("the first ping is answered", PATIENCE, async || {
        a.outcome(&first).await.is_some()
    })
    .await;
    assert_eq!(a.outcome(&first).await.unwrap(), ["pong-received"]);

    assert!(b.engine.take().unwrap().stop(), "the engine ends in order");
    assert!(
        b.mailbox.take().unwrap().stop(),
        "the mailbox ends in order"
    );
    let second = a.ping().await;
    let claimed =
        async || a.local().get(&format!("Task/{second}")).await.json()["status"] == "in-progress";
    until("the engine has begun", PATIENCE, claimed).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        a.outcome(&second).await,
        None,
        "the engine waits for its partner"
    );
    b.open_mailbox().await;
    b.start_engine().await;
    until("the second ping is answered", PATIENCE, async || {
        a.outcome(&second).await.is_some()
    })
    .await;
    assert_eq!(a.outcome(&second).await.unwrap(), ["pong-received"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_come_while_the_engine_is_dead_are_done_once_it_is_back() {
    let world = Arc::new(World::recorded());
    let a = Organization::start(&world, "bpe-a").await;
    let mut b = Organization::start(&world, "bpe-b").await;
    b.engine.take().unwrap().signal(Signal::SIGKILL);
    let pings = [a.ping().await, a.ping().await];
    let waiting = ("ping".to_owned(), "requested".to_owned());
    until("both pings wait in the mailbox", PATIENCE, async || {
        b.messages().await.get(&waiting) == Some(&2)
    })
    .await;
    b.start_engine().await;
    for ping in &pings {
        until("the ping is answered", PATIENCE, async || {
            a.outcome(ping).await.is_some()
        })
        .await;
        assert_eq!(a.outcome(ping).await.unwrap(), ["pong-received"]);
    }
    let count = |messages: BTreeMap<(String, String), usize>, name: &str| {
        let of_it = messages
            .into_iter()
            .filter(|((message, _), _)| message == name);
        of_it.map(|(_, count)| count).sum::<usize>()
    };
    assert_eq!(count(a.messages().await, "pong"), 2, "none twice");
}

/// `spec/bpmn.md` §5.12: whatever the moment of the end, nothing is lost and nothing done twice.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_killed_ten_times_answers_every_ping_exactly_once() {
    const PINGS: usize = 50;
    const SEED: u64 = 20_261_121;
    let world = Arc::new(World::recorded());
    let mut a = Organization::start(&world, "bpe-a").await;
    let b = Organization::start(&world, "bpe-b").await;
    let mut random = StdRng::seed_from_u64(SEED);
    let mut pings = Vec::new();
    for _ in 0..10 {
        for _ in 0..PINGS / 10 {
            pings.push(a.ping().await);
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..600))).await;
        a.engine.take().unwrap().signal(Signal::SIGKILL);
        a.start_engine().await;
    }
    for ping in &pings {
        until("every ping is answered", PATIENCE, async || {
            a.outcome(ping).await.is_some()
        })
        .await;
        assert_eq!(a.outcome(ping).await.unwrap(), ["pong-received"]);
    }
    let settled = async || {
        !a.messages()
            .await
            .keys()
            .any(|(name, status)| name == "pong" && status != "completed")
    };
    until("the last pongs are noted", PATIENCE, settled).await;
    let done = |name: &str| ((name.to_owned(), "completed".to_owned()), PINGS);
    let mut at_a = a.messages().await;
    at_a.retain(|(_, status), _| status != "draft");
    assert_eq!(
        at_a,
        BTreeMap::from([done("pong"), done("startPing")]),
        "at the one who asked"
    );
    let mut at_b = b.messages().await;
    at_b.retain(|(_, status), _| status != "draft");
    assert_eq!(
        at_b,
        BTreeMap::from([done("ping")]),
        "at the one who was asked"
    );
}
