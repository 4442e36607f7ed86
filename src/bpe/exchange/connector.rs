//! Keeps the event channel to the own FHIR server open and reads what it missed.
//!
//! Order of a connection: find the Subscription, open the socket, `bind`, and after `bound` read
//! everything that still waits on the server while live events already arrive. Both end in the
//! inbox, which knows each Task once, so nothing is lost between the two and nothing is doubled
//! (spec/bpe.md §2.6, §14 #3, #5, #6). The same reading is repeated now and then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::server::{Server, Trouble};
use crate::bpe::runtime::{Error as RuntimeError, Runtime};
use crate::kernel::{Backoff, Random};
use crate::net::websocket::{self, Event, Socket};
use crate::r4::view::task::Task;
use crate::r4::{Resource, json, xml};
use crate::store::bpe::inbox;

/// The Subscription that every DSF FHIR server has (spec/bpe.md §1.2, §2.2).
const SUBSCRIPTION: &str = "Subscription?criteria:exact=Task%3Fstatus%3Drequested&status=active\
                            &type=websocket&payload=application/fhir%2Bjson";
/// What waits for us, by spec/bpe.md §2.3; the time filter is left out, since a handled Task is
/// no longer `requested`.
const WAITING: &str = "Task?status=requested&_sort=_lastUpdated&_count=20";
/// How often everything that waits is read although events arrive.
const REREAD: Duration = Duration::from_secs(60);
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Server(#[from] Trouble),
    #[error(transparent)]
    Socket(#[from] websocket::Error),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    #[error("the server holds {0} Subscriptions for Tasks, exactly one is needed")]
    Subscriptions(usize),
    #[error("the server closed the event channel ({code}): {reason}")]
    Closed { code: u16, reason: String },
}

/// What the health check may know of the connection.
#[derive(Clone, Debug, Default)]
pub struct Connection(Arc<Mutex<Option<String>>>);

impl Connection {
    /// `Err` with the reason while no events arrive.
    pub fn trouble(&self) -> Result<(), String> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.clone().map_or(Ok(()), Err)
    }

    fn set(&self, trouble: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// The connector of Tasks.
pub struct Connector {
    runtime: Runtime,
    server: Arc<Server>,
    connection: Connection,
}

impl Connector {
    #[must_use]
    pub fn new(runtime: Runtime, server: Arc<Server>) -> Self {
        let connection = Connection::default();
        connection.set(Some("not connected yet".to_owned()));
        Self {
            runtime,
            server,
            connection,
        }
    }

    #[must_use]
    pub fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// Connects, and connects again, until the shutdown.
    pub async fn run(self) {
        let shutdown = self.runtime.shutdown().clone();
        let mut failures = 0;
        while !shutdown.is_begun() {
            let bound = self.connection.trouble().is_ok();
            let ended = tokio::select! {
                ended = self.connected() => ended,
                () = shutdown.begun() => return,
            };
            let Err(ended) = ended else { return };
            failures = if bound || self.connection.trouble().is_ok() {
                1
            } else {
                failures + 1
            };
            tracing::warn!(
                "no events from {}: {ended}; connecting again",
                self.server.base()
            );
            self.connection.set(Some(ended.to_string()));
            tokio::select! {
                () = tokio::time::sleep(BACKOFF.delay(failures, &Random::system())) => {}
                () = shutdown.begun() => return,
            }
        }
    }

    /// One connection, from the first question to its end; `Ok` at the shutdown.
    async fn connected(&self) -> Result<(), Ended> {
        let subscription = self.subscription().await?;
        let url = self.server.socket_address()?;
        let mut socket = websocket::connect(self.server.client(), &url).await?;
        socket.send_text(format!("bind {subscription}")).await?;
        // Events may come before the acknowledgement; they count (spec/bpe.md §1.4).
        let bound = format!("bound {subscription}");
        loop {
            match self.next(&mut socket).await? {
                text if text == bound => break,
                text => self.event(&text).await?,
            }
        }
        self.connection.set(None);
        tracing::info!("receives the events of {}", self.server.base());
        self.listen(socket).await
    }

    async fn listen(&self, mut socket: Socket) -> Result<(), Ended> {
        let shutdown = self.runtime.shutdown().clone();
        let mut reread = std::pin::pin!(self.reread());
        loop {
            tokio::select! {
                text = self.next(&mut socket) => self.event(&text?).await?,
                ended = &mut reread => return ended,
                () = shutdown.begun() => {
                    socket.close().await;
                    return Ok(());
                }
            }
        }
    }

    async fn next(&self, socket: &mut Socket) -> Result<String, Ended> {
        loop {
            match socket.next().await? {
                Event::Text(text) => return Ok(text),
                Event::Binary(_) => {}
                Event::Closed { code, reason } => {
                    return Err(Ended::Closed {
                        code: code.unwrap_or(1006),
                        reason,
                    });
                }
            }
        }
    }

    async fn subscription(&self) -> Result<String, Ended> {
        let found = self.server.search(SUBSCRIPTION).await?;
        let ids: Vec<&str> = resources(&found).filter_map(|(id, _)| id).collect();
        match ids.as_slice() {
            [id] => Ok((*id).to_owned()),
            more => Err(Ended::Subscriptions(more.len())),
        }
    }

    /// Reads everything that waits, now and every now and then.
    async fn reread(&self) -> Result<(), Ended> {
        loop {
            self.catch_up().await?;
            tokio::time::sleep(REREAD).await;
        }
    }

    /// Reads page after page; a Task that is handled meanwhile moves the others forward, which
    /// the next reading makes good.
    async fn catch_up(&self) -> Result<(), Ended> {
        for page in 1.. {
            let found = self
                .server
                .search(&format!("{WAITING}&_page={page}"))
                .await?;
            let tasks: Vec<Resource> = resources(&found)
                .filter_map(|(_, value)| Resource::from_value(value.clone()))
                .collect();
            for task in &tasks {
                self.receive(task).await?;
            }
            let more = found.list("link").any(|link| {
                link.get("relation").and_then(serde_json::Value::as_str) == Some("next")
            });
            if !more || tasks.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// One frame. What is not a Task is not for us: a ping of a Subscription without payload, or
    /// something newer than we are; the next reading finds the Task in any case.
    async fn event(&self, text: &str) -> Result<(), Ended> {
        let parsed = if text.trim_start().starts_with('<') {
            xml::parse(text.as_bytes())
        } else {
            json::parse(text.as_bytes())
        };
        match parsed {
            Ok(task) if task.type_name() == "Task" => self.receive(&task).await,
            Ok(other) => {
                tracing::debug!("event with a {} is ignored", other.type_name());
                Ok(())
            }
            Err(error) => {
                tracing::warn!("event does not parse, reading what waits instead: {error}");
                self.catch_up().await
            }
        }
    }

    async fn receive(&self, resource: &Resource) -> Result<(), Ended> {
        let task = Task(resource);
        let id = resource.id().and_then(|id| id.parse::<Uuid>().ok());
        let version = resource
            .version_id()
            .and_then(|version| version.parse::<i64>().ok());
        let (Some(id), Some(version)) = (id, version) else {
            tracing::warn!("a Task without id or version cannot be handled");
            return Ok(());
        };
        if resource.str("status") != Some("requested") {
            return Ok(());
        }
        let business_key = match task.business_key() {
            Some(key) => key.to_owned(),
            None => Uuid::new_v4().to_string(),
        };
        let document = String::from_utf8_lossy(&json::write(resource, false)).into_owned();
        let new = self
            .runtime
            .store()
            .read(async |conn| inbox::receive(conn, id, version, &document, &business_key).await)
            .await?;
        if new {
            self.runtime.bells().inbox.notify_one();
        }
        Ok(())
    }
}

/// The matches of a search with their ids.
fn resources(bundle: &Resource) -> impl Iterator<Item = (Option<&str>, &serde_json::Value)> {
    bundle.list("entry").filter_map(|entry| {
        let resource = entry.get("resource")?;
        if resource
            .get("resourceType")
            .and_then(serde_json::Value::as_str)
            == Some("OperationOutcome")
        {
            return None;
        }
        Some((
            resource.get("id").and_then(serde_json::Value::as_str),
            resource,
        ))
    })
}
