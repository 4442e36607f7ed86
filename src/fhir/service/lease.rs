//! Whether this node may answer reads from memory: while it holds the lease of the database nobody
//! else changes a resource, and of its own changes it knows. See docs/adr/0044.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::store::fhir::lease as row;
use crate::store::{Changes, Moment, Store};

/// How long it lasts, counted by this node from before it asked and by the database from after that:
/// so this node is the first to think it over.
const LASTS: Duration = Duration::from_secs(2);
/// A lease that is used is prolonged this often.
const PERIOD: Duration = Duration::from_secs(1);
/// Until it is asked for again where it was refused.
const PAUSE: Duration = Duration::from_secs(5);

/// See the module.
pub struct Lease {
    changes: Changes,
    began: Instant,
    tenure: ArcSwapOption<Tenure>,
    wanted: Notify,
    /// Of the directory that was proven to be the newest last.
    directory: ArcSwapOption<Proof>,
}

/// From taking the lease until it is over.
#[derive(Debug)]
struct Tenure {
    /// What [`Changes::lost`] said before: what is lost later may change something at any time.
    lost: u64,
    /// Nanoseconds after `Lease::began`.
    until: AtomicU64,
    is_used: AtomicBool,
}

/// A moment at which the lease was held and nothing was being changed here.
#[derive(Clone, Debug)]
pub struct Calm {
    tenure: Arc<Tenure>,
    moment: Moment,
}

/// Of a version: it was the current one, and this the generation of the directory, and both still
/// are while [`Lease::upholds`] says so.
#[derive(Debug)]
pub struct Proof {
    calm: Calm,
    generation: i64,
}

impl Lease {
    pub fn new(changes: Changes) -> Self {
        Self {
            changes,
            began: Instant::now(),
            tenure: ArcSwapOption::empty(),
            wanted: Notify::new(),
            directory: ArcSwapOption::empty(),
        }
    }

    /// For those who come later: this was the generation of the directory.
    pub fn prove_directory(&self, since: Option<Calm>, generation: i64) {
        if let Some(proof) = self.proof(since, generation) {
            self.directory.store(Some(Arc::new(proof)));
        }
    }

    /// Whether this is the newest generation of the directory.
    pub fn upholds_directory(&self, generation: i64) -> bool {
        let proof = self.directory.load();
        proof
            .as_ref()
            .is_some_and(|proof| self.upholds(proof, generation))
    }

    /// Now, if this is such a moment; to be asked before the database is. Says that the lease would
    /// be of use.
    pub fn calm(&self) -> Option<Calm> {
        let Some(tenure) = self.tenure.load_full() else {
            self.wanted.notify_one();
            return None;
        };
        tenure.is_used.store(true, Ordering::Relaxed);
        let moment = self.changes.moment()?;
        let calm = Calm { tenure, moment };
        self.lasts(&calm).then_some(calm)
    }

    /// That what the database has answered since then is so until something changes.
    pub fn proof(&self, since: Option<Calm>, generation: i64) -> Option<Proof> {
        let calm = since.filter(|calm| self.lasts(calm))?;
        Some(Proof { calm, generation })
    }

    /// Whether what was proven is so at this moment.
    pub fn upholds(&self, proof: &Proof, generation: i64) -> bool {
        let is_upheld = proof.generation == generation && self.lasts(&proof.calm);
        // Written by all readers otherwise.
        let is_used = &proof.calm.tenure.is_used;
        if is_upheld && !is_used.load(Ordering::Relaxed) {
            is_used.store(true, Ordering::Relaxed);
        }
        is_upheld
    }

    /// Whether nothing can have changed since.
    fn lasts(&self, calm: &Calm) -> bool {
        let Calm { tenure, moment } = calm;
        let is_current = || {
            let current = self.tenure.load();
            current.as_ref().is_some_and(|it| Arc::ptr_eq(it, tenure))
        };
        moment.lost() == tenure.lost
            && self.changes.moment() == Some(*moment)
            && self.now() < tenure.until.load(Ordering::SeqCst)
            && is_current()
    }

