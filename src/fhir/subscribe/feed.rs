//! From the event log to the sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use uuid::Uuid;

use crate::fhir::fault::Fault;
use crate::fhir::search::Candidate;
use crate::fhir::service::Peer;
use crate::kernel::{Clock, Shutdown};
use crate::r4::{Resource, ResourceType};
use crate::store::fhir::event::{self, Cursor, Event};
use crate::store::fhir::search::tokens_of;
use crate::store::notify::{Hub, Listener, Signal};
use crate::store::{Error, Store};

use super::catalog::{Active, Catalog, Payload};
use super::session::{Closing, Frame, Session};

/// Events read at once.
const BATCH: usize = 100;
/// From one look into the log that found several events to the next: under load each finds those of
/// many requests.
const BREATH: Duration = Duration::from_millis(2);
/// Without a hint the log is looked into this often.
const POLL: Duration = Duration::from_secs(1);
/// Events stay out of sight while an older transaction runs: look again soon, a few times.
const SOON: [Duration; 10] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(3),
    Duration::from_millis(4),
    Duration::from_millis(6),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(40),
    Duration::from_millis(80),
    Duration::from_millis(200),
];

/// What the feed asks of the service.
#[async_trait]
pub trait Mailbox: Send + Sync + 'static {
    /// Whether the client still has the rights to receive this resource by a socket: rule.read
    /// and the WEBSOCKET right of its type (`spec/bpe.md` §1.5 c).
    async fn may_receive(&self, peer: &Peer, resource: &Resource) -> Result<bool, Fault>;

    /// Whether the client may still have a socket at all, as of now.
    async fn may_listen(&self, peer: &Peer) -> Result<bool, Fault>;

    /// The resource as a client sees it, in the format of the payload.
    fn present(&self, resource: &Resource, payload: Payload) -> String;
}

/// Delivers events to the sockets of this node. Cloning shares it.
pub struct Feed {
    store: Store,
    mailbox: Arc<dyn Mailbox>,
    clock: Clock,
    catalog: ArcSwap<Catalog>,
    /// Where the log ended when the feed was opened, before any socket could be bound.
    start: Cursor,
    sessions: Mutex<Vec<Weak<Session>>>,
}

