//! Claims Tasks on the own server and hands them to instances (spec/bpe.md §3.4, §3.5).
//!
//! The claim is the PUT to `in-progress` with `If-Match`: a refused claim starts nothing. Each
//! state is stored before its effect, so that a crash between any two lines ends with the Task
//! handled once: `claiming` before the PUT, `claimed` after it, and the instance takes the Task
//! over in the statement that stores its step.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::process::process_of;
use super::server::{Server, Trouble};
use crate::bpe::model::NodeIx;
use crate::bpe::runtime::{
    Advance, Definition, Error, Incoming, LEASE, Runtime, Starting, Work, failed_with, failure_text,
};
use crate::r4::view::task::{self, Status, Task};
use crate::r4::{Resource, dsf, json};
use crate::store::bpe::inbox::{self, Claimed, Entry};
use crate::store::bpe::instance::{self, Candidate};

/// How soon to look again at a Task whose instance is busy, in seconds.
const BUSY: f64 = 0.05;
/// How soon to look again at a message that nobody waits for yet, in seconds.
const HELD: f64 = 1.0;
/// How soon to look again at an instance that stands still, in seconds.
const PAUSED: f64 = 2.0;
/// How soon to try again when the own server does not answer, in seconds.
const UNREACHABLE: f64 = 2.0;

/// What is said of a process that nobody brings, or that is not offered any more (§3.5).
const NOT_FOUND: &str = "Process not found";

/// The worker of the inbox.
#[derive(Clone)]
pub(super) struct Inbox {
    pub runtime: Runtime,
    pub server: Arc<Server>,
}

/// What a Task is for.
enum Receiver {
    Start(Box<Definition>, NodeIx),
    Instance(Candidate),
    /// An instance is there, but does not wait for the message.
    NotYet,
    /// An instance is there, but stands still.
    Paused,
    Nobody(String),
}

impl Work for Inbox {
    type Item = Entry;

    fn name(&self) -> &'static str {
        "inbox"
    }

    fn bell(&self) -> &Notify {
        &self.runtime.bells().inbox
    }

    async fn take(&self, most: i64) -> Result<Vec<Entry>, Error> {
        let store = self.runtime.store();
        Ok(store
            .read(async |conn| inbox::take(conn, most, LEASE.as_secs_f64()).await)
            .await?)
    }

    async fn next_due(&self) -> Result<Option<f64>, Error> {
        Ok(self
            .runtime
            .store()
            .read(async |conn| inbox::next_due(conn).await)
            .await?)
    }

    async fn extend(&self, entry: &Entry) -> Result<(), Error> {
        let store = self.runtime.store();
        Ok(store
            .read(async |conn| inbox::extend(conn, entry, LEASE.as_secs_f64()).await)
            .await?)
    }

    async fn run(&self, entry: Entry) -> Result<(), Error> {
        self.handle(&entry).await?;
        // The next message of the conversation may go on now.
        self.bell().notify_one();
        Ok(())
    }
}

impl Inbox {
    async fn handle(&self, entry: &Entry) -> Result<(), Error> {
        let Ok(mut task) = json::parse(entry.document.as_bytes()) else {
            tracing::error!(task = %entry.task, "a stored Task does not parse; it is left alone");
            return self.forget(entry).await;
        };
        if entry.status != "claimed" {
            if let Err(text) = check(&task) {
                return self.fail(entry, &task, &text).await;
            }
            match self.claim(entry, &mut task).await? {
                Some(claimed) => task = claimed,
                None => return Ok(()),
            }
        }
        self.dispatch(entry, task).await
    }

    /// Makes the Task ours on the server; nothing when it is not ours to handle, or not now.
    async fn claim(&self, entry: &Entry, task: &mut Resource) -> Result<Option<Resource>, Error> {
        let digest = digest(task);
        if Task(task).business_key().is_none() {
            task::add_input(
                task,
                task::message(dsf::message::BUSINESS_KEY, &entry.business_key),
            );
        }
        task::set_status(task, Status::InProgress);
        let claimed = match self.server.update(task, "representation").await {
            Ok(answer) => answer,
            Err(trouble) if trouble.transient() => {
                tracing::warn!(task = %entry.task, "cannot claim now: {trouble}");
                self.postpone(entry, UNREACHABLE).await?;
                return Ok(None);
            }
            Err(trouble) => match self.claimed_before(entry, task, &trouble).await? {
                Some(task) => task,
                None => return Ok(None),
            },
        };
        let document = text(&claimed);
        let store = self.runtime.store();
        let outcome = store
            .read(async |conn| inbox::claimed(conn, entry, &document, digest.as_deref()).await)
            .await?;
        match outcome {
            Claimed::Ours => Ok(Some(claimed)),
            Claimed::Lost => Ok(None),
            Claimed::Again(first) => {
                let text = format!("Duplicate of Task/{first}");
                self.fail(entry, &claimed, &text).await?;
                Ok(None)
            }
        }
    }

