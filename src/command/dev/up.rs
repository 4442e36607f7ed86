//! Runs a network: one database cluster, one node for each organisation, watched over.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::network::{Network, Organization, Wish};
use super::stop::{Process, Running};
use crate::kernel::Shutdown;
use crate::store::Cluster;

/// How long all nodes may take until they are ready.
const START: Duration = Duration::from_secs(120);
/// How long a node may take to finish what it has accepted.
const STOP: Duration = Duration::from_secs(35);
const LOOK: Duration = Duration::from_millis(50);
/// Between the end of a node and its next start.
const PAUSE: Duration = Duration::from_secs(1);

/// A node under watch.
struct Node {
    organization: Organization,
    child: Child,
}

/// Runs the network until a signal, or until `dsf dev down`.
pub async fn attached(folder: &Path, wish: Wish) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let network = prepare(folder, wish)?;
    let shutdown = Shutdown::new();
    shutdown.on_signals().context("cannot listen for signals")?;
    let mut running = Running {
        supervisor: i32::try_from(std::process::id())
            .ok()
            .and_then(Process::find),
        nodes: Vec::new(),
    };
    running.save(&network.folder)?;
    say("starting the database …");
    let cluster = Cluster::start(&network.folder.join("postgres"), None).await?;
    let mut nodes = Vec::new();
    let outcome = run(
        &network,
        &cluster,
        &mut nodes,
        &mut running,
        (&shutdown, begun),
    )
    .await;
    stop(&mut nodes).await;
    cluster.stop().await;
    Running::default().save(&network.folder)?;
    outcome.map(|()| ExitCode::SUCCESS)
}

fn prepare(folder: &Path, wish: Wish) -> anyhow::Result<Network> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let folder =
        fs::canonicalize(folder).with_context(|| format!("cannot reach {}", folder.display()))?;
    if Running::load(&folder).anything() {
        bail!(
            "the network in {} runs already; stop it with: dsf dev down",
            folder.display()
        );
    }
    Network::load_or_make(&folder, wish)
}

async fn run(
    network: &Network,
    cluster: &Cluster,
    nodes: &mut Vec<Node>,
    running: &mut Running,
    (shutdown, begun): (&Shutdown, Instant),
) -> anyhow::Result<()> {
    for organization in &network.organizations {
        say(&format!("starting {} …", organization.name));
        cluster.ensure_database(&organization.name).await?;
        let child = start(network, cluster, organization)?;
        nodes.push(Node {
            organization: organization.clone(),
            child,
        });
        note(running, nodes, network)?;
    }
    let ready = async {
        for node in nodes.iter_mut() {
            wait_until_ready(network, node).await?;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        ready = tokio::time::timeout(START, ready) => ready.map_err(|_| {
            anyhow::anyhow!("not ready after {} s; see the logs in {}", START.as_secs(),
                network.folder.display())
        })??,
        () = shutdown.begun() => return Ok(()),
    }
    announce(network, begun.elapsed());
    watch(network, cluster, nodes, running, shutdown).await
}

fn note(running: &mut Running, nodes: &[Node], network: &Network) -> anyhow::Result<()> {
    let pid = |node: &Node| Process::find(i32::try_from(node.child.id()?).ok()?);
    running.nodes = nodes.iter().filter_map(pid).collect();
    running.save(&network.folder)
}

fn log_file(network: &Network, organization: &Organization) -> PathBuf {
    network.home(organization).join("dsf.log")
}

fn start(
    network: &Network,
    cluster: &Cluster,
    organization: &Organization,
) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("cannot find the own program")?;
    let log = log_file(network, organization);
    let log = File::options()
        .create(true)
        .append(true)
        .open(&log)
        .with_context(|| format!("cannot write {}", log.display()))?;
    Command::new(program)
        .args(["serve", "--config"])
        .arg(network.home(organization).join("dsf.toml"))
        .env("DSF_DATABASE__URL", cluster.url(&organization.name))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C is for the supervisor; it stops the nodes in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start the node of {}", organization.name))
}

async fn wait_until_ready(network: &Network, node: &mut Node) -> anyhow::Result<()> {
    loop {
        if let Some(status) = node.child.try_wait()? {
            let log = log_file(network, &node.organization);
            let text = fs::read_to_string(&log).unwrap_or_default();
            let last: Vec<&str> = text.lines().rev().take(5).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            bail!(
                "the node of {} ended ({status}); the end of {}:\n{}",
                node.organization.name,
                log.display(),
                last.join("\n")
            );
        }
        if is_well(node.organization.status_port).await {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn is_well(port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream
            .write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await?;
        std::io::Result::Ok(head.ends_with(b" 200"))
    };
    matches!(
        tokio::time::timeout(Duration::from_secs(5), ask).await,
        Ok(Ok(true))
    )
}

/// Starts a node again that has ended by itself, until the shutdown.
async fn watch(
    network: &Network,
    cluster: &Cluster,
    nodes: &mut [Node],
    running: &mut Running,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = shutdown.begun() => return Ok(()),
        }
        let mut changed = false;
        for node in nodes.iter_mut() {
            if let Some(status) = node.child.try_wait()? {
                say(&format!(
                    "{} ended ({status}); starting it again",
                    node.organization.name
                ));
                node.child = start(network, cluster, &node.organization)?;
                changed = true;
            }
        }
        if changed {
            note(running, nodes, network)?;
        }
    }
}

async fn stop(nodes: &mut [Node]) {
    for node in nodes.iter() {
        if let Some(pid) = node.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // One that has just ended needs no signal.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
    for node in nodes {
        if tokio::time::timeout(STOP, node.child.wait()).await.is_err() {
            say(&format!(
                "{} does not end; killing it",
                node.organization.name
            ));
            // It is gone if this fails.
            let _ = node.child.kill().await;
        }
    }
}

fn announce(network: &Network, took: Duration) {
    let folder = network.folder.display();
    let mut text = format!("\nready after {:.1} s: {folder}\n\n", took.as_secs_f64());
    for organization in &network.organizations {
        text.push_str(&format!(
            "  {:<16} {}   client certificate {}/client.crt\n",
            organization.identifier(),
            organization.base_url(),
            organization.name,
        ));
    }
    text.push_str(&format!(
        "\n  administrator    admin.crt and admin.key, trusted CA ca.crt\n\
         \nTry:\n  dsf dev ping --dir {folder}\n  \
         curl --cacert {folder}/ca.crt --cert {folder}/admin.crt --key {folder}/admin.key \
         {}/metadata\n\nStop with Ctrl-C, or: dsf dev down --dir {folder}",
        network
            .organizations
            .first()
            .map(Organization::base_url)
            .unwrap_or_default(),
    ));
    say(&text);
}

/// A closed terminal must not stop the network.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Starts the network in a process of its own and returns when it is ready.
pub async fn detached(folder: &Path, wish: Wish) -> anyhow::Result<ExitCode> {
    let network = prepare(folder, wish)?;
    let log = network.folder.join("dev.log");
    let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut child = Command::new(std::env::current_exe().context("cannot find the own program")?)
        .args(["dev", "up", "--dir"])
        .arg(&network.folder)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .process_group(0)
        .spawn()
        .context("cannot start the network")?;
    let mut shown = 0;
    loop {
        let text = fs::read_to_string(&log).unwrap_or_default();
        print!("{}", &text[shown..]);
        shown = text.len();
        if text.contains("\nready after ") && text.contains("dsf dev down") {
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(status) = child.try_wait()? {
            bail!("the network did not start ({status})");
        }
        tokio::time::sleep(LOOK).await;
    }
}
