//! Keeps the event channel to the own FHIR server open and reads what it missed.
//!
//! Order of a connection: find the Subscription, open the socket, `bind`, and after `bound` read
//! everything that still waits on the server while live events already arrive. Both end in the
//! inbox, which knows each Task once, so nothing is lost between the two and nothing is doubled
//! (spec/bpe.md §2.6, §14 #3, #5, #6). The same reading is repeated now and then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::server::{Server, Trouble, has_next};
use crate::bpe::runtime::{Error as RuntimeError, Runtime};
use crate::kernel::{Backoff, Random};
use crate::net::websocket::{self, Event, Socket};
use crate::r4::view::questionnaire_response::QuestionnaireResponse;
use crate::r4::view::task::Task;
use crate::r4::{Resource, json, xml};
use crate::store::bpe::{inbox, user_task};

/// What waits for us, by spec/bpe.md §2.3; it begins without a time filter, since a handled Task is
/// no longer `requested`.
const WAITING: &str = "Task?status=requested&_sort=_lastUpdated";
/// How many are read at once.
const PART: usize = 20;
/// How often everything that waits is read although events arrive.
const REREAD: Duration = Duration::from_secs(60);
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));

/// What is heard of: each kind has a Subscription on every DSF FHIR server (spec/bpe.md §1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Tasks,
    /// Answered forms of user tasks.
    Forms,
}