impl Feed {
    /// A feed of what is written from now on; [`Feed::run`] must run before sockets are opened.
    pub async fn open(
        store: Store,
        mailbox: Arc<dyn Mailbox>,
        clock: Clock,
    ) -> Result<Arc<Self>, Error> {
        let (start, catalog) = store
            .read(async |conn| {
                Ok::<_, Error>((event::end(conn).await?, Catalog::load(conn).await?))
            })
            .await?;
        let catalog = ArcSwap::from_pointee(catalog);
        Ok(Arc::new(Self {
            store,
            mailbox,
            clock,
            catalog,
            start,
            sessions: Mutex::default(),
        }))
    }

    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Delivers events until the end has come.
    pub async fn run(&self, hub: &Hub, shutdown: &Shutdown) {
        let mut listener = hub.listen(event::CHANNEL);
        let mut cursor = self.start;
        let mut pauses = SOON.iter();
        loop {
            let began = Instant::now();
            let caught = self.catch_up(&mut cursor).await;
            let caught = caught.unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot read the event log");
                Caught {
                    events: 0,
                    is_obscured: true,
                }
            });
            if caught.events > 0 {
                pauses = SOON.iter();
            }
            let pause = pauses.next().filter(|_| caught.is_obscured).copied();
            tokio::select! {
                () = shutdown.begun() => return,
                hinted = wait(&mut listener, pause.unwrap_or(POLL)) => {
                    if hinted {
                        pauses = SOON.iter();
                    }
                }
            }
            if caught.events > 1 {
                tokio::time::sleep(BREATH.saturating_sub(began.elapsed())).await;
            }
        }
    }

    /// Delivers what is new.
    async fn catch_up(&self, cursor: &mut Cursor) -> Result<Caught, Error> {
        let mut events = 0;
        loop {
            let (at, wanted) = (*cursor, self.heard());
            let look = self
                .store
                .read(async |conn| event::after(conn, at, BATCH, &wanted).await)
                .await?;
            let mut is_told = true;
            for event in look.events {
                if event.kind == ResourceType::Subscription {
                    self.reload().await?;
                }
                // By now somebody may hear of a type whose documents were not asked for.
                is_told = wanted.contains(&event.kind) || !self.heard().contains(&event.kind);
                if !is_told {
                    break;
                }
                self.deliver(&event).await?;
                *cursor = event.cursor;
                events += 1;
            }
            if is_told && !look.is_full {
                let is_obscured = look.is_obscured;
                return Ok(Caught {
                    events,
                    is_obscured,
                });
            }
        }
    }

    /// The types of resources that a socket hears of.
    fn heard(&self) -> Vec<ResourceType> {
        let sessions = self.sessions();
        if sessions.is_empty() {
            return Vec::new();
        }
        let catalog = self.catalog.load();
        let mut kinds: Vec<ResourceType> = catalog
            .all()
            .filter(|active| sessions.iter().any(|session| session.is_bound(active.id)))
            .map(|active| active.criteria.kind)
            .collect();
        kinds.sort_unstable_by_key(|kind| kind.code());
        kinds.dedup();
        kinds
    }

    /// Reads the active Subscriptions anew.
    async fn reload(&self) -> Result<(), Error> {
        let catalog = self
            .store
            .read(async |conn| Catalog::load(conn).await)
            .await?;
        self.catalog.store(Arc::new(catalog));
        Ok(())
    }

    /// Fails only before anybody got the event, so that it can be tried again.
    async fn deliver(&self, event: &Event) -> Result<(), Error> {
        let catalog = self.catalog.load_full();
        let sessions = self.sessions();
        let heard: Vec<&Active> = catalog
            .of(event.kind)
            .filter(|active| sessions.iter().any(|session| session.is_bound(active.id)))
            .collect();
        let Some(resource) = event
            .document
            .as_deref()
            .filter(|_| !heard.is_empty())
            .and_then(parsed)
        else {
            return Ok(());
        };
        let candidate = self.candidate(&resource, &heard).await?;
        let matching: Vec<&Active> = heard
            .into_iter()
            .filter(|active| candidate.meets(&active.criteria.condition))
            .collect();
        if matching.is_empty() {
            return Ok(());
        }
        let mut texts = Texts {
            mailbox: &*self.mailbox,
            resource: &resource,
            made: HashMap::new(),
        };
        for session in sessions {
            let bound: Vec<_> = matching
                .iter()
                .filter(|active| session.is_bound(active.id))
                .collect();
            if bound.is_empty() {
                continue;
            }
            match self.admits(&session, &resource).await {
                Ok(true) => {
                    for active in bound {
                        session.send(Frame::Text(texts.of(active)));
                    }
                }
                Ok(false) => {}
                // Others have the event already: this one must catch up by itself.
                Err(error) => {
                    tracing::warn!(%error, "cannot check a right, the socket is given up");
                    session.give_up();
                }
            }
        }
        Ok(())
    }

    /// The resource with what the criteria must know of those it refers to.
    async fn candidate(&self, resource: &Resource, heard: &[&Active]) -> Result<Candidate, Error> {
        let candidate = Candidate::new(resource);
        let wanted: Vec<Uuid> = heard
            .iter()
            .flat_map(|active| candidate.wanted(&active.criteria.condition))
            .collect();
        if wanted.is_empty() {
            return Ok(candidate);
        }
        let targets = self
            .store
            .read(async |conn| tokens_of(conn, wanted).await)
            .await?;
        Ok(candidate.with_targets(targets))
    }

    /// Asked before every frame: time passes and rights change while a socket is open.
    async fn admits(&self, session: &Session, resource: &Resource) -> Result<bool, Fault> {
        if session.identity().is_expired(self.clock.now()) {
            session.send(Frame::Close(Closing::CredentialsExpired));
            return Ok(false);
        }
        let admitted = self.mailbox.may_receive(session.peer(), resource).await?;
        if !admitted {
            tracing::warn!(
                identity = session.identity().name(),
                resource = resource.id(),
                "event withheld: the identity may not receive it"
            );
        }
        Ok(admitted)
    }

    /// Whether a session keeps its right to a socket. If that cannot be found out, it does for now:
    /// without the database it hears nothing either.
    pub async fn upholds(&self, session: &Session) -> bool {
        match self.mailbox.may_listen(session.peer()).await {
            Ok(may_listen) => may_listen,
            Err(error) => {
                tracing::warn!(%error, "the right to a socket is looked at later");
                true
            }
        }
    }

    /// Takes a session in; it leaves by being dropped.
    pub fn join(&self, session: &Arc<Session>) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|known| known.strong_count() > 0);
        sessions.push(Arc::downgrade(session));
    }

    fn sessions(&self) -> Vec<Arc<Session>> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.iter().filter_map(Weak::upgrade).collect()
    }

    /// Handles a text of the client: `bind <id>`, anything else is ignored (`spec/bpe.md` §1.4).
    /// The database is asked, so a Subscription can be bound as soon as its creation was answered.
    pub async fn hear(&self, session: &Session, text: &str) -> Result<(), Error> {
        let Some(wanted) = text.strip_prefix("bind ") else {
            return Ok(());
        };
        self.reload().await?;
        match self.catalog.load().find(wanted) {
            Some(subscription) => session.bind(subscription),
            None => session.send(Frame::Close(Closing::NotFound(wanted.to_owned()))),
        }
        Ok(())
    }
}

/// What one reading of the log came to.
struct Caught {
    events: usize,
    /// There are more, out of sight.
    is_obscured: bool,
}

/// The texts of one event, each made once.
struct Texts<'a> {
    mailbox: &'a dyn Mailbox,
    resource: &'a Resource,
    made: HashMap<Payload, Arc<str>>,
}

impl Texts<'_> {
    fn of(&mut self, active: &Active) -> Arc<str> {
        if active.payload == Payload::Ping {
            return format!("ping {}", active.id).into();
        }
        let make = || self.mailbox.present(self.resource, active.payload).into();
        Arc::clone(self.made.entry(active.payload).or_insert_with(make))
    }
}

/// Waits for a hint, at most as long as told; answers whether there was one.
async fn wait(listener: &mut Listener, patience: Duration) -> bool {
    match tokio::time::timeout(patience, listener.next()).await {
        Ok(Signal::Hint(_) | Signal::Reread) => true,
        Ok(Signal::Closed) => {
            tokio::time::sleep(patience).await;
            false
        }
        Err(_) => false,
    }
}

fn parsed(document: &str) -> Option<Resource> {
    Resource::from_value(serde_json::from_str(document).ok()?)
}