    /// Takes the lease when it is wanted and prolongs it while it is used, until the future is
    /// dropped.
    pub async fn keep(&self, store: &Store) {
        loop {
            self.wanted.notified().await;
            let lost = self.changes.lost();
            let until = self.end();
            let ended = match row::take(store, LASTS).await {
                Ok(true) => {
                    let tenure = Arc::new(Tenure {
                        lost,
                        until: AtomicU64::new(until),
                        is_used: AtomicBool::new(true),
                    });
                    self.tenure.store(Some(Arc::clone(&tenure)));
                    tracing::debug!("reads are answered from memory");
                    self.prolong(store, &tenure).await
                }
                Ok(false) => Ok(Ended::Refused),
                Err(error) => Err(error),
            };
            self.tenure.store(None);
            match ended {
                Ok(Ended::Unused) => self.give_back(store).await,
                Ok(Ended::Lost) => {}
                // Who waits for its end need not wait any longer.
                Ok(Ended::Refused) => {
                    self.give_back(store).await;
                    sleep(PAUSE).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "reads are answered by the database");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn prolong(&self, store: &Store, tenure: &Tenure) -> Result<Ended, crate::store::Error> {
        loop {
            sleep(PERIOD).await;
            if self.changes.lost() != tenure.lost {
                return Ok(Ended::Lost);
            }
            if !tenure.is_used.swap(false, Ordering::Relaxed) {
                return Ok(Ended::Unused);
            }
            let until = self.end();
            if !row::prolong(store, LASTS).await? {
                return Ok(Ended::Refused);
            }
            tenure.until.store(until, Ordering::SeqCst);
        }
    }

    /// Before it has run out: others need not wait.
    pub async fn give_back(&self, store: &Store) {
        self.tenure.store(None);
        if let Err(error) = row::give_back(store).await {
            tracing::debug!(%error, "others wait until the lease has run out");
        }
    }

    /// When a lease that is asked for now is over.
    fn end(&self) -> u64 {
        self.now().saturating_add(nanoseconds(LASTS))
    }

    fn now(&self) -> u64 {
        nanoseconds(self.began.elapsed())
    }
}

/// Why a tenure ended.
enum Ended {
    /// Others need the database, or the lease has run out.
    Refused,
    /// Nobody has read for a while.
    Unused,
    /// A change got lost here: what it did is known when the lease can be taken again.
    Lost,
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicUsize};

    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
    use serde_json::{Value, json};
    use tokio::task::JoinHandle;
    use tokio::time::timeout;
    use uuid::Uuid;

    use super::*;
    use crate::auth::{Certificate, Roles};
    use crate::fhir::service::{Checks, Created, Holder, Incoming, Peer, Service};
    use crate::fhir::settings::{Settings, Validation};
    use crate::kernel::Clock;
    use crate::net::http::{self, Client};
    use crate::r4::{Resource, ResourceType};
    use crate::store::faults::Faults;
    use crate::store::testing::fresh_database;
    use crate::store::{AsyncPgConnection, Schema, Settings as Database};

    const KIND: ResourceType = ResourceType::Patient;
    const OWN: &str = "own.example";

    /// A mailbox that counts how often it uses the database, and its own organisation.
    struct Node {
        service: Arc<Service>,
        peer: Peer,
        uses: Arc<AtomicUsize>,
        holder: JoinHandle<()>,
    }

    impl Drop for Node {
        fn drop(&mut self) {
            self.holder.abort();
        }
    }

    impl Node {
        async fn first(database: &Database) -> Self {
            let (certificate, organization) = organization();
            let node = Self::start(database, Peer::Certificate(Arc::new(certificate))).await;
            let create = node
                .service
                .create(&Peer::Loader, &organization, None, None);
            create.await.unwrap();
            node
        }

        async fn start(database: &Database, peer: Peer) -> Self {
            let uses = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&uses);
            let faults = Faults::new(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
                false
            });
            let store = Store::open(database, Schema::Fhir).await.unwrap();
            let store = store.with_faults(faults);
            let client = Client::new(&http::Settings::default()).unwrap();
            let settings = Settings {
                validation: Validation::Off,
                ..Settings::within("https://mailbox.example/fhir".to_owned(), OWN.to_owned())
            };
            let roles = Roles::default();
            let service = Service::open(settings, roles, store, client, Clock::system()).await;
            let service = Arc::new(service.unwrap());
            let keeper = Arc::clone(&service);
            let holder = tokio::spawn(async move { keeper.hold_lease().await });
            Self {
                service,
                peer,
                uses,
                holder,
            }
        }

        async fn create(&self) -> Uuid {
            let patient = patient(None);
            let create = self.service.create(&self.peer, &patient, None, None);
            match create.await.unwrap() {
                Created::New(stored) | Created::Existing(stored) => stored.id,
            }
        }

        async fn update(&self, id: Uuid) -> i64 {
            let patient = patient(Some(id));
            let update = self.service.update(&self.peer, id, &patient, None);
            update.await.unwrap().version
        }

        async fn read(&self, id: Uuid) -> i64 {
            let read = self.service.read(&self.peer, KIND, id, None);
            read.await.unwrap().version
        }

        /// Whether a read goes without the database.
        async fn remembers(&self, id: Uuid) -> bool {
            let before = self.uses.load(Ordering::SeqCst);
            self.read(id).await;
            self.uses.load(Ordering::SeqCst) == before
        }

        /// Reads until it does.
        async fn remembered(&self, id: Uuid) {
            let reads = async {
                while !self.remembers(id).await {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(Duration::from_secs(60), reads).await.unwrap();
        }
    }

    fn incoming(value: Value) -> Incoming {
        let resource = Resource::from_value(value).unwrap();
        let checks = Checks::Now;
        Incoming {
            kind: resource.resource_type().unwrap(),
            resource,
            content: None,
            holder: Holder {
                id: None,
                index: None,
            },
            checks,
        }
    }

    fn meta() -> Value {
        let system = "http://dsf.dev/fhir/CodeSystem/read-access-tag";
        json!({"tag": [{"system": system, "code": "ALL"}]})
    }

    fn patient(id: Option<Uuid>) -> Incoming {
        let mut patient = json!({"resourceType": "Patient", "meta": meta(), "active": true});
        if let Some(id) = id {
            patient["id"] = json!(id);
        }
        incoming(patient)
    }

    /// The own organisation, and its certificate.
    fn organization() -> (Certificate, Incoming) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let certificate = Certificate::from_der(signed.der()).unwrap();
        let extension = "http://dsf.dev/fhir/StructureDefinition/extension-certificate-thumbprint";
        let identifier = "http://dsf.dev/sid/organization-identifier";
        let organization = json!({"resourceType": "Organization", "meta": meta(), "active": true,
            "extension": [{"url": extension, "valueString": certificate.thumbprint}],
            "identifier": [{"system": identifier, "value": OWN}]});
        (certificate, incoming(organization))
    }

    async fn nothing(_: &mut AsyncPgConnection) -> Result<(), crate::store::Error> {
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_read_needs_no_database_until_something_changes() {
        let node = Node::first(&fresh_database().await).await;
        let (id, other) = (node.create().await, node.create().await);
        node.remembered(id).await;
        assert!(node.remembers(id).await);
        assert!(!node.remembers(other).await, "it was not read before");

        let asked = || node.uses.load(Ordering::SeqCst);
        assert!(!node.service.refresh().await.unwrap());
        let before = asked();
        assert!(!node.service.refresh().await.unwrap());
        assert_eq!(asked(), before, "the directory is known as well");
        node.service.store().write(nothing).await.unwrap();
        let before = asked();
        assert!(!node.service.refresh().await.unwrap());
        assert_ne!(asked(), before, "something may have changed");
        node.remembered(id).await;

        assert_eq!(node.update(id).await, 2);
        assert_eq!(node.read(id).await, 2);
        node.remembered(id).await;
        let delete = node.service.delete(&node.peer, KIND, id);
        delete.await.unwrap();
        let gone = node.service.read(&node.peer, KIND, id, None).await;
        assert_eq!(gone.unwrap_err().status(), 410);
    }

    /// Whoever reads after the answer to a change sees that change, whatever goes on meanwhile.
    #[tokio::test(flavor = "multi_thread")]
    async fn readers_see_every_change_that_was_answered() {
        let node = Arc::new(Node::first(&fresh_database().await).await);
        let id = node.create().await;
        node.remembered(id).await;
        let answered = Arc::new(AtomicI64::new(1));
        let mut readers = Vec::new();
        for _ in 0..3 {
            let (node, answered) = (Arc::clone(&node), Arc::clone(&answered));
            readers.push(tokio::spawn(async move {
                let mut last = 0;
                while last < 300 {
                    let least = answered.load(Ordering::SeqCst);
                    let seen = node.read(id).await;
                    assert!(seen >= least && seen >= last, "{seen} {least} {last}");
                    last = seen;
                    tokio::task::yield_now().await;
                }
            }));
        }
        while answered.load(Ordering::SeqCst) < 300 {
            answered.store(node.update(id).await, Ordering::SeqCst);
            // Now and then there is time to remember it.
            if answered.load(Ordering::SeqCst) % 50 == 0 {
                node.remembered(id).await;
            }
        }
        for reader in readers {
            reader.await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn changes_of_another_node_are_seen_at_once() {
        let database = fresh_database().await;
        let first = Node::first(&database).await;
        let id = first.create().await;
        first.remembered(id).await;
        let second = Node::start(&database, first.peer.clone()).await;
        for version in 1..10 {
            assert_eq!(second.update(id).await, 2 * version);
            assert_eq!(first.read(id).await, 2 * version);
            assert_eq!(first.update(id).await, 2 * version + 1);
            assert_eq!(second.read(id).await, 2 * version + 1);
        }
        assert!(!first.remembers(id).await, "two nodes ask the database");
    }

    /// A transaction whose caller has gone away may still be committed.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_whose_end_nobody_knows_ends_the_lease() {
        let node = Node::first(&fresh_database().await).await;
        let id = node.create().await;
        node.remembered(id).await;
        let store = node.service.store().clone();
        let stuck = async move |_: &mut AsyncPgConnection| {
            std::future::pending::<()>().await;
            Ok::<_, crate::store::Error>(())
        };
        let given_up = timeout(Duration::from_millis(50), store.write(stuck)).await;
        assert!(given_up.is_err());
        assert!(!node.remembers(id).await);
        node.remembered(id).await;
    }
}
