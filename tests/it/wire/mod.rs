//! The recorded traffic of the Java system (`data/wire`), played request by request against our
//! FHIR roles: same statuses, same headers, same bodies; ids, times and host names are ours.
//!
//! What differs from the recording on purpose:
//!
//! | what | why |
//! |---|---|
//! | versions of Organization and Endpoint | Java had loaded its allow list twice before `02`; an unchanged Bundle makes no version here |
//! | order of entries in a searchset | by id or by the clock of the recording's servers; ids are random |
//! | order of parameters in links | that of a hash map in Java |
//! | `software` of the CapabilityStatement | its version is that of this program |
//! | `reason` of the built-in Subscriptions | Java misspells it |
//! | heart-beats | every 28 s; not waited for |
//! | the reason of a refusal in `issue.details` | told to local identities, so that they can mend it |

mod comparison;
mod plugin;
mod recording;
mod renaming;

use std::collections::HashMap;
use std::sync::Arc;

use dsf::net::websocket::Event;
use serde_json::Value;

use self::comparison::Comparison;
use self::recording::{Exchange, Recording};
use super::harness::material::shared;
use super::harness::socket::built_in;
use super::harness::{Client, Launch, Listener, Server, World};

/// `spec/bpe.md` §2.1 to §2.3, §5.7: a Java engine starts for the first time, then again.
#[tokio::test]
async fn a_java_engine_starts_on_our_mailbox_as_on_its_own() {
    let Some(shared) = shared("data/wire") else {
        return;
    };
    let mut stage = Stage::set(&["bpe-a"]).await;
    stage
        .play(Recording::load(
            &shared,
            "01-bpe-first-start",
            "dsf-bpe-test-plugin-v2",
        ))
        .await;
    stage
        .play(Recording::load(
            &shared,
            "02-bpe-start-again",
            "dsf-bpe-test-plugin-v2",
        ))
        .await;
    stage.verdict();
}

/// `spec/bpe.md` §0, §3.5, §7.3: two Java engines ping each other over our two mailboxes.
#[tokio::test]
async fn two_java_organisations_ping_each_other_over_our_mailboxes() {
    let Some(shared) = shared("data/wire") else {
        return;
    };
    let mut stage = Stage::set(&["bpe-a", "bpe-b"]).await;
    let start = Recording::load(&shared, "11-ping-pong-start-b", "dsf-process-ping-pong");
    stage.deploy_at_a(&start).await;
    stage.play(start).await;
    let ping = Recording::load(&shared, "12-ping-pong", "dsf-process-ping-pong");
    stage.listen(&ping).await;
    stage.play(ping).await;
    stage.verdict();
}

/// Our mailboxes by the names of the recording, and what has been learned of both worlds.
struct Stage {
    world: Arc<World>,
    servers: HashMap<&'static str, Server>,
    sockets: HashMap<String, Listener>,
    comparison: Comparison,
}

impl Stage {
    async fn set(members: &[&'static str]) -> Self {
        let world = Arc::new(World::recorded());
        let mut servers = HashMap::new();
        for member in members {
            let name = if *member == "bpe-a" {
                "fhir-a"
            } else {
                "fhir-b"
            };
            servers.insert(name, Launch::of(&world, member).start().await);
        }
        let comparison = Comparison::between(&world);
        Self {
            world,
            servers,
            sockets: HashMap::new(),
            comparison,
        }
    }

    /// What organisation A deployed before the recording began: the same with its own name.
    async fn deploy_at_a(&self, recording: &Recording) {
        let request = recording
            .exchanges
            .iter()
            .find(|exchange| exchange.text("method") == "POST");
        let body = request.expect("a deployment").0["body"].to_string();
        let body = body.replace("External_Test_Organization", "Test_Organization");
        let answer = self.servers["fhir-a"]
            .local()
            .post("", &body.parse().unwrap())
            .await;
        assert_eq!(answer.status, 200, "{answer}");
    }

    /// Opens the sockets that had been bound before the recording began.
    async fn listen(&mut self, recording: &Recording) {
        for exchange in recording
            .frames()
            .filter(|frame| !frame.text("from").starts_with("bpe"))
        {
            let name = exchange.text("socket");
            if !self.sockets.contains_key(name) {
                let local = self.servers[exchange.text("from")].local();
                let subscription = built_in(&local, "Task?status=requested").await;
                self.sockets.insert(
                    name.to_owned(),
                    Listener::bound(&local, &subscription).await,
                );
            }
        }
    }

    async fn play(&mut self, recording: Recording) {
        for exchange in &recording.exchanges {
            self.comparison
                .at(&format!("{} n={}", recording.name, exchange.number()));
            match (exchange.text("frame"), exchange.text("path")) {
                ("text", _) => self.frame(exchange).await,
                ("", "/fhir/ws") => self.open_socket(exchange).await,
                ("", path) if !path.is_empty() => self.request(exchange, &recording).await,
                // Notes and heart-beats.
                _ => {}
            }
        }
    }

    async fn open_socket(&mut self, exchange: &Exchange) {
        let client = self.client(exchange);
        let socket = Listener::open(&client).await.expect("an upgrade");
        self.sockets
            .insert(exchange.text("socket").to_owned(), socket);
    }

    async fn frame(&mut self, exchange: &Exchange) {
        let socket = self
            .sockets
            .get_mut(exchange.text("socket"))
            .expect("an open socket");
        let text = &exchange.0["text"];
        if exchange.text("from").starts_with("bpe") {
            let text = self
                .comparison
                .renaming
                .to_ours(text.as_str().unwrap_or_default());
            return socket.say(&text).await;
        }
        let heard = match socket.hear().await {
            Event::Text(heard) if text.is_string() => Value::String(heard),
            Event::Text(heard) => heard.parse().unwrap(),
            other => return self.comparison.no_frame(text, &other),
        };
        self.comparison.body(text, &heard);
    }

    async fn request(&mut self, exchange: &Exchange, recording: &Recording) {
        let ours = |text: &str| self.comparison.renaming.to_ours(text);
        let path = ours(
            exchange
                .text("path")
                .strip_prefix("/fhir")
                .expect("a path below the base"),
        );
        let body = match &exchange.0["body"] {
            Value::Null => String::new(),
            body => ours(&body.to_string()),
        };
        let headers = exchange.headers("headers");
        let mut headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, *value))
            .collect();
        headers.push(("accept-encoding", "gzip,deflate"));
        let client = self.client(exchange);
        let answer = client
            .send(exchange.text("method"), &path, &headers, body)
            .await;
        let answer = answer.expect("an answer");
        self.comparison
            .status(exchange.0["status"].as_u64().unwrap_or(200), &answer);
        self.comparison
            .headers(&exchange.headers("response_headers"), &answer);
        match recording.answer_to(exchange) {
            Value::Null => self.comparison.no_body(&answer),
            body => match serde_json::from_slice(&answer.body) {
                Ok(actual) => self.comparison.body(body, &actual),
                Err(_) => self.comparison.no_json(&answer),
            },
        }
    }

    /// A client that knows nothing of earlier requests: Java opens a connection for each.
    fn client(&self, exchange: &Exchange) -> Client {
        let from = match exchange.text("from") {
            "starter" => "bpe-a",
            from => from.strip_prefix("bpe-a as practitioner ").unwrap_or(from),
        };
        Client::new(
            &self.world,
            Some(from),
            &self.servers[exchange.text("to")].base_url,
        )
    }

    fn verdict(self) {
        let differences = self.comparison.differences;
        assert!(
            differences.is_empty(),
            "{} differences:\n{}",
            differences.len(),
            differences.join("\n")
        );
    }
}
