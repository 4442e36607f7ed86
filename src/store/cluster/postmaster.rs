//! The PostgreSQL server as a child of ours: started, watched, started again if it dies, stopped
//! with us. A small shell beside it stops it even when this process is killed with SIGKILL.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::watch;

use super::Refusal;
use super::binaries::Binaries;
use super::directory::{Directory, command_as};
use crate::store::error::is_full_disk;

/// Small, for many on one machine, and durable.
const MEMORY: [&str; 13] = [
    "shared_buffers=24MB",
    "max_connections=100",
    "max_wal_senders=0",
    "wal_level=minimal",
    "max_wal_size=512MB",
    "min_wal_size=64MB",
    "max_worker_processes=2",
    "max_parallel_workers=0",
    "max_parallel_workers_per_gather=0",
    "max_logical_replication_workers=0",
    "autovacuum_max_workers=1",
    "jit=off",
    "work_mem=4MB",
];

const STOP_PATIENCE: Duration = Duration::from_secs(30);
const START_PATIENCE: Duration = Duration::from_secs(60);
/// Pause before a server that died is started again, doubled up to a quarter of one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What the supervising thread and its owner share.
struct Watched {
    stopping: AtomicBool,
    pid: AtomicI32,
    /// The last words of the server, for the error when it does not start.
    said: Mutex<Vec<String>>,
}

/// A running server.
pub(super) struct Postmaster {
    watched: Arc<Watched>,
    ended: watch::Receiver<bool>,
}

impl Postmaster {
    /// Starts the server and waits until it takes connections.
    pub(super) async fn start(
        binaries: &Binaries,
        directory: &Directory,
        durable: bool,
    ) -> Result<Self, Refusal> {
        let watched = Arc::new(Watched {
            stopping: AtomicBool::new(false),
            pid: AtomicI32::new(0),
            said: Mutex::default(),
        });
        let mut launch = Launch {
            command: command(binaries, directory, durable),
            watcher: watcher_script(&directory.data),
            account: directory.account,
            watched: Arc::clone(&watched),
        };
        let first = launch
            .spawn()
            .map_err(|e| Refusal::files(&binaries.postgres(), e))?;
        let (end, ended) = watch::channel(false);
        std::thread::spawn(move || {
            launch.supervise(first);
            end.send_replace(true);
        });
        let postmaster = Self { watched, ended };
        match postmaster.ready(&directory.data).await {
            Ok(()) => Ok(postmaster),
            Err(said) => {
                postmaster.stop().await;
                Err(directory.blame(said, |dir, detail| Refusal::NotStarted { dir, detail }))
            }
        }
    }

