//! Long outages of a partner, on a real PostgreSQL: hours pass in seconds, and nobody sleeps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::Server;
use super::connector::{Channel, Connector};
use super::outbox::Outbox;
use crate::bpe::model::Variables;
use crate::bpe::plugin::package::OnFailure;
use crate::bpe::plugin::testing::{Answered, Asked, StandIn};
use crate::bpe::plugin::{Activity, Delivery, Host, Message, Performance, Performed, ProcessId};
use crate::bpe::runtime::tests::{begin, deployed, file, performance, store};
use crate::bpe::runtime::{Runtime, Settings, Work};
use crate::kernel::{Clock, Shutdown};
use crate::net::http;
use crate::r4::Resource;
use crate::store::AsyncPgConnection;
use crate::store::bpe::{inbox, outbox, testing};

/// Sends one message to an address, and remembers what became of it.
struct Code {
    address: String,
    deliveries: Mutex<Vec<Delivery>>,
}

#[async_trait]
impl Host for Code {
    async fn perform(&self, _: Activity) -> Performance {
        let task = json!({"resourceType": "Task", "status": "requested", "intent": "order"});
        performance(Performed::Send(Box::new(Message {
            organization: "partner.example".to_owned(),
            endpoint: "partner.example".to_owned(),
            address: self.address.clone(),
            task: Resource::from_value(task).unwrap(),
        })))
    }

    fn on_failure(&self, _: &ProcessId) -> OnFailure {
        OnFailure::FailTask
    }

    async fn delivered(&self, _: Activity, delivery: Delivery) -> Performance {
        self.deliveries.lock().unwrap().push(delivery);
        Performance::nothing()
    }
}

/// An outbox with one message to a partner whose server is closed for maintenance.
struct World {
    code: Arc<Code>,
    partner: StandIn,
    open: Arc<AtomicBool>,
    outbox: Outbox,
    instance: Uuid,
}

impl World {
    async fn new() -> Self {
        let open = Arc::new(AtomicBool::new(false));
        let is_open = Arc::clone(&open);
        let partner = StandIn::start(move |_| {
            if is_open.load(Ordering::SeqCst) {
                return Answered::empty(201).with("location", "http://partner/fhir/Task/1");
            }
            // More patience than the client has: every try is one request.
            Answered::empty(503).with("retry-after", "600")
        })
        .await;
        let code = Arc::new(Code {
            address: partner.base.clone(),
            deliveries: Mutex::default(),
        });
        let store = store().await;
        let runtime = Runtime::new(
            store.clone(),
            Arc::clone(&code) as Arc<dyn Host>,
            Clock::manual(Timestamp::UNIX_EPOCH),
            Shutdown::new(),
            Settings::default(),
        );
        let model = r#"<startEvent id="s"/><sequenceFlow id="f1" sourceRef="s" targetRef="send"/>
            <sendTask id="send" camunda:class="org.example.Send"/>
            <sequenceFlow id="f2" sourceRef="send" targetRef="e"/><endEvent id="e"/>"#;
        let definition = deployed(&store, "p", &file("p", model)).await;
        let instance = begin(&runtime, definition, Variables::default()).await;
        let client = http::Client::new(&http::Settings::default()).unwrap();
        let server = Arc::new(Server::new(client, "http://own.example/fhir"));
        Self {
            code,
            partner,
            open,
            outbox: Outbox { runtime, server },
            instance,
        }
    }

    /// Lets time pass until the next try, and does it; how long that was. Nothing when there is
    /// nothing to deliver any more.
    async fn next(&self) -> Option<Duration> {
        let store = self.outbox.runtime.store();
        let due = store.read(async |conn| outbox::next_due(conn).await).await;
        let wait = due.unwrap()?.max(0.0);
        let pass = async |conn: &mut _| testing::pass(conn, wait).await;
        store.read(pass).await.unwrap();
        let taken = self.outbox.take(10).await.unwrap();
        assert_eq!(taken.len(), 1, "it is due");
        for entry in taken {
            self.outbox.run(entry).await.unwrap();
        }
        Some(Duration::from_secs_f64(wait))
    }

    fn deliveries(&self) -> Vec<Delivery> {
        self.code.deliveries.lock().unwrap().clone()
    }

    async fn is_waiting(&self) -> bool {
        let store = self.outbox.runtime.store();
        crate::bpe::runtime::tests::state(store, self.instance)
            .await
            .is_some()
    }
}

