//! What the mailbox costs: each figure beside a bare baseline of the same run on the same
//! PostgreSQL, because only ratios travel between machines.
//!
//! ```text
//! cargo bench                      some 40 s; SECONDS=5 cargo bench for steadier figures
//! ```
//! Client, node and database share this machine. The database commits durably.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot set its stage fails by panicking"
)]

#[path = "../tests/it/harness/mod.rs"]
mod harness;

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, HttpServer, web};
use common::copies::copy;
use common::wire::{Wire, connector, request};
use common::{Figures, measure, period};

use dsf::config::{Needs, Sources};
use dsf::fhir::Validation;
use dsf::kernel::{Clock, Shutdown};
use dsf::net::http;
use dsf::store::testing::temporary_folder;
use dsf::store::{Cluster, Database, Schema, Settings};
use openssl::ssl::{SslAcceptor, SslConnector, SslFiletype, SslMethod, SslVerifyMode};
use serde_json::Value;
use tokio_postgres::NoTls;

use harness::socket::built_in;
use harness::world::free_port;
use harness::{Launch, Listener, Process, Server, World};

const REQUESTER: &str = "Test_Organization";

#[tokio::main]
async fn main() {
    let cluster = Cluster::start(&temporary_folder("bench"), None)
        .await
        .unwrap();
    cluster.ensure_database("bench").await.unwrap();
    let settings = Settings {
        url: Some(cluster.url("bench")),
        ..Settings::default()
    };
    let url = settings.url.clone().unwrap();
    let world = Arc::new(World::new());
    let launch = || {
        Launch::of(&world, "local")
            .database(&settings)
            .set("database.pool-size=32")
            .set("log.level=warn")
    };
    let server = launch().start().await;
    let process = Process::deploy(&server.local()).await;

    Figures::head();
    creates(&server, &process, &url).await;
    reads(&server, &process).await;
    events(&server, &process).await;
    let task = server.local().create(&process.task(REQUESTER)).await;
    drop(server);
    judged_creates(&world, &settings, &process).await;
    let mut baseline = None;
    let counts = [1_000, 100_000, 1_000_000];
    for count in counts.into_iter().filter(|count| *count <= most_tasks()) {
        copy(&url, &task, count).await;
        // A node that has counted nothing yet: the copies had no events.
        let server = launch().start().await;
        searches(&server, count, &mut baseline).await;
    }
    cluster.stop().await;
}

