//! From a committed event to the queue of a socket, on a real PostgreSQL (`spec/bpe.md` §1.5).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use diesel_async::SimpleAsyncConnection;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;

use super::session::Outlet;
use super::{Closing, Feed, Frame, Mailbox, Payload, Session};
use crate::auth::Identity;
use crate::fhir::fault::Fault;
use crate::fhir::search::terms;
use crate::fhir::service::Peer;
use crate::kernel::{Clock, Shutdown};
use crate::r4::Resource;
use crate::store::fhir::search::testing;
use crate::store::notify::Hub;
use crate::store::testing::fresh_database;
use crate::store::{AsyncPgConnection, Error, Schema, Store};

/// Withholds what has a language.
struct Door;

#[async_trait]
impl Mailbox for Door {
    async fn may_receive(&self, _: &Peer, resource: &Resource) -> Result<bool, Fault> {
        Ok(resource.get("language").is_none())
    }

    async fn may_listen(&self, _: &Peer) -> Result<bool, Fault> {
        Ok(true)
    }

    fn present(&self, resource: &Resource, payload: Payload) -> String {
        format!(
            "{payload:?} {} {}",
            resource.id().unwrap_or("?"),
            resource.version_id().unwrap_or("?")
        )
    }
}

struct World {
    store: Store,
    feed: Arc<Feed>,
    clock: Clock,
    shutdown: Shutdown,
}

impl World {
    async fn new() -> Self {
        let settings = fresh_database().await;
        let store = Store::open(&settings, Schema::Fhir).await.expect("a store");
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let feed = Feed::open(store.clone(), Arc::new(Door), clock.clone())
            .await
            .expect("a feed");
        let shutdown = Shutdown::new();
        let (hub, running, end) = (Hub::start(&store), Arc::clone(&feed), shutdown.clone());
        tokio::spawn(async move { running.run(&hub, &end).await });
        Self {
            store,
            feed,
            clock,
            shutdown,
        }
    }

    async fn put(&self, number: u8, version: u8, mut value: Value) {
        value["id"] = json!(id(number));
        value["meta"]["versionId"] = json!(version.to_string());
        value["meta"]["lastUpdated"] = json!("2026-01-01T00:00:00.000Z");
        let resource = Resource::from_value(value).expect("a resource");
        self.store
            .read(async |conn| {
                testing::put(conn, &resource, terms(&resource), &["ALL"]).await;
                Ok::<_, Error>(())
            })
            .await
            .expect("stored");
    }

    async fn subscribe(
        &self,
        number: u8,
        version: u8,
        status: &str,
        criteria: &str,
        channel: Value,
    ) {
        let subscription = json!({"resourceType": "Subscription", "status": status,
            "criteria": criteria, "channel": channel});
        self.put(number, version, subscription).await;
    }

    fn socket(&self) -> (Arc<Session>, Outlet) {
        let (session, outlet) = Session::new(Peer::Loader, Arc::new(Identity::initial_loader()));
        self.feed.join(&session);
        (session, outlet)
    }