    /// The server refused the claim. After a crash it may be our own earlier claim that stands
    /// in the way: then the Task is in progress, one version later.
    async fn claimed_before(
        &self,
        entry: &Entry,
        task: &Resource,
        trouble: &Trouble,
    ) -> Result<Option<Resource>, Error> {
        if entry.status == "claiming" {
            match self.server.read_task(entry.task).await {
                Ok(task) if is_our_claim(entry, &task) => return Ok(Some(task)),
                Err(trouble) if trouble.transient() => {
                    self.postpone(entry, UNREACHABLE).await?;
                    return Ok(None);
                }
                Ok(_) | Err(_) => {}
            }
        }
        // The server lets nobody work on a Task of a process that is retired, only fail it (§3.7).
        if trouble.status() == Some(403) && !self.is_offered(task).await? {
            self.fail(entry, task, NOT_FOUND).await?;
            return Ok(None);
        }
        tracing::warn!(task = %entry.task, "claim refused, nothing is started: {trouble}");
        self.forget(entry).await?;
        Ok(None)
    }

    /// Whether the process of a Task may start anything.
    async fn is_offered(&self, task: &Resource) -> Result<bool, Error> {
        let canonical = task.str("instantiatesCanonical").unwrap_or_default();
        let Some(process) = process_of(canonical) else {
            return Ok(false);
        };
        let definition = self.runtime.definition(&process).await?;
        Ok(definition.is_some_and(|definition| !definition.suspended))
    }

    async fn dispatch(&self, entry: &Entry, document: Resource) -> Result<(), Error> {
        let receiver = self.receiver(entry, &document).await?;
        let incoming = Incoming {
            task: entry.task,
            epoch: entry.lease_epoch,
            document: document.clone(),
        };
        let advance = match receiver {
            Receiver::Start(definition, at) => {
                let business_key = entry.business_key.clone();
                let start = Starting {
                    definition: *definition,
                    at,
                    business_key,
                };
                self.runtime.start(start, incoming).await?
            }
            Receiver::Instance(Candidate {
                instance,
                subscription: Some(subscription),
                ..
            }) => {
                self.runtime
                    .receive(instance, subscription, incoming)
                    .await?
            }
            // It goes on when somebody lets it, which is no reason to fail the Task.
            Receiver::Paused => return self.postpone(entry, PAUSED).await,
            Receiver::Instance(_) | Receiver::NotYet if entry.overdue => {
                return self
                    .fail(entry, &document, "Unable to correlate Task")
                    .await;
            }
            Receiver::Instance(_) | Receiver::NotYet => return self.hold(entry, &document).await,
            Receiver::Nobody(text) => return self.fail(entry, &document, &text).await,
        };
        match advance {
            Advance::Done => Ok(()),
            Advance::Busy | Advance::Stale => self.postpone(entry, BUSY).await,
            Advance::Failed(failure) => self.fail(entry, &document, &failure_text(&failure)).await,
        }
    }

    /// Who is meant, by spec/bpe.md §3.5; running instances are asked before the question
    /// whether the process may start anything, so that a retired process finishes its work.
    async fn receiver(&self, entry: &Entry, document: &Resource) -> Result<Receiver, Error> {
        let task = Task(document);
        let canonical = document.str("instantiatesCanonical").unwrap_or_default();
        let Some(process) = process_of(canonical) else {
            return Ok(Receiver::Nobody(mismatch(document)));
        };
        let message = task.message_name().unwrap_or_default();
        let definition = self.runtime.definition(&process).await?;
        let key = entry.business_key.as_str();
        let what = (message, task.correlation_key());
        let candidates = self
            .runtime
            .store()
            .read(async |conn| {
                instance::candidates(conn, &process.key, &process.version, key, what).await
            })
            .await?;
        let Some(definition) = definition else {
            return Ok(Receiver::Nobody(NOT_FOUND.to_owned()));
        };
        if let Some(receiver) = waiting(&candidates, task.correlation_key()) {
            return Ok(receiver);
        }
        if candidates.iter().any(|candidate| candidate.suspended) {
            return Ok(Receiver::Paused);
        }
        let start = definition.graph.message_start(message);
        Ok(match start {
            Some(_) if definition.suspended => Receiver::Nobody(NOT_FOUND.to_owned()),
            Some(at) => {
                if !candidates.is_empty() {
                    tracing::warn!(
                        task = %entry.task, business_key = key,
                        "starts a further instance with the business key of a running one"
                    );
                }
                Receiver::Start(Box::new(definition), at)
            }
            None if candidates.is_empty() && definition.suspended => {
                Receiver::Nobody(NOT_FOUND.to_owned())
            }
            None if candidates.is_empty() => Receiver::Nobody(format!(
                "Process with start message-name '{message}' not found"
            )),
            None => Receiver::NotYet,
        })
    }

