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

use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dsf::store::testing::temporary_folder;
use dsf::store::{Cluster, Settings};
use openssl::ssl::{SslConnector, SslFiletype, SslMethod};
use serde_json::Value;
use tokio_postgres::NoTls;

use harness::socket::built_in;
use harness::{Client, Launch, Listener, Process, Server, World};

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
    let launch = Launch::of(&world, "local")
        .database(&settings)
        .set("database.pool-size=32");
    let server = launch.set("log.level=warn").start().await;
    let process = Process::deploy(&server.local()).await;

    println!(
        "{:<34} {:>10} {:>10} {:>10} {:>7} {:>9}",
        "", "per second", "p50 ms", "p99 ms", "ratio", "baseline"
    );
    creates(&server, &process, &url).await;
    reads(&server, &process).await;
    events(&server, &process).await;
    drop(server);
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
        let task = process.task(REQUESTER);
        let ours = measure(&clients(server, connections), |client: Client| {
            let task = task.clone();
            async move {
                client.create(&task).await;
            }
        })
        .await;
        ours.print(
            &format!("Task create, {connections} connections"),
            Some(&bare),
        );
    }
}

async fn reads(server: &Server, process: &Process) {
    let task = server.local().create(&process.task(REQUESTER)).await;
    let path = harness::sample::path(&task);
    for connections in [1, 32] {
        let kept = measure(&clients(server, connections), |client: Client| {
            read(client, path.clone())
        })
        .await;
        kept.print(&format!("read by id, {connections} connections"), None);
        if connections == 1 {
            continue;
        }
        // As a Java engine does: a connection, so a full handshake, for every request.
        let stranger = Arc::new(Stranger::new(server, &path));
        let fresh = measure(&vec![stranger; 4], |stranger: Arc<Stranger>| async {
            tokio::task::spawn_blocking(move || stranger.read())
                .await
                .unwrap();
        })
        .await;
        fresh.print("full mutual handshake and read", Some(&kept));
    }
}

async fn read(client: Client, path: String) {
    assert_eq!(client.get(&path).await.status, 200);
}

/// A client that remembers nothing, neither connections nor sessions.
struct Stranger {
    connector: SslConnector,
    port: u16,
    request: String,
}

impl Stranger {
    fn new(server: &Server, path: &str) -> Self {
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        let file = |name: &str| server.world.path(name);
        connector.set_ca_file(file("ca.crt")).unwrap();
        connector
            .set_certificate_chain_file(file("local.crt"))
            .unwrap();
        connector
            .set_private_key_file(file("local.key"), SslFiletype::PEM)
            .unwrap();
        let request = format!(
            "GET /fhir/{path} HTTP/1.1\r\nHost: localhost:{}\r\n\
             Accept: application/fhir+json\r\nConnection: close\r\n\r\n",
            server.port
        );
        Self {
            connector: connector.build(),
            port: server.port,
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

/// A client with a connection of its own for each worker.
fn clients(server: &Server, count: usize) -> Vec<Client> {
    (0..count)
        .map(|_| Client::new(&server.world, Some("local"), &server.base_url))
        .collect()
}

fn period() -> Duration {
    let seconds = std::env::var("SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

/// Lets each worker do one thing after the other, first for a moment to warm up.
async fn measure<T, F>(workers: &[T], work: impl Fn(T) -> F) -> Figures
where
    T: Clone,
    F: Future<Output = ()>,
{
    for worker in workers {
        work(worker.clone()).await;
    }
    let (begun, period) = (Instant::now(), period());
    let loops = workers.iter().map(|worker| async {
        let mut times = Vec::new();
        while begun.elapsed() < period {
            let started = Instant::now();
            work(worker.clone()).await;
            times.push(started.elapsed());
        }
        times
    });
    let times = futures_util::future::join_all(loops)
        .await
        .into_iter()
        .flatten()
        .collect();
    Figures {
        times,
        whole: begun.elapsed(),
    }
}

#[derive(Default)]
struct Figures {
    times: Vec<Duration>,
    whole: Duration,
}

impl Figures {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn rate(&self) -> f64 {
        self.times.len() as f64 / self.whole.as_secs_f64()
    }

    fn print(&self, what: &str, baseline: Option<&Self>) {
        let mut times = self.times.clone();
        times.sort_unstable();
        let at = |part: usize| {
            times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1e3
        };
        let (rate, half, most) = (self.rate(), at(50), at(99));
        let ratio = baseline.map_or(String::new(), |baseline| {
            format!("{:.2}", rate / baseline.rate())
        });
        let bare = baseline.map_or(String::new(), |baseline| format!("{:.0}", baseline.rate()));
        println!("{what:<34} {rate:>10.0} {half:>10.2} {most:>10.2} {ratio:>7} {bare:>9}");
    }
}
