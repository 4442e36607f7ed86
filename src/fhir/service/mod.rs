//! The one door to resources: REST, Bundles, start-up data and the WebSocket all come through here.
//!
//! [`Service`] offers the interactions ([`interact`]); each runs on a [`ground`]: the identity, the
//! node's copy of the directory and, if it needs one, a connection. A Task create normally needs no
//! look-up and is one statement. What the ground turns out to lack (a connection, a fresher
//! directory, word from another server) ends the attempt with a [`stop::Stop`], and the work is done
//! again with it; so nothing remote is contacted while a connection is held.

mod ahead;
mod binary;
mod condition;
mod find;
mod ground;
mod hear;
mod held;
mod history;
mod interact;
mod known;
mod lease;
mod profiles;
mod refer;
mod remote;
mod search;
mod snapshot;
mod stop;
mod stored;
mod trial;
mod valid;
mod write;

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::auth::{self, Identity, Refusal, Roles};
use crate::fhir::audit::{Deed, Journal, Refused};
use crate::fhir::directory::Directory;
use crate::fhir::fault::Fault;
use crate::fhir::search::Totals;
use crate::fhir::settings::Settings;
use crate::kernel::Clock;
use crate::net::http::Client;
use crate::store::fhir::generations::Generations;
use crate::store::fhir::inserts::Inserts;
use crate::store::fhir::reads::Reads;
use crate::store::fhir::{directory, event, sweep};
use crate::store::{AsyncPgConnection, Statements, Store};

pub use binary::{ContentReader, Piece, Upload};
pub use condition::Condition;
pub(crate) use condition::Match;
pub use history::{Entry as HistoryEntry, History, Scope};
pub use interact::{Created, Updated};
pub use profiles::Profiles;
pub use search::Found;
pub use stored::{Stored, http_date};
pub(crate) use trial::{Question, Verdict};

pub(crate) use ground::Ground;
use ground::Progress;
use held::Held;
use known::Known;
use lease::Lease;
pub(crate) use refer::{Checks, Holder, Leniency};
pub(crate) use stop::Stop;
pub(crate) use write::Incoming;

/// How often work is begun again because the store moved on meanwhile.
const ATTEMPTS: usize = 8;

/// Who a request comes from, before anybody has looked.
#[derive(Clone, Debug)]
pub enum Peer {
    Certificate(Arc<auth::Certificate>),
    /// The server itself while it loads the initial Bundle of the organisation.
    Loader,
    /// The server itself while it loads the resources it is built with, which are valid and bring
    /// the profiles that they would be judged by.
    BuiltIn,
}

/// See the module.
pub struct Service {
    store: Store,
    inserts: Inserts,
    reads: Reads,
    generations: Generations,
    settings: Settings,
    clock: Clock,
    roles: ArcSwap<Roles>,
    remote: Client,
    audit: Journal,
    directory: ArcSwap<Directory>,
    totals: Totals,
    profiles: profiles::Cache,
    known: Known,
    held: Held,
    lease: Lease,
    /// The path of the base URL, without a slash at its end.
    base_path: String,
    started: Timestamp,
    /// Stands for the content of Binaries in documents.
    marks: String,
    /// Something was written here; [`Service::announce`] tells the other nodes.
    written: Notify,
}