/// Task creates over mutual TLS against the bare insert of the same document.
async fn creates(server: &Server, process: &Process, url: &str) {
    let document = process.task(REQUESTER).to_string();
    let (admin, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let table = "CREATE TABLE public.bare (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), \
                 document text NOT NULL)";
    admin.batch_execute(table).await.unwrap();
    for connections in [1, 8, 32] {
        let mut pools = Vec::new();
        for _ in 0..connections {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
            tokio::spawn(connection);
            let insert = client
                .prepare("INSERT INTO public.bare (document) VALUES ($1)")
                .await
                .unwrap();
            pools.push(Arc::new((client, insert)));
        }
        let bare = measure(
            &pools,
            |pool: Arc<(tokio_postgres::Client, tokio_postgres::Statement)>| {
                let document = document.clone();
                async move {
                    pool.0.execute(&pool.1, &[&document]).await.unwrap();
                }
            },
        )
        .await;
        bare.print(&format!("bare insert, {connections} connections"), None);
        let create = request("POST", server.port, "Task", &document);
        let connector = connector(&server.world, "local");
        let wires = Wire::several(&connector, server.port, connections).await;
        let ours = measure(&wires, |wire: Wire| wire.exchange(create.clone(), 201)).await;
        ours.print(
            &format!("Task create, {connections} connections"),
            Some(&bare),
        );
    }
}

/// Task creates at a mailbox that judges, and at one that does not, on the same database. Each is
/// alone, and they take turns, so that a table that grows slows both alike.
async fn judged_creates(world: &Arc<World>, settings: &Settings, process: &Process) {
    const TURNS: [Validation; 6] = {
        use Validation::{Off, On};
        [Off, On, On, Off, Off, On]
    };
    let connector = connector(world, "local");
    let document = process.task(REQUESTER).to_string();
    let counts = [1, 8, 32];
    let mut without = counts.map(|_| Figures::default());
    let mut with = counts.map(|_| Figures::default());
    for validation in TURNS {
        let shutdown = Shutdown::new();
        let port = mailbox(world, settings, validation, &shutdown).await;
        let create = request("POST", port, "Task", &document);
        let figures = match validation {
            Validation::Off => &mut without,
            Validation::On => &mut with,
        };
        for (connections, figures) in counts.into_iter().zip(figures) {
            let wires = Wire::several(&connector, port, connections).await;
            figures.add(measure(&wires, |wire: Wire| wire.exchange(create.clone(), 201)).await);
        }
        shutdown.drain(Duration::from_secs(10)).await.unwrap();
    }
    for ((connections, without), with) in counts.into_iter().zip(&without).zip(&with) {
        without.print(&format!("Task create unjudged, {connections} conn."), None);
        let what = format!("Task create judged, {connections} connections");
        with.print(&what, Some(without));
    }
}

/// A mailbox in this process; its port.
async fn mailbox(
    world: &World,
    settings: &Settings,
    validation: Validation,
    shutdown: &Shutdown,
) -> u16 {
    let port = free_port();
    let file = world.write_node(world.member("local"), port);
    let sources = Sources::of_process(Some(file), Vec::new());
    let needs = Needs {
        fhir: true,
        bpe: false,
    };
    let config = sources.load(needs).unwrap();
    let mut mailbox = config.mailbox().unwrap();
    mailbox.validation = validation;
    let client = http::Client::new(&config.client.as_ref().unwrap().http()).unwrap();
    let settings = Settings {
        pool_size: 32,
        ..settings.clone()
    };
    let database = Database::open(&settings).await.unwrap();
    let store = database.store(Schema::Fhir).await.unwrap();
    let roles = config.roles.clone();
    let clock = Clock::system();
    dsf::fhir::start(mailbox, roles, store, client, clock, shutdown)
        .await
        .unwrap();
    port
}

/// Reads over mutual TLS against a bare handler that answers with the same bytes over the same TLS.
async fn reads(server: &Server, process: &Process) {
    let task = server.local().create(&process.task(REQUESTER)).await;
    let path = harness::sample::path(&task);
    let bare_port = bare_handler(&server.world, task.to_string());
    let connector = connector(&server.world, "local");
    for connections in [1, 32] {
        let measured = async |port: u16, path: &str| {
            let read = request("GET", port, path, "");
            let wires = Wire::several(&connector, port, connections).await;
            measure(&wires, |wire: Wire| wire.exchange(read.clone(), 200)).await
        };
        let bare = measured(bare_port, &path).await;
        bare.print(&format!("bare handler, {connections} connections"), None);
        let ours = measured(server.port, &path).await;
        ours.print(
            &format!("read by id, {connections} connections"),
            Some(&bare),
        );
        let metadata = measured(server.port, "metadata").await;
        metadata.print(&format!("metadata, {connections} connections"), Some(&bare));
    }
    // As a Java engine does: a connection, so a full handshake, for every request.
    let measured = async |port: u16| {
        let stranger = Arc::new(Stranger::new(&connector, port, &path));
        measure(&vec![stranger; 4], |stranger: Arc<Stranger>| async {
            tokio::task::spawn_blocking(move || stranger.read())
                .await
                .unwrap();
        })
        .await
    };
    let bare = measured(bare_port).await;
    bare.print("bare handler, full mutual handshake", None);
    let ours = measured(server.port).await;
    ours.print("read by id, full mutual handshake", Some(&bare));
}

/// `TASKS=1000000 cargo bench` takes some minutes.
fn most_tasks() -> i64 {
    let given = std::env::var("TASKS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(100_000)
}

/// A page of twenty, the newest first, with its exact total; that among the fewest Tasks is the
/// baseline.
async fn searches(server: &Server, count: i64, baseline: &mut Option<Figures>) {
    let connector = connector(&server.world, "local");
    let page = request("GET", server.port, "Task?_sort=-_lastUpdated&_count=20", "");
    let wires = Wire::several(&connector, server.port, 8).await;
    let found = measure(&wires, |wire: Wire| wire.exchange(page.clone(), 200)).await;
    found.print(
        &format!("search 20 of {count} more Tasks"),
        baseline.as_ref(),
    );
    baseline.get_or_insert(found);
}

/// A server of its own that knows one answer.
fn bare_handler(world: &World, answer: String) -> u16 {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor
        .set_certificate_chain_file(world.path("server.crt"))
        .unwrap();
    acceptor
        .set_private_key_file(world.path("server.key"), SslFiletype::PEM)
        .unwrap();
    acceptor.set_ca_file(world.path("ca.crt")).unwrap();
    acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    acceptor.set_session_id_context(b"bare").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = HttpServer::new(move || {
        let answer = answer.clone();
        App::new().default_service(web::to(move || {
            let answer = answer.clone();
            async move {
                HttpResponse::Ok()
                    .content_type("application/fhir+json")
                    .body(answer)
            }
        }))
    })
    .workers(2)
    .disable_signals()
    .listen_openssl(listener, acceptor)
    .unwrap()
    .run();
    tokio::spawn(server);
    port
}

/// A client that remembers nothing, neither connections nor sessions.
struct Stranger {
    connector: SslConnector,
    port: u16,
    request: String,
}

impl Stranger {
    fn new(connector: &SslConnector, port: u16, path: &str) -> Self {
        let request = format!(
            "GET /fhir/{path} HTTP/1.1\r\nHost: localhost:{port}\r\n\
             Accept: application/fhir+json\r\nConnection: close\r\n\r\n",
        );
        Self {
            connector: connector.clone(),
            port,
            request,
        }
    }

    fn read(&self) {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut stream = self.connector.connect("localhost", stream).unwrap();
        stream.write_all(self.request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // Some servers end without TLS's own good-bye.
        let _ = stream.read_to_end(&mut answer);
        assert!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
}

/// From sending a Task until its frame is here, one at a time.
async fn events(server: &Server, process: &Process) {
    let local = server.local();
    let mut socket =
        Listener::bound(&local, &built_in(&local, "Task?status=requested").await).await;
    let mut figures = Figures::default();
    let begun = Instant::now();
    while begun.elapsed() < period() {
        let sent = Instant::now();
        let task: Value = local.create(&process.task(REQUESTER)).await;
        while socket.event().await["id"] != task["id"] {}
        figures.times.push(sent.elapsed());
    }
    figures.whole = begun.elapsed();
    figures.print("Task create to event frame", None);
}
