//! Stops a network, also one whose supervisor is gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::network::Network;

const FILE: &str = "running.json";
/// Longer than a node takes to finish what it has accepted.
const PATIENCE: Duration = Duration::from_secs(45);
const LOOK: Duration = Duration::from_millis(50);

/// The processes of a running network.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Running {
    pub supervisor: Option<Process>,
    pub nodes: Vec<Process>,
}

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: i32,
    /// Ticks since the start of the machine, from `/proc`.
    pub started: u64,
}

impl Process {
    /// The process with this number, if it runs.
    #[must_use]
    pub fn find(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything; the fields after it are numbers.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let zombie = fields.first() == Some(&"Z");
        let started = fields.get(19)?.parse().ok()?;
        (!zombie).then_some(Self { pid, started })
    }

    #[must_use]
    pub fn runs(&self) -> bool {
        Self::find(self.pid).as_ref() == Some(self)
    }

    fn signal(&self, signal: Signal) {
        if self.runs() {
            // It may end between the look and the signal; then all is well.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }
}

impl Running {
    fn file(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    #[must_use]
    pub fn load(folder: &Path) -> Self {
        let text = fs::read_to_string(Self::file(folder)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let file = Self::file(folder);
        fs::write(&file, serde_json::to_string(self)?)
            .with_context(|| format!("cannot write {}", file.display()))
    }

    fn all(&self) -> impl Iterator<Item = &Process> {
        self.supervisor.iter().chain(&self.nodes)
    }

    #[must_use]
    pub fn anything(&self) -> bool {
        self.all().any(Process::runs)
    }
}

pub async fn down(folder: &Path) -> anyhow::Result<ExitCode> {
    Network::load(folder)?;
    let running = Running::load(folder);
    if !running.anything() {
        println!("nothing runs in {}", folder.display());
        return Ok(ExitCode::SUCCESS);
    }
    println!("stopping the network in {} …", folder.display());
    // The supervisor stops its nodes; nodes without one are told themselves.
    match &running.supervisor {
        Some(supervisor) if supervisor.runs() => supervisor.signal(Signal::SIGTERM),
        _ => running
            .nodes
            .iter()
            .for_each(|node| node.signal(Signal::SIGTERM)),
    }
    let begun = Instant::now();
    while running.anything() && begun.elapsed() < PATIENCE {
        tokio::time::sleep(LOOK).await;
    }
    if running.anything() {
        let left: Vec<String> = running
            .all()
            .filter(|one| one.runs())
            .map(|one| one.pid.to_string())
            .collect();
        bail!(
            "still running after {} s: process {}",
            PATIENCE.as_secs(),
            left.join(", ")
        );
    }
    println!("stopped");
    Ok(ExitCode::SUCCESS)
}

pub async fn reset(folder: &Path) -> anyhow::Result<ExitCode> {
    // Only what `dev up` has made is removed.
    Network::load(folder)?;
    let code = down(folder).await?;
    // Where a private parent folder keeps the database's own user out, its files lie elsewhere.
    if let Ok(elsewhere) = fs::read_link(folder.join("postgres/cluster"))
        && let Some(home) = elsewhere
            .ancestors()
            .find(|path| path.starts_with("/var/lib/dsf"))
    {
        fs::remove_dir_all(home).with_context(|| format!("cannot remove {}", home.display()))?;
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    println!("removed {}", folder.display());
    Ok(code)
}
