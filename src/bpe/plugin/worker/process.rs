//! One worker process: started, spoken to, ended.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::Program;
use super::folder::Folder;
use crate::bpe::plugin::runner::{Error, Limits, Offer, Outside};

/// Bytes of one message.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;
/// Lines of its standard error that are told when it ends.
const TOLD_LINES: usize = 5;
/// Starting is no computing of the plugin: imports may be slow on a busy machine.
const START: Duration = Duration::from_secs(60);
/// A language with a virtual machine needs address space of its own beside that of the plugin.
const OWN_MEMORY: usize = 1024 * 1024 * 1024;

/// What a process waits for while it serves a call.
enum Event {
    Line(String),
    /// The answer to a question of the worker.
    Answer(Value, String),
    Closed,
}

/// A worker.
pub(super) struct Process {
    child: Child,
    stdin: ChildStdin,
    events: Receiver<Event>,
    sender: Sender<Event>,
    said: Arc<Mutex<VecDeque<String>>>,
    calls: u64,
}

impl Process {
    /// Starts the worker; nothing was said to it yet.
    pub(super) fn start(
        program: &Program,
        folder: &Folder,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let command = program.command()?;
        let mut child = shell(&command, folder, limits)
            .spawn()
            .map_err(|error| Error::Start(format!("{}: {error}", command[0])))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(Error::Start(
                "it has no standard input and output".to_owned(),
            ));
        };
        let (sender, events) = mpsc::channel();
        let said = Arc::new(Mutex::new(VecDeque::new()));
        listen(stdout, sender.clone());
        overhear(stderr, Arc::clone(&said), command[0].clone());
        let mut process = Self {
            child,
            stdin,
            events,
            sender,
            said,
            calls: 0,
        };
        let plugin = json!({ "protocol": 1, "entry": program.entry, "plugin": program.plugin });
        let told = process.tell(&json!({ "id": 0, "method": "initialize", "params": plugin }));
        // One that ends at once may do so before or after it was spoken to.
        told.map_err(|error| match error {
            Error::Crashed(why) => Error::Start(why),
            other => other,
        })?;
        Ok(process)
    }

    /// Waits until it is ready, and reads what it registers.
    pub(super) fn offer(&mut self, limits: &Limits) -> Result<Offer, Error> {
        let patience = START.min(limits.time);
        let mut answer = loop {
            match self.events.recv_timeout(patience) {
                Ok(Event::Line(line)) => {
                    let message = parsed(&line)?;
                    if message["method"].is_null() {
                        break message;
                    }
                    tracing::info!(plugin = "worker", "{}", message["params"]["text"]);
                }
                Ok(Event::Answer(..)) => {}
                Ok(Event::Closed) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Start(self.last_words()));
                }
                Err(RecvTimeoutError::Timeout) => {
                    let why = format!("it was not ready after {patience:?}");
                    return Err(Error::Start(why));
                }
            }
        };
        if let Some(message) = answer["error"]["message"].as_str() {
            return Err(Error::Code(message.to_owned()));
        }
        serde_json::from_value(answer["result"].take())
            .map_err(|error| Error::Rubbish(error.to_string()))
    }

    /// Serves one call. After an error the process is of no more use.
    pub(super) fn call(
        &mut self,
        input: &str,
        outside: &Arc<dyn Outside>,
        tokio: &Handle,
        limits: &Limits,
    ) -> Result<String, Error> {
        self.calls += 1;
        let id = self.calls;
        let params: Value =
            serde_json::from_str(input).map_err(|error| Error::Engine(error.to_string()))?;
        self.tell(&json!({ "id": id, "method": "call", "params": params }))?;
        let mut watch = Watch::begin(limits);
        loop {
            match self.events.recv_timeout(watch.patience()) {
                Ok(Event::Answer(question, answer)) => {
                    watch.answered();
                    self.answer(&question, &answer)?;
                }
                Ok(Event::Line(line)) => {
                    let mut message = parsed(&line)?;
                    match message["method"].as_str() {
                        Some("ask") => {
                            watch.asked();
                            self.ask(&mut message, outside, tokio);
                        }
                        Some("log") => log(&message["params"], outside.as_ref()),
                        Some(other) => {
                            return Err(Error::Rubbish(format!("the method '{other}'")));
                        }
                        None => return ended(id, &message),
                    }
                }
                Ok(Event::Closed) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Crashed(self.last_words()));
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(error) = watch.error() {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn ask(&self, message: &mut Value, outside: &Arc<dyn Outside>, tokio: &Handle) {
        let (id, question) = (message["id"].take(), message["params"].take());
        let (outside, sender) = (Arc::clone(outside), self.sender.clone());
        tokio.spawn(async move {
            let answer = outside.ask(question.to_string()).await;
            // A process that ended needs no answer.
            let _ = sender.send(Event::Answer(id, answer));
        });
    }

    /// `{ "value": … }` and `{ "error": … }` of the host as JSON-RPC has them.
    fn answer(&mut self, question: &Value, answer: &str) -> Result<(), Error> {
        let answer: Value =
            serde_json::from_str(answer).map_err(|error| Error::Engine(error.to_string()))?;
        let error = &answer["error"];
        if error.is_null() {
            return self.tell(&json!({ "id": question, "result": answer["value"] }));
        }
        let error = json!({ "code": -32000, "message": error["message"], "data": error });
        self.tell(&json!({ "id": question, "error": error }))
    }

    fn tell(&mut self, message: &Value) -> Result<(), Error> {
        let mut message = message.clone();
        message["jsonrpc"] = json!("2.0");
        let line = format!("{message}\n");
        let told = self.stdin.write_all(line.as_bytes());
        if told.and_then(|()| self.stdin.flush()).is_err() {
            return Err(Error::Crashed(self.last_words()));
        }
        Ok(())
    }

    /// How it ended and what it said last.
    fn last_words(&mut self) -> String {
        // Its standard error is read to the end by a thread of its own.
        thread::sleep(Duration::from_millis(50));
        let how = match self.child.try_wait() {
            Ok(Some(status)) => status.to_string(),
            _ => "it closed its standard output".to_owned(),
        };
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        if said.is_empty() {
            how
        } else {
            format!("{how}: {}", said.join(" / "))
        }
    }
}

impl Drop for Process {
    /// With all that it started itself.
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

/// The command, in its folder, with nothing of our environment that is not harmless, in a process
/// group of its own, and with a bound on its memory.
fn shell(command: &[String], folder: &Folder, limits: &Limits) -> Command {
    let kilobytes = (limits.memory + OWN_MEMORY) / 1024;
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "ulimit -v \"$1\" && shift && exec \"$@\"", "worker"])
        .arg(kilobytes.to_string())
        .args(command)
        .current_dir(folder.package())
        .env_clear()
        .env("PYTHONPATH", folder.python())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for name in ["PATH", "LANG", "TZ", "TMPDIR", "PYENV_VERSION"] {
        if let Some(value) = std::env::var_os(name) {
            shell.env(name, value);
        }
    }
    shell
}

fn listen(stdout: ChildStdout, sender: Sender<Event>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        loop {
            let mut line = Vec::new();
            let read = reader
                .by_ref()
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line);
            let event = match read {
                Ok(0) | Err(_) => Event::Closed,
                Ok(_) => Event::Line(String::from_utf8_lossy(&line).into_owned()),
            };
            let closed = matches!(event, Event::Closed);
            if sender.send(event).is_err() || closed {
                return;
            }
        }
    });
}

