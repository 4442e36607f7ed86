//! A node: one role of one member as a process of its own.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dsf::store::{self, testing};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::world::free_port;
use super::{Client, World};

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(60);

/// How a node is to be started.
pub struct Launch {
    world: Arc<World>,
    member: &'static str,
    role: &'static str,
    port: u16,
    database: Option<String>,
    keys: Vec<String>,
    environment: Vec<(&'static str, &'static str)>,
}

impl Launch {
    /// The node that the member's Endpoint names, with an empty database.
    pub fn of(world: &Arc<World>, member: &'static str) -> Self {
        Self {
            world: Arc::clone(world),
            member,
            role: "fhir",
            port: world.member(member).port,
            database: None,
            keys: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// On a database that somebody else looks after.
    pub fn database(mut self, settings: &store::Settings) -> Self {
        self.database.clone_from(&settings.url);
        self
    }

    /// Another node of the same member, at an address of its own.
    pub fn elsewhere(mut self) -> Self {
        self.port = free_port();
        self
    }

    /// The member's engine instead of its mailbox.
    pub fn engine(mut self) -> Self {
        self.role = "bpe";
        self
    }

    /// Sets a key of the configuration, as `section.key=value`.
    pub fn set(mut self, assignment: impl Into<String>) -> Self {
        self.keys.push(assignment.into());
        self
    }

    /// Sets variables of its environment.
    pub fn environment(mut self, variables: &[(&'static str, &'static str)]) -> Self {
        self.environment.extend_from_slice(variables);
        self
    }

    /// Starts the node and waits until it listens.
    pub async fn start(self) -> Server {
        let role = self.role;
        let (mut server, status) = self.begin().await;
        let port = if role == "fhir" { server.port } else { status };
        server.listening(port).await;
        server
    }

    /// Starts a node that cannot start; what it says of it.
    pub async fn refused(self) -> String {
        let (mut server, _) = self.begin().await;
        until("the node ends", START, async || {
            server.child.try_wait().unwrap().is_some()
        })
        .await;
        server.log()
    }

    /// The process of the node, and the port for health checks.
    async fn begin(self) -> (Server, u16) {
        let url = match self.database {
            Some(url) => url,
            None => testing::fresh_database().await.url.unwrap(),
        };
        let member = self.world.member(self.member);
        let file = self.world.write_node(member, self.port);
        let (role, status) = (self.role, free_port());
        let log = file.with_extension(format!("{role}.log"));
        let mut command = Command::new(program(role));
        command
            .args(["serve", "--role", role, "--config"])
            .arg(&file);
        command
            .arg("--set")
            .arg(format!("status.listen=127.0.0.1:{status}"));
        command.arg("--set").arg(format!("database.url={url}"));
        for assignment in &self.keys {
            command.arg("--set").arg(assignment);
        }
        command.envs(self.environment.iter().copied());
        // A node that is started again goes on in its log.
        let out = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let (stdin, err) = (Stdio::null(), out.try_clone().unwrap());
        let child = command
            .stdin(stdin)
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap();
        let server = Server {
            base_url: format!("https://localhost:{}/fhir", self.port),
            world: self.world,
            member: self.member,
            port: self.port,
            child,
            log,
            clients: Mutex::default(),
        };
        (server, status)
    }
}

/// The program of a role: the built one, or another that `DSF_FHIR_PROGRAM` and
/// `DSF_BPE_PROGRAM` name, to see that programs of one role do the same.
fn program(role: &str) -> String {
    let other = std::env::var(format!("DSF_{}_PROGRAM", role.to_uppercase()));
    other.unwrap_or_else(|_| env!("CARGO_BIN_EXE_dsf").to_owned())
}

/// A running node; it is killed when this is dropped.
pub struct Server {
    pub world: Arc<World>,
    /// Where this node answers. Behind a load balancer it would differ from what it calls itself.
    pub base_url: String,
    pub port: u16,
    member: &'static str,
    child: Child,
    log: PathBuf,
    clients: Mutex<HashMap<String, Client>>,
}

impl Server {
    /// The usual node of the usual world.
    pub async fn start() -> Self {
        Launch::of(&Arc::new(World::new()), "local").start().await
    }

    async fn listening(&mut self, port: u16) {
        let began = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            let ended = self.child.try_wait().unwrap();
            let stuck = began.elapsed() > START;
            assert!(
                ended.is_none() && !stuck,
                "the node does not start:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A client with the certificate `<name>.crt`.
    pub fn client(&self, name: &str) -> Client {
        let mut clients = self.clients.lock().unwrap();
        let known = clients.entry(name.to_owned());
        known
            .or_insert_with(|| Client::new(&self.world, Some(name), &self.base_url))
            .clone()
    }

    /// The client of the organisation's own engine.
    pub fn local(&self) -> Client {
        self.client(self.member)
    }

    /// What the node has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Asks the node to end, and waits; whether it ended well.
    pub fn stop(mut self) -> bool {
        self.signal(Signal::SIGTERM);
        self.child.wait().unwrap().success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "--- log of {} ({})\n{}",
                self.member,
                self.base_url,
                self.log()
            );
        }
    }
}

/// Asks again and again until the answer is yes.
///
/// # Panics
/// If it never is.
pub async fn until(what: &str, patience: Duration, mut happened: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !happened().await {
        assert!(
            began.elapsed() < patience,
            "not within {patience:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