    async fn bind(&self, session: &Session, number: u8) {
        self.feed
            .hear(session, &format!("bind {}", id(number)))
            .await
            .expect("heard");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

fn id(number: u8) -> String {
    Uuid::from_u128(u128::from(number)).to_string()
}

fn text(text: &str) -> Option<Frame> {
    Some(Frame::Text(text.into()))
}

async fn next(outlet: &mut Outlet) -> Option<Frame> {
    timeout(Duration::from_secs(20), outlet.next())
        .await
        .expect("a frame in time")
}

fn patient(value: &str) -> Value {
    json!({"resourceType": "Patient", "identifier": [{"value": value}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matching_events_come_in_order_once_per_subscription_and_only_where_allowed() {
    let world = World::new().await;
    let json_channel = json!({"type": "websocket", "payload": "application/fhir+json"});
    world
        .subscribe(1, 1, "active", "Patient?identifier=x", json_channel.clone())
        .await;
    world
        .subscribe(
            2,
            1,
            "active",
            "Patient?identifier=x",
            json!({"type": "websocket"}),
        )
        .await;
    let (session, mut outlet) = world.socket();
    let (other, mut idle) = world.socket();
    world.bind(&session, 1).await;
    world.bind(&session, 1).await;
    world.bind(&other, 2).await;
    for _ in 0..2 {
        assert_eq!(next(&mut outlet).await, text(&format!("bound {}", id(1))));
    }
    assert_eq!(next(&mut idle).await, text(&format!("bound {}", id(2))));
    world.put(10, 1, patient("y")).await;
    let mut secret = patient("x");
    secret["language"] = json!("de");
    world.put(11, 1, secret).await;
    for number in 12..22 {
        world.put(number, 1, patient("x")).await;
    }
    for number in 12..22 {
        assert_eq!(
            next(&mut outlet).await,
            text(&format!("Json {} 1", id(number)))
        );
        assert_eq!(next(&mut idle).await, text(&format!("ping {}", id(2))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_switched_off_is_silent_and_switched_on_heard_again() {
    let world = World::new().await;
    let channel = json!({"type": "websocket", "payload": "application/fhir+xml"});
    let criteria = "Patient?identifier=x";
    world
        .subscribe(1, 1, "active", criteria, channel.clone())
        .await;
    let (session, mut outlet) = world.socket();
    world.bind(&session, 1).await;
    assert_eq!(next(&mut outlet).await, text(&format!("bound {}", id(1))));
    world
        .subscribe(1, 2, "off", criteria, channel.clone())
        .await;
    world.put(10, 1, patient("x")).await;
    world.subscribe(1, 3, "active", criteria, channel).await;
    world.put(11, 1, patient("x")).await;
    let first = next(&mut outlet).await;
    // Off and on may have been read together, but never is the order wrong or an event doubled.
    if first == text(&format!("Xml {} 1", id(10))) {
        assert_eq!(next(&mut outlet).await, text(&format!("Xml {} 1", id(11))));
    } else {
        assert_eq!(first, text(&format!("Xml {} 1", id(11))));
    }
}

/// What comes behind the change in the same look is heard of as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_turns_to_another_type_misses_nothing_of_it() {
    let world = World::new().await;
    let channel = json!({"type": "websocket", "payload": "application/fhir+json"});
    let criteria = "Patient?identifier=x";
    world
        .subscribe(1, 1, "active", criteria, channel.clone())
        .await;
    let (session, mut outlet) = world.socket();
    world.bind(&session, 1).await;
    assert_eq!(next(&mut outlet).await, text(&format!("bound {}", id(1))));
    let (begun, has_begun) = oneshot::channel();
    let (end, may_end) = oneshot::channel::<()>();
    let signals = Arc::new(Mutex::new(Some((begun, may_end))));
    let store = world.store.clone();
    // As long as it runs nothing is in sight that is written after it.
    let older = tokio::spawn(async move {
        let work = async move |conn: &mut AsyncPgConnection| {
            conn.batch_execute("SELECT pg_current_xact_id()").await?;
            let signals = signals.lock().expect("no panic").take();
            let (begun, may_end) = signals.expect("it runs once");
            begun.send(()).expect("somebody waits");
            may_end.await.expect("it is told to end");
            Ok(())
        };
        store.write::<_, Error, _>(work).await
    });
    has_begun.await.expect("it has begun");
    let criteria = "Group?identifier=x";
    world.subscribe(1, 2, "active", criteria, channel).await;
    let group = json!({"resourceType": "Group", "identifier": [{"value": "x"}]});
    world.put(10, 1, group).await;
    end.send(()).expect("it waits");
    older.await.expect("no panic").expect("committed");
    assert_eq!(next(&mut outlet).await, text(&format!("Json {} 1", id(10))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bind_needs_the_exact_id_of_an_active_subscription() {
    let world = World::new().await;
    let channel = json!({"type": "websocket"});
    world
        .subscribe(1, 1, "active", "Task", channel.clone())
        .await;
    world
        .subscribe(2, 1, "off", "Task?status=draft", channel)
        .await;
    for wanted in [
        id(3),
        id(2),
        format!(" {}", id(1)),
        format!("{}/_history/1", id(1)),
        "x".into(),
    ] {
        let (session, mut outlet) = world.socket();
        for ignored in ["", "hello", "bind", "BIND x", "unbind x"] {
            world.feed.hear(&session, ignored).await.expect("ignored");
        }
        world
            .feed
            .hear(&session, &format!("bind {wanted}"))
            .await
            .expect("heard");
        assert_eq!(
            next(&mut outlet).await,
            Some(Frame::Close(Closing::NotFound(wanted)))
        );
    }
}

#[cfg(feature = "bpe")]
mod wire {
    //! The same through a real socket; the client side comes with the other role.

    use actix_web::{App, HttpRequest, HttpServer, web};
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::TcpStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::{WebSocketStream, client_async};

    use super::super::socket;
    use super::*;
    use crate::auth::{Credential, Rights, Subject};

    type Socket = WebSocketStream<TcpStream>;

    fn listener() -> Identity {
        let rights = Rights::of_local_organization();
        Identity {
            rights,
            subject: Subject::LocalOrganization,
            ..Identity::initial_loader()
        }
    }

    async fn connect(world: &World, identity: Identity) -> Socket {
        let (feed, shutdown) = (Arc::clone(&world.feed), world.shutdown.clone());
        let client = socket::Client {
            peer: Peer::Loader,
            identity: Arc::new(identity),
            is_trusted: Arc::new(|| true),
        };
        let server = HttpServer::new(move || {
            let (feed, shutdown, client) = (Arc::clone(&feed), shutdown.clone(), client.clone());
            let open = move |request: HttpRequest, body: web::Payload| {
                let answer = socket::open(
                    &request,
                    body,
                    client.clone(),
                    Arc::clone(&feed),
                    shutdown.clone(),
                );
                std::future::ready(answer)
            };
            App::new().route("/ws", web::get().to(open))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .expect("a port");
        let address = server.addrs()[0];
        tokio::spawn(server.run());
        let stream = TcpStream::connect(address).await.expect("a connection");
        client_async("ws://localhost/ws", stream)
            .await
            .expect("an upgrade")
            .0
    }

    async fn receive(socket: &mut Socket) -> Message {
        let message = timeout(Duration::from_secs(20), socket.next())
            .await
            .expect("in time");
        message.expect("a message").expect("no failure")
    }

    async fn closed(socket: &mut Socket) -> (u16, String) {
        match receive(socket).await {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("not closed: {other:?}"),
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_socket_is_bound_hears_events_and_is_closed_with_the_codes_of_the_dsf() {
        let world = World::new().await;
        let channel = json!({"type": "websocket", "payload": "application/fhir+json"});
        world
            .subscribe(1, 1, "active", "Patient?identifier=x", channel)
            .await;
        let mut socket = connect(&world, listener()).await;
        socket.send(Message::text("hello")).await.expect("sent");
        socket
            .send(Message::text(format!("bind {}", id(1))))
            .await
            .expect("sent");
        assert_eq!(
            receive(&mut socket).await,
            Message::text(format!("bound {}", id(1)))
        );
        world.put(10, 1, patient("x")).await;
        assert_eq!(
            receive(&mut socket).await,
            Message::text(format!("Json {} 1", id(10)))
        );
        socket.send(Message::text("bind x")).await.expect("sent");
        let reason = "Subscription with x not found".to_owned();
        assert_eq!(closed(&mut socket).await, (1003, reason));

        let mut mute = listener();
        mute.rights = Rights::default();
        let mut socket = connect(&world, mute).await;
        assert_eq!(closed(&mut socket).await, (1008, "Forbidden".to_owned()));

        let mut socket = connect(&world, listener()).await;
        let long = "x".repeat(100_000);
        socket.send(Message::text(long)).await.expect("sent");
        assert_eq!(closed(&mut socket).await.0, 1009);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_socket_whose_certificate_ran_out_is_closed_before_the_next_frame() {
        let world = World::new().await;
        let channel = json!({"type": "websocket"});
        world
            .subscribe(1, 1, "active", "Patient?identifier=x", channel)
            .await;
        let expires = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(3);
        let credential = Credential::Certificate {
            thumbprint: String::new(),
            expires,
        };
        let mut socket = connect(
            &world,
            Identity {
                credential,
                ..listener()
            },
        )
        .await;
        socket
            .send(Message::text(format!("bind {}", id(1))))
            .await
            .expect("sent");
        assert_eq!(
            receive(&mut socket).await,
            Message::text(format!("bound {}", id(1)))
        );
        world.clock.advance(SignedDuration::from_secs(3));
        world.put(10, 1, patient("x")).await;
        assert_eq!(
            closed(&mut socket).await,
            (1008, "Credentials expired".to_owned())
        );
    }
}