impl Channel {
    /// For the health check.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tasks => "events",
            Self::Forms => "forms",
        }
    }

    const fn type_name(self) -> &'static str {
        match self {
            Self::Tasks => "Task",
            Self::Forms => "QuestionnaireResponse",
        }
    }

    /// The search for the Subscription, by spec/bpe.md §2.2.
    fn subscription(self) -> String {
        let status = match self {
            Self::Tasks => "requested",
            Self::Forms => "completed",
        };
        format!(
            "Subscription?criteria:exact={}%3Fstatus%3D{status}&status=active&type=websocket\
             &payload=application/fhir%2Bjson",
            self.type_name()
        )
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error(transparent)]
    Server(#[from] Trouble),
    #[error(transparent)]
    Socket(#[from] websocket::Error),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    #[error("the server holds {0} Subscriptions for {1}s, exactly one is needed")]
    Subscriptions(usize, &'static str),
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

/// The connector of one channel.
pub struct Connector {
    channel: Channel,
    runtime: Runtime,
    server: Arc<Server>,
    connection: Connection,
}

impl Connector {
    #[must_use]
    pub fn new(runtime: Runtime, server: Arc<Server>, channel: Channel) -> Self {
        let connection = Connection::default();
        connection.set(Some("not connected yet".to_owned()));
        Self {
            channel,
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
                "no {}s from {}: {ended}; connecting again",
                self.channel.type_name(),
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
        tracing::info!(
            "receives the {}s of {}",
            self.channel.type_name(),
            self.server.base()
        );
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
        let found = self.server.search(&self.channel.subscription()).await?;
        let ids: Vec<&str> = resources(&found).filter_map(|(id, _)| id).collect();
        match ids.as_slice() {
            [id] => Ok((*id).to_owned()),
            more => Err(Ended::Subscriptions(more.len(), self.channel.type_name())),
        }
    }

    /// Reads everything that waits, now and every now and then.
    async fn reread(&self) -> Result<(), Ended> {
        loop {
            self.catch_up().await?;
            tokio::time::sleep(REREAD).await;
        }
    }

    /// Reads what waits. Forms are of interest only while a user task waits for its answer; those
    /// that somebody has stopped are told by no Subscription.
    pub(super) async fn catch_up(&self) -> Result<(), Ended> {
        if self.channel == Channel::Tasks {
            return self.read_all(WAITING, None).await;
        }
        let store = self.runtime.store();
        let since = store
            .read(async |conn| user_task::waiting_since(conn).await)
            .await?;
        let Some(since) = since else { return Ok(()) };
        for status in ["completed", "stopped"] {
            let query = format!("QuestionnaireResponse?status={status}&_sort=_lastUpdated");
            self.read_all(&query, Some(since.clone())).await?;
        }
        Ok(())
    }

    /// Reads part after part, each from the time of the last resource of the one before: what is
    /// handled meanwhile leaves the list, and pages that are counted from its beginning would skip as
    /// many others. Where a part is of one millisecond, it is asked for again with more.
    async fn read_all(&self, query: &str, since: Option<String>) -> Result<(), Ended> {
        let (mut since, mut count, mut known) = (since, PART, 0);
        loop {
            let from = since
                .as_ref()
                .map(|since| format!("&_lastUpdated=ge{since}"));
            let from = from.unwrap_or_default();
            let query = format!("{query}{from}&_count={count}&_page=1");
            let found = self.server.search(&query).await?;
            let all: Vec<Resource> = resources(&found)
                .filter_map(|(_, value)| Resource::from_value(value.clone()))
                .collect();
            for resource in &all {
                self.receive(resource).await?;
            }
            let last = all.last().and_then(Resource::last_updated);
            let last = last.and_then(|time| time.parse::<Timestamp>().ok());
            let last = last.map(|time| time.to_string());
            let is_further = last.is_some() && last != since;
            // A server that gives no more than so many has said what it says.
            let is_more = is_further || all.len() > known;
            if !has_next(&found) || !is_more {
                return Ok(());
            }
            (count, known) = if is_further {
                (PART, 0)
            } else {
                (count * 2, all.len())
            };
            since = last;
        }
    }

    /// One frame. What is of another type is not for us: a ping of a Subscription without payload,
    /// or something newer than we are; the next reading finds what is.
    async fn event(&self, text: &str) -> Result<(), Ended> {
        let parsed = if text.trim_start().starts_with('<') {
            xml::parse(text.as_bytes())
        } else {
            json::parse(text.as_bytes())
        };
        match parsed {
            Ok(ours) if ours.type_name() == self.channel.type_name() => self.receive(&ours).await,
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
        match self.channel {
            Channel::Tasks => self.receive_task(resource).await,
            Channel::Forms => self.receive_form(resource).await,
        }
    }

    async fn receive_form(&self, resource: &Resource) -> Result<(), Ended> {
        let form = QuestionnaireResponse(resource);
        let response = resource.id().and_then(|id| id.parse::<Uuid>().ok());
        let task = form.user_task_id().and_then(|id| id.parse::<Uuid>().ok());
        let (Some(response), Some(task)) = (response, task) else {
            tracing::warn!("a QuestionnaireResponse without user-task-id is ignored");
            return Ok(());
        };
        match form.status() {
            Some("completed") => self.receive_answer(task, response, resource).await,
            Some("stopped") => self.receive_refusal(task, response).await,
            _ => Ok(()),
        }
    }

    async fn receive_answer(
        &self,
        task: Uuid,
        response: Uuid,
        resource: &Resource,
    ) -> Result<(), Ended> {
        let document = String::from_utf8_lossy(&json::write(resource, false)).into_owned();
        let store = self.runtime.store();
        let new = store
            .read(async |conn| user_task::answer(conn, task, response, &document).await)
            .await?;
        if new {
            self.runtime.bells().forms.notify_one();
        } else {
            tracing::debug!(%response, user_task = %task, "no user task waits for this answer");
        }
        Ok(())
    }

    /// Somebody has stopped the form: its process cannot go on (spec/bpe.md §14 #27).
    async fn receive_refusal(&self, task: Uuid, response: Uuid) -> Result<(), Ended> {
        let store = self.runtime.store();
        let standing = store
            .read(async |conn| user_task::standing(conn, task).await)
            .await?;
        if let Some((instance, status)) = standing
            && status == "open"
        {
            let reason = format!("QuestionnaireResponse/{response} was stopped");
            tracing::warn!(%instance, "{reason}; the process ends");
            // When the instance is busy, the next reading comes back to it.
            self.runtime.cancel(instance, &reason).await?;
        }
        Ok(())
    }

    async fn receive_task(&self, resource: &Resource) -> Result<(), Ended> {
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