    /// Waits for the word "ready" in the server's own status file.
    async fn ready(&self, data: &Path) -> Result<(), String> {
        let begun = Instant::now();
        let own = self.watched.pid.load(Ordering::Relaxed).to_string();
        while begun.elapsed() < START_PATIENCE {
            let status = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
            let mut lines = status.lines();
            if lines.next().map(str::trim) == Some(own.as_str())
                && lines.nth(6).map(str::trim) == Some("ready")
            {
                return Ok(());
            }
            if self.watched.pid.load(Ordering::Relaxed) == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let said = self
            .watched
            .said
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Err(if said.is_empty() {
            "it gave no reason".to_owned()
        } else {
            said.join("; ")
        })
    }

    /// Stops the server: open transactions are rolled back, the data is written. Returns when it is
    /// gone.
    pub(super) async fn stop(&self) {
        self.tell(Signal::SIGINT);
        let mut ended = self.ended.clone();
        if tokio::time::timeout(STOP_PATIENCE, ended.wait_for(|ended| *ended))
            .await
            .is_err()
        {
            tracing::warn!("the database does not stop; it recovers at the next start");
            self.tell(Signal::SIGQUIT);
            // An error means the thread is gone, and the server with it.
            let _ = tokio::time::timeout(STOP_PATIENCE, ended.wait_for(|ended| *ended)).await;
        }
    }

    fn tell(&self, signal: Signal) {
        self.watched.stopping.store(true, Ordering::SeqCst);
        let pid = self.watched.pid.load(Ordering::SeqCst);
        if pid > 0 {
            // It may have ended by itself meanwhile.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Postmaster {
    /// Does not wait: the next start does, if need be.
    fn drop(&mut self) {
        self.tell(Signal::SIGINT);
    }
}

/// How the server is started, each time.
struct Launch {
    command: Command,
    watcher: String,
    account: super::directory::Account,
    watched: Arc<Watched>,
}

impl Launch {
    fn spawn(&mut self) -> std::io::Result<(Child, Option<Child>)> {
        let mut child = self.command.spawn()?;
        self.watched
            .pid
            .store(child.id().cast_signed(), Ordering::SeqCst);
        if let Some(stderr) = child.stderr.take() {
            let watched = Arc::clone(&self.watched);
            std::thread::spawn(move || watched.listen(BufReader::new(stderr)));
        }
        Ok((child, self.spawn_watcher()))
    }

    /// A shell that waits for the end of our side of a pipe, which the kernel closes however we die.
    fn spawn_watcher(&self) -> Option<Child> {
        let pid = self.watched.pid.load(Ordering::SeqCst).to_string();
        let mut command = command_as(Path::new("/bin/sh"), self.account);
        command.args(["-c", &self.watcher, "dsf-watch", &pid]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.process_group(0).spawn().ok()
    }

    /// Runs in a thread of its own until the server is told to stop.
    fn supervise(&mut self, first: (Child, Option<Child>)) {
        let mut running = Some(first);
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            if let Some((mut child, watcher)) = running.take() {
                let status = child.wait();
                self.watched.pid.store(0, Ordering::SeqCst);
                if let Some(mut watcher) = watcher {
                    let _ = watcher.kill();
                    let _ = watcher.wait();
                }
                if !self.watched.stopping.load(Ordering::SeqCst) {
                    tracing::error!(?status, "the database ended by itself; starting it again");
                }
            }
            if begun.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            if self.stopped_within(pause) {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            match self.spawn() {
                Ok(pair) => running = Some(pair),
                Err(error) => tracing::error!(%error, "the database cannot be started"),
            }
        }
    }

    fn stopped_within(&self, pause: Duration) -> bool {
        let begun = Instant::now();
        loop {
            if self.watched.stopping.load(Ordering::SeqCst) {
                return true;
            }
            if begun.elapsed() >= pause {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Watched {
    /// Passes the server's words on to our log.
    fn listen(&self, lines: impl BufRead) {
        for line in lines.lines().map_while(Result::ok) {
            if line.starts_with("LOG:") {
                tracing::debug!(target: "postgresql", "{line}");
                continue;
            }
            tracing::warn!(target: "postgresql", "{line}");
            if is_full_disk(&line) {
                tracing::error!("no space left for the database: free some, it goes on by itself");
            }
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() == 20 {
                said.remove(0);
            }
            said.push(line);
        }
    }
}

fn command(binaries: &Binaries, directory: &Directory, durable: bool) -> Command {
    let mut command = command_as(&binaries.postgres(), directory.account);
    command
        .arg("-D")
        .arg(&directory.data)
        .arg("-k")
        .arg(&directory.socket);
    for setting in MEMORY {
        command.args(["-c", setting]);
    }
    command.args(["-c", "listen_addresses=", "-c", "port=5432"]);
    command.args([
        "-c",
        "unix_socket_permissions=0700",
        "-c",
        "log_line_prefix=",
    ]);
    command.args(["-c", "logging_collector=off", "-c", "log_statement=none"]);
    if !durable {
        command.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
    }
    // Its own process group: Ctrl-C in a terminal is for us; we stop the database last.
    command
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Asks the server of the pid file only if it is still the one that was started.
fn watcher_script(data: &Path) -> String {
    let file = data
        .join("postmaster.pid")
        .display()
        .to_string()
        .replace('\'', r"'\''");
    format!(
        "trap '' INT TERM HUP; cat >/dev/null; \
         [ \"$(head -n 1 '{file}')\" = \"$1\" ] && kill -INT \"$1\""
    )
}

/// Stops a server that outlived a dsf which was killed.
pub(super) async fn stop_orphan(data: &Path) -> Result<(), Refusal> {
    let pid = || -> Option<Pid> {
        let text = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
        let pid = text.lines().next()?.trim().parse().ok()?;
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name.trim() == "postgres").then(|| Pid::from_raw(pid))
    };
    let Some(orphan) = pid() else { return Ok(()) };
    tracing::info!(%orphan, "stopping the database of a dsf that was killed");
    let _ = kill(orphan, Signal::SIGINT);
    let begun = Instant::now();
    while pid() == Some(orphan) {
        if begun.elapsed() > STOP_PATIENCE {
            let detail = format!("an older server (process {orphan}) does not stop");
            return Err(Refusal::NotStarted {
                dir: data.to_owned(),
                detail,
            });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