/// What it says on its standard error goes to the log, and the last lines are kept.
fn overhear(stderr: ChildStderr, said: Arc<Mutex<VecDeque<String>>>, program: String) {
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            tracing::warn!(worker = program, "{line}");
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() == TOLD_LINES {
                said.pop_front();
            }
            said.push_back(line);
        }
    });
}

fn parsed(line: &str) -> Result<Value, Error> {
    serde_json::from_str(line)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| {
            let start: String = line.trim().chars().take(80).collect();
            Error::Rubbish(format!("not a message: {start}"))
        })
}

fn log(params: &Value, outside: &dyn Outside) {
    let text = |name: &str| params[name].as_str().unwrap_or_default();
    outside.log(text("level"), text("text"));
}

fn ended(id: u64, message: &Value) -> Result<String, Error> {
    if message["id"] != id {
        return Err(Error::Rubbish(format!("an answer to {}", message["id"])));
    }
    match message["error"]["message"].as_str() {
        Some(error) => Err(Error::Code(error.to_owned())),
        None => Ok(message["result"].to_string()),
    }
}

/// The time of a call; while the host works on a question the worker does not compute.
struct Watch<'a> {
    limits: &'a Limits,
    end: Instant,
    compute: Instant,
    /// Questions without an answer, and since when there are some.
    open: u32,
    since: Instant,
}

impl<'a> Watch<'a> {
    fn begin(limits: &'a Limits) -> Self {
        let now = Instant::now();
        Self {
            limits,
            end: now + limits.time,
            compute: now + limits.compute,
            open: 0,
            since: now,
        }
    }

    fn asked(&mut self) {
        if self.open == 0 {
            self.since = Instant::now();
        }
        self.open += 1;
    }

    fn answered(&mut self) {
        self.open -= 1;
        if self.open == 0 {
            self.compute += self.since.elapsed();
        }
    }

    fn patience(&self) -> Duration {
        let until = if self.open == 0 {
            self.end.min(self.compute)
        } else {
            self.end
        };
        until.saturating_duration_since(Instant::now())
    }

    fn error(&self) -> Option<Error> {
        let now = Instant::now();
        if now >= self.end {
            return Some(Error::Time(self.limits.time));
        }
        (self.open == 0 && now >= self.compute).then_some(Error::Compute(self.limits.compute))
    }
}