impl Service {
    /// A service on an up-to-date store.
    pub async fn open(
        settings: Settings,
        roles: Roles,
        store: Store,
        remote: Client,
        clock: Clock,
    ) -> Result<Self, crate::store::Error> {
        let directory = store
            .read(async |conn: &mut AsyncPgConnection| {
                Directory::load(conn, &settings.base_url, None).await
            })
            .await?;
        let place = settings.listen.port().to_string();
        let base_path = url::Url::parse(&settings.base_url)
            .map(|url| url.path().trim_end_matches('/').to_owned())
            .unwrap_or_default();
        Ok(Self {
            started: clock.now(),
            audit: Journal::new(settings.audit, &place, clock.clone()),
            inserts: Inserts::new(store.clone()),
            reads: Reads::new(store.clone()),
            generations: Generations::new(store.clone()),
            lease: Lease::new(store.changes().clone()),
            store,
            settings,
            clock,
            roles: ArcSwap::from_pointee(roles),
            remote,
            directory: ArcSwap::from_pointee(directory),
            totals: Totals::default(),
            profiles: profiles::Cache::default(),
            known: Known::default(),
            held: Held::new(),
            base_path,
            marks: binary::marks(),
            written: Notify::new(),
        })
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The path of the base URL, without a slash at its end.
    #[must_use]
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The way into the audit trail.
    #[must_use]
    pub fn audit(&self) -> &Journal {
        &self.audit
    }

    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// When this process began to serve.
    #[must_use]
    pub fn started(&self) -> Timestamp {
        self.started
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The identity of a peer as of the newest directory this node has seen.
    fn identify(&self, peer: &Peer, directory: &Arc<Directory>) -> Result<Arc<Identity>, Fault> {
        match peer {
            Peer::Loader | Peer::BuiltIn => Ok(Arc::new(Identity::initial_loader())),
            Peer::Certificate(certificate) => {
                self.known(certificate, directory).map_err(|refusal| {
                    tracing::info!(%refusal, "nobody is admitted");
                    Fault::unauthenticated(refusal.id())
                })
            }
        }
    }

    fn known(
        &self,
        certificate: &auth::Certificate,
        directory: &Arc<Directory>,
    ) -> Result<Arc<Identity>, Refusal> {
        let (roles, own) = (self.roles.load(), &self.settings.organization);
        let ground = (directory, &*roles);
        self.known.identify(certificate, ground, own, self.now())
    }

    /// Whether this is the certificate of the own organisation.
    pub(crate) fn is_own_organization(&self, certificate: &auth::Certificate) -> bool {
        let known = self.known(certificate, &self.directory.load());
        known.is_ok_and(|identity| identity.subject == auth::Subject::LocalOrganization)
    }

    /// Puts other role rules in force, from the next request on.
    pub fn set_roles(&self, roles: Roles) {
        self.roles.store(Arc::new(roles));
    }

    /// Puts a refusal into the audit trail; `asked` says of what. Other faults are none.
    pub(crate) fn record_refusal(&self, peer: Option<&Peer>, fault: &Fault, asked: String) {
        if !fault.is_denial() {
            return;
        }
        let certificate = match peer {
            Some(Peer::Certificate(certificate)) => Some(Arc::clone(certificate)),
            _ => None,
        };
        let known = |certificate| self.known(certificate, &self.directory.load()).ok();
        self.audit.refused(Refused {
            identity: certificate.as_deref().and_then(known),
            certificate,
            reason: fault.reason(),
            about: fault.refused_resource().map(str::to_owned),
            asked,
        });
    }

    /// The fault as this peer may read it: reasons are for local identities.
    pub(crate) fn told_to(&self, peer: &Peer, fault: Fault) -> Fault {
        if fault.outcome().is_none() {
            return fault;
        }
        let identity = self.identify(peer, &self.directory.load());
        if identity.is_ok_and(|identity| identity.is_local()) {
            fault.in_full()
        } else {
            fault
        }
    }

    /// Who this is, on a directory that is proven to be the newest.
    pub async fn identity(&self, peer: &Peer) -> Result<Arc<Identity>, Fault> {
        self.refresh().await?;
        self.identify(peer, &self.directory.load())
    }

    /// Loads the directory again if the store has moved on. Whether it had.
    pub(crate) async fn refresh(&self) -> Result<bool, Fault> {
        let before = self.directory.load_full();
        if self.lease.upholds_directory(before.generation()) {
            return Ok(false);
        }
        let calm = self.lease.calm();
        let newest = self.generations.newest().await.map_err(Fault::from)?;
        self.lease.prove_directory(calm, newest);
        if newest == before.generation() {
            return Ok(false);
        }
        let fresh = self
            .store
            .read(async |conn: &mut AsyncPgConnection| {
                Directory::load(conn, &self.settings.base_url, Some(&before)).await
            })
            .await
            .map_err(|error: crate::store::Error| Fault::from(error))?;
        self.take(Arc::new(fresh));
        Ok(true)
    }

    /// Puts a directory in place unless a newer one is there.
    fn take(&self, new: Arc<Directory>) {
        self.directory.rcu(|old| {
            if old.generation() < new.generation() {
                Arc::clone(&new)
            } else {
                Arc::clone(old)
            }
        });
    }

    /// Runs work that may need no connection at all; if it does, it is begun again within a
    /// transaction.
    pub(crate) async fn attempt<T: Send>(
        &self,
        peer: &Peer,
        work: impl Work<T>,
    ) -> Result<T, Fault> {
        self.settle(peer, Start::Unconnected, work).await
    }

    /// Runs work within a transaction.
    pub(crate) async fn transact<T: Send>(
        &self,
        peer: &Peer,
        work: impl Work<T>,
    ) -> Result<T, Fault> {
        self.settle(peer, Start::Transaction, work).await
    }

    /// Runs statements that only read, each on its own.
    pub(crate) async fn look<T: Send>(&self, peer: &Peer, work: impl Work<T>) -> Result<T, Fault> {
        self.settle(peer, Start::Reading, work).await
    }

    async fn settle<T: Send>(
        &self,
        peer: &Peer,
        start: Start,
        work: impl Work<T>,
    ) -> Result<T, Fault> {
        let mut start = start;
        let mut verified = HashSet::new();
        for _ in 0..ATTEMPTS {
            let directory = self.directory.load_full();
            let outcome = match self.identify(peer, &directory) {
                Ok(identity) => {
                    let origin = Origin {
                        service: self,
                        identity,
                        directory,
                        verified: &verified,
                        is_trusted: matches!(peer, Peer::BuiltIn),
                    };
                    self.once(origin, start, work.clone()).await
                }
                Err(fault) => Err(Stop::Fault(fault)),
            };
            match outcome {
                Ok(value) => return Ok(value),
                // A denial by a stale directory may be wrong.
                Err(Stop::Fault(fault)) if fault.is_denial() && self.refresh().await? => {}
                Err(Stop::Fault(fault)) => return Err(fault),
                Err(Stop::Stale) => {
                    self.refresh().await?;
                }
                Err(Stop::NeedsConnection) => start = Start::Transaction,
                Err(Stop::Remote(targets)) => {
                    for target in targets {
                        self.verify(&target).await?;
                        verified.insert(target.reference);
                    }
                }
            }
        }
        Err(Fault::busy(
            "others kept changing what this request was judged by",
        ))
    }

    async fn once<T: Send>(
        &self,
        origin: Origin<'_>,
        start: Start,
        work: impl Work<T>,
    ) -> Result<T, Stop> {
        let identity = Arc::clone(&origin.identity);
        let done = match start {
            Start::Unconnected => {
                let mut ground = origin.ground(None);
                let value = work(&mut ground).await?;
                ground.done(value, None)
            }
            Start::Reading => {
                let read = async move |conn: &mut AsyncPgConnection| {
                    let mut ground = origin.ground(Some(conn));
                    let value = work(&mut ground).await?;
                    Ok::<_, Stop>(ground.done(value, None))
                };
                self.store.read(read).await?
            }
            Start::Transaction => {
                let write = async move |conn: &mut AsyncPgConnection| {
                    let mut ground = origin.ground(Some(conn));
                    let value = work(&mut ground).await?;
                    let changed = ground.finish().await?;
                    Ok::<_, Stop>(ground.done(value, changed))
                };
                self.store.write(write).await?
            }
            Start::Rehearsal => return self.rehearsed(&origin, work).await,
        };
        if let Some(directory) = done.directory {
            self.take(directory);
        }
        if done.wrote {
            self.written.notify_one();
        }
        self.audit.done(&identity, done.deeds);
        Ok(done.value)
    }

    /// Tells all nodes of what was written here, until the future is dropped. The hint is sent
    /// after the commit and once for many: NOTIFY within the transaction would let one transaction
    /// commit at a time. See docs/adr.
    pub async fn announce(&self) {
        loop {
            self.written.notified().await;
            let sent = self
                .store
                .read(async |conn: &mut AsyncPgConnection| event::announce(conn).await)
                .await;
            if let Err(error) = sent {
                tracing::warn!(%error, "other nodes learn of new events only when they look");
            }
        }
    }

    /// Holds the lease for reads from memory while there are readers, until the future is dropped.
    pub async fn hold_lease(&self) {
        self.lease.keep(&self.store).await;
    }

    /// Other nodes need not wait for the end of the lease.
    pub async fn give_lease_back(&self) {
        self.lease.give_back(&self.store).await;
    }

    /// Removes what is past its time.
    pub async fn sweep(&self) -> Result<(), crate::store::Error> {
        self.audit.prune(&self.store).await?;
        self.audit.tell_head(&self.store).await;
        self.store
            .read(async |conn: &mut AsyncPgConnection| sweep::run(conn).await)
            .await
    }
}

/// Work on a ground, which may be begun again: so it is cloned, and changes nothing but the store.
pub(crate) trait Work<T>:
    for<'r, 'g> AsyncFnOnce(&'r mut Ground<'g>) -> Result<T, Stop>
    + for<'r, 'g> Statements<&'r mut Ground<'g>, Result<T, Stop>, Fut: Send>
    + Clone
    + Send
{
}

impl<T, F> Work<T> for F where
    F: for<'r, 'g> AsyncFnOnce(&'r mut Ground<'g>) -> Result<T, Stop>
        + for<'r, 'g> Statements<&'r mut Ground<'g>, Result<T, Stop>, Fut: Send>
        + Clone
        + Send
{
}

/// What the grounds of one attempt have in common.
#[derive(Clone)]
struct Origin<'a> {
    service: &'a Service,
    identity: Arc<Identity>,
    directory: Arc<Directory>,
    verified: &'a HashSet<String>,
    is_trusted: bool,
}

impl Origin<'_> {
    fn ground<'g>(&'g self, conn: Option<&'g mut AsyncPgConnection>) -> Ground<'g> {
        Ground {
            service: self.service,
            identity: Arc::clone(&self.identity),
            directory: Arc::clone(&self.directory),
            conn,
            verified: self.verified,
            is_trusted: self.is_trusted,
            changed: false,
            wrote: false,
            deeds: Vec::new(),
            allowed: None,
            progress: Progress::default(),
        }
    }
}

/// What an attempt begins with.
#[derive(Clone, Copy, Debug)]
enum Start {
    Unconnected,
    Reading,
    Transaction,
    /// A transaction of which nothing remains, neither in the store nor in the audit trail.
    Rehearsal,
}

/// What came of one attempt.
struct Done<T> {
    value: T,
    wrote: bool,
    /// The directory, if it was changed.
    directory: Option<Arc<Directory>>,
    deeds: Vec<Deed>,
}

impl Ground<'_> {
    fn done<T>(&mut self, value: T, directory: Option<Arc<Directory>>) -> Done<T> {
        Done {
            value,
            wrote: self.wrote,
            directory,
            deeds: std::mem::take(&mut self.deeds),
        }
    }

    /// The last acts of a transaction: what waits is written, and a changed directory moves on.
    async fn finish(&mut self) -> Result<Option<Arc<Directory>>, Stop> {
        self.flush().await?;
        if !self.changed {
            return Ok(None);
        }
        let generation = self.directory.generation();
        if !directory::advance(self.conn().await?, generation).await? {
            return Err(Stop::Stale);
        }
        Arc::<Directory>::make_mut(&mut self.directory).advance();
        Ok(Some(Arc::clone(&self.directory)))
    }
}