    /// Lets the message wait for its receiver. One that has begun to wait meanwhile saw nothing to
    /// wake; so the look behind the note finds it, or it finds the note.
    async fn hold(&self, entry: &Entry, document: &Resource) -> Result<(), Error> {
        let grace = self.runtime.settings().grace.as_secs_f64();
        let store = self.runtime.store();
        store
            .read(async |conn| inbox::hold(conn, entry, HELD, grace).await)
            .await?;
        if let Receiver::Instance(_) = self.receiver(entry, document).await? {
            self.postpone(entry, 0.0).await?;
        }
        Ok(())
    }

    async fn postpone(&self, entry: &Entry, seconds: f64) -> Result<(), Error> {
        let store = self.runtime.store();
        Ok(store
            .read(async |conn| inbox::extend(conn, entry, seconds).await)
            .await?)
    }

    async fn forget(&self, entry: &Entry) -> Result<(), Error> {
        let store = self.runtime.store();
        Ok(store
            .read(async |conn| inbox::drop_entry(conn, entry).await)
            .await?)
    }

    async fn fail(&self, entry: &Entry, task: &Resource, reason: &str) -> Result<(), Error> {
        tracing::warn!(task = %entry.task, business_key = entry.business_key, "Task fails: {reason}");
        let mut task = task.clone();
        failed_with(&mut task, reason);
        let document = text(&task);
        let patience = self.runtime.settings().answer_deadline.as_secs_f64();
        let store = self.runtime.store();
        store
            .read(async |conn| inbox::fail(conn, entry, &document, patience).await)
            .await?;
        self.runtime.bells().outbox.notify_one();
        Ok(())
    }
}

/// The one receiver that waits for the message, if there is exactly one. Several instances may
/// share a key; without a correlation key of the message every receiver of the name matches.
fn waiting(candidates: &[Candidate], correlation_key: Option<&str>) -> Option<Receiver> {
    let by_business_key = candidates.iter().any(|candidate| candidate.by_business_key);
    let mut matching = candidates
        .iter()
        .filter(|candidate| candidate.by_business_key == by_business_key)
        .filter(|candidate| candidate.subscription.is_some())
        .filter(|candidate| {
            correlation_key.is_none() || candidate.correlation_key.as_deref() == correlation_key
        });
    let first = matching.next()?;
    match matching.next() {
        None => Some(Receiver::Instance(first.clone())),
        Some(_) => Some(Receiver::Nobody("Unable to correlate Task".to_owned())),
    }
}

/// What names a message: all that its sender says, the time at which it was written included. A peer
/// that has no answer and knows no `Idempotency-Key` sends the same once more, in another Task
/// (spec/bpe.md §14 #18). Where the sender gives no business key everything begins anew.
fn digest(task: &Resource) -> Option<Vec<u8>> {
    Task(task).business_key()?;
    let mut members = task.members().clone();
    for of_server in ["id", "meta", "text", "status"] {
        members.shift_remove(of_server);
    }
    let text = serde_json::Value::Object(members).to_string();
    Some(Sha256::digest(text).to_vec())
}

/// What makes a Task fail before anybody asks for its receiver.
fn check(task: &Resource) -> Result<(), String> {
    let canonical = task.str("instantiatesCanonical").unwrap_or_default();
    if process_of(canonical).is_none() {
        return Err(mismatch(task));
    }
    if Task(task).message_name().is_none() {
        return Err("java.lang.NullPointerException: messageName".to_owned());
    }
    Ok(())
}

fn mismatch(task: &Resource) -> String {
    format!(
        "java.lang.IllegalStateException: InstantiatesCanonical of Task with id {} does not match \
         the form http(s)://<domain>/bpe/Process/<name>|<version>",
        task.id().unwrap_or_default()
    )
}

fn is_our_claim(entry: &Entry, task: &Resource) -> bool {
    let version = task
        .version_id()
        .and_then(|version| version.parse::<i64>().ok());
    Task(task).status() == Some(Status::InProgress) && version == Some(entry.version + 1)
}

fn text(task: &Resource) -> String {
    String::from_utf8_lossy(&json::write(task, false)).into_owned()
}