/// A mailbox whose Tasks are claimed while it is read: what is claimed leaves the list.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_claimed_while_the_waiting_is_read_hides_nothing() {
    const TASKS: usize = 50;
    let ids: Vec<Uuid> = (0..TASKS).map(|_| Uuid::new_v4()).collect();
    // Many of one millisecond, and of one page more than fit.
    let time = |at: usize| format!("2026-01-01T00:00:00.{:03}+01:00", at / 25);
    let tasks = ids.iter().enumerate().map(|(at, id)| {
        json!({"resourceType": "Task", "id": id, "status": "requested", "intent": "order",
            "meta": {"versionId": "1", "lastUpdated": time(at)}})
    });
    let waiting = Mutex::new(tasks.collect::<Vec<_>>());
    let mailbox = StandIn::start(move |asked| {
        let mut waiting = waiting.lock().unwrap();
        let url = Url::parse("http://mailbox/").unwrap().join(&asked.path);
        let url = url.unwrap();
        let value = |name: &str| {
            let found = url.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned())
        };
        let since = value("_lastUpdated").map(|since| {
            let since = since.strip_prefix("ge").unwrap();
            since.parse::<Timestamp>().unwrap()
        });
        let is_asked = |task: &&Value| {
            let time = task["meta"]["lastUpdated"].as_str().unwrap();
            since.is_none_or(|since| time.parse::<Timestamp>().unwrap() >= since)
        };
        let number = |name: &str| value(name).unwrap().parse::<usize>().unwrap();
        let (page, count) = (number("_page"), number("_count"));
        let found: Vec<Value> = waiting.iter().filter(is_asked).cloned().collect();
        let shown = found.chunks(count).nth(page - 1).unwrap_or_default();
        let entries: Vec<Value> = shown.iter().map(|task| json!({"resource": task})).collect();
        let mut bundle = json!({"resourceType": "Bundle", "type": "searchset", "entry": entries});
        if found.len() > page * count {
            bundle["link"] = json!([{"relation": "next", "url": "http://mailbox/next"}]);
        }
        // Of what was known before, the engine claims some at once.
        if page == 1 {
            waiting.drain(..3);
        }
        Answered::json(200, &bundle)
    })
    .await;
    let store = store().await;
    let code = Arc::new(Code {
        address: String::new(),
        deliveries: Mutex::default(),
    });
    let (clock, shutdown) = (Clock::system(), Shutdown::new());
    let runtime = Runtime::new(store.clone(), code, clock, shutdown, Settings::default());
    let client = http::Client::new(&http::Settings::default()).unwrap();
    let server = Arc::new(Server::new(client, &mailbox.base));
    let connector = Connector::new(runtime, server, Channel::Tasks);
    connector.catch_up().await.unwrap();
    let unknown = async |conn: &mut AsyncPgConnection| inbox::unknown(conn, &ids).await;
    assert_eq!(store.read(unknown).await.unwrap(), [] as [Uuid; 0]);
}

/// The pauses grow to a minute and no further, and every try is the same message.
fn are_one_message(tries: &[Asked], pauses: &[Duration]) {
    let keys: Vec<_> = tries
        .iter()
        .map(|asked| asked.header("idempotency-key"))
        .collect();
    assert!(
        keys[0].is_some() && keys.iter().all(|key| *key == keys[0]),
        "{keys:?}"
    );
    let longest = pauses.iter().max().unwrap();
    assert!(*longest <= Duration::from_secs(61), "{pauses:?}");
    assert!(
        *longest >= Duration::from_secs(25),
        "a server is left alone: {pauses:?}"
    );
}

/// Design §5: a partner's maintenance window never fails a process by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_is_down_for_ten_minutes_gets_the_message_once() {
    let world = World::new().await;
    let (mut passed, mut pauses) = (Duration::ZERO, Vec::new());
    loop {
        world
            .open
            .store(passed >= Duration::from_secs(600), Ordering::SeqCst);
        let Some(pause) = world.next().await else {
            break;
        };
        pauses.push(pause);
        passed += pause;
        if passed < Duration::from_secs(600) {
            assert!(world.is_waiting().await, "after {passed:?}");
        }
        assert!(pauses.len() < 200, "{pauses:?}");
    }
    assert_eq!(world.deliveries(), [Delivery::Accepted]);
    assert!(!world.is_waiting().await, "it has gone on to its end");
    let tries = world.partner.taken();
    assert_eq!(tries.len(), pauses.len());
    are_one_message(&tries, &pauses);
    assert!((10..=60).contains(&tries.len()), "{} tries", tries.len());
    assert!(
        passed < Duration::from_secs(600 + 122),
        "soon after it is back: {passed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_is_down_for_longer_than_the_deadline_fails_the_message_then() {
    let world = World::new().await;
    let (mut passed, mut pauses) = (Duration::ZERO, Vec::new());
    while let Some(pause) = world.next().await {
        passed += pause;
        pauses.push(pause);
        assert!(pauses.len() < 400, "{pauses:?}");
    }
    let deliveries = world.deliveries();
    let [Delivery::Failed { status, message }] = deliveries.as_slice() else {
        panic!("{deliveries:?}")
    };
    assert_eq!(*status, Some(503));
    assert!(message.contains("503"), "{message}");
    let hour = Duration::from_secs(3600);
    assert!(
        passed >= hour && passed < hour + Duration::from_secs(62),
        "{passed:?}"
    );
    are_one_message(&world.partner.taken(), &pauses);
}
