//! From requests to the chain: taken without waiting, stored together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::record::{Record, short, versioned};
use super::verify::hex;
use super::{Deed, Settings, VISIT, Visit};
use crate::auth::{Certificate, Identity};
use crate::kernel::Clock;
use crate::store::fhir::audit::{self, Link, NewBlock};
use crate::store::{self, AsyncPgConnection, Store};

/// How long a note waits for company.
const PERIOD: Duration = Duration::from_millis(100);
/// Notes that may wait while the database does not answer; further ones are in the log only.
const CAPACITY: usize = 16 * 1024;
/// Most notes in a block.
const MOST: usize = 4096;
/// How long after a failure a block is tried again, and how often when the process ends.
const AGAIN: Duration = Duration::from_millis(500);
const LAST_TRIES: u32 = 10;

/// The way into the trail.
pub struct Journal {
    settings: Settings,
    /// Names the node in its blocks.
    node: String,
    clock: Clock,
    notes: mpsc::Sender<Note>,
    inbox: Mutex<Option<mpsc::Receiver<Note>>>,
    lost: AtomicU64,
    over: CancellationToken,
}

/// What happened, as it is handed over; the words are made later.
struct Note {
    at: Timestamp,
    visit: Option<Visit>,
    what: What,
}

enum What {
    Done(Arc<Identity>, Vec<Deed>),
    Refused(Box<Refused>),
    Own(Box<Record>),
}

/// A request that was refused.
#[derive(Debug)]
pub struct Refused {
    pub identity: Option<Arc<Identity>>,
    /// Of whoever was not admitted as anybody.
    pub certificate: Option<Arc<Certificate>>,
    /// A name of docs/security.md, or the code of the issue in the answer.
    pub reason: &'static str,
    /// `Type/id` where that is known.
    pub about: Option<String>,
    /// Method and path, or the entry of a Bundle.
    pub asked: String,
}

impl Journal {
    /// `place` tells the nodes of a host apart.
    #[must_use]
    pub fn new(settings: Settings, place: &str, clock: Clock) -> Self {
        let (notes, inbox) = mpsc::channel(CAPACITY);
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            settings,
            node: format!("{}/{place}", host.trim()),
            clock,
            notes,
            inbox: Mutex::new(Some(inbox)),
            lost: AtomicU64::new(0),
            over: CancellationToken::new(),
        }
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Records what an identity did; before the answer leaves.
    pub fn done(&self, identity: &Arc<Identity>, deeds: Vec<Deed>) {
        if !deeds.is_empty() {
            self.note(What::Done(Arc::clone(identity), deeds));
        }
    }

    /// Records what an identity, or nobody, was refused.
    pub fn refused(&self, refused: Refused) {
        self.note(What::Refused(Box::new(refused)));
    }

    fn note(&self, what: What) {
        let (at, visit) = (self.clock.now(), VISIT.try_with(|visit| *visit).ok());
        let note = Note { at, visit, what };
        if let Err(error) = self.notes.try_send(note) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            let (mpsc::error::TrySendError::Full(note) | mpsc::error::TrySendError::Closed(note)) =
                error;
            for record in records(&note) {
                let record = record.line();
                tracing::error!(record = record.trim(), "the audit trail does not take this");
            }
        }
    }

    /// No more notes come: [`Journal::run`] stores what is left and ends.
    pub fn finish(&self) {
        self.over.cancel();
    }

    /// Stores notes until [`Journal::finish`].
    pub async fn run(&self, store: &Store) {
        let taken = self
            .inbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut inbox) = taken else { return };
        let version = Some(format!("dsf {}", env!("CARGO_PKG_VERSION")));
        self.own(Record {
            detail: version,
            ..Record::new(self.clock.now(), "start")
        });
        let mut batch = Vec::new();
        while !self.over.is_cancelled() {
            tokio::select! {
                _ = inbox.recv_many(&mut batch, MOST) => {}
                () = self.over.cancelled() => break,
            }
            if batch.len() < MOST {
                tokio::select! {
                    () = tokio::time::sleep(PERIOD) => {}
                    () = self.over.cancelled() => {}
                }
            }
            self.store(store, &mut inbox, &mut batch).await;
        }
        self.own(Record::new(self.clock.now(), "end"));
        while self.store(store, &mut inbox, &mut batch).await {}
        self.tell_head(store).await;
    }

    fn own(&self, record: Record) {
        self.note(What::Own(Box::new(record)));
    }

    /// Stores what has gathered; whether there was anything.
    async fn store(
        &self,
        store: &Store,
        inbox: &mut mpsc::Receiver<Note>,
        batch: &mut Vec<Note>,
    ) -> bool {
        while batch.len() < MOST
            && let Ok(note) = inbox.try_recv()
        {
            batch.push(note);
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let detail = Some(format!("{lost} records are in the log only"));
            let record = Record {
                detail,
                ..Record::new(self.clock.now(), "lost")
            };
            batch.push(Note {
                at: record.at,
                visit: None,
                what: What::Own(Box::new(record)),
            });
        }
        if batch.is_empty() {
            return false;
        }
        self.append(store, &self.block(batch)).await;
        batch.clear();
        true
    }

    fn block(&self, batch: &[Note]) -> NewBlock {
        let now = self.clock.now();
        let records: Vec<Record> = batch.iter().flat_map(records).collect();
        NewBlock {
            id: Uuid::now_v7(),
            at: now,
            since: records.iter().map(|record| record.at).min().unwrap_or(now),
            node: self.node.clone(),
            count: i32::try_from(records.len()).unwrap_or(i32::MAX),
            records: records.iter().map(Record::line).collect(),
        }
    }

    /// Tries until it is stored: meanwhile further notes wait in front.
    async fn append(&self, store: &Store, block: &NewBlock) {
        let mut tries = 0;
        loop {
            let stored = store
                .read(async |conn: &mut AsyncPgConnection| audit::append(conn, block).await)
                .await;
            let Err(error) = stored else { return };
            let error: store::Error = error;
            tries += 1;
            if self.over.is_cancelled() && tries >= LAST_TRIES {
                let records = block.records.as_str();
                return tracing::error!(%error, records, "the end of the audit trail is not stored");
            }
            tracing::warn!(%error, "the audit trail is stored later");
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Puts the end of the chain into the log, which somebody else may keep: whoever changes the
    /// chain as a whole does not change that.
    pub async fn tell_head(&self, store: &Store) {
        let head = store
            .read(async |conn: &mut AsyncPgConnection| audit::head(conn).await)
            .await;
        match head {
            Ok(Some(Link { number, digest })) => {
                let digest = hex(&digest);
                tracing::info!(number, digest, "the audit trail reaches here");
            }
            Ok(None) => tracing::error!("the audit trail has lost its end: dsf audit verify"),
            Err(error) => {
                let error: store::Error = error;
                tracing::warn!(%error, "cannot see where the audit trail ends");
            }
        }
    }

    /// Removes what is older than the settings say, and records that.
    pub async fn prune(&self, store: &Store) -> Result<(), store::Error> {
        let now = self.clock.now();
        let Ok(before) = now.checked_sub(self.settings.keep) else {
            return Ok(());
        };
        let node = self.node.as_str();
        store
            .write(async move |conn: &mut AsyncPgConnection| {
                let Some(link) = audit::last_before(conn, before).await? else {
                    return Ok(());
                };
                let record = Record {
                    through: Some(link.number),
                    digest: Some(hex(&link.digest)),
                    ..Record::new(now, "prune")
                };
                let block = NewBlock {
                    id: Uuid::now_v7(),
                    at: now,
                    since: now,
                    node: node.to_owned(),
                    count: 1,
                    records: record.line(),
                };
                audit::append(conn, &block).await?;
                audit::prune(conn, link.number).await
            })
            .await
    }
}

/// The records of a note: deeds of one kind go together.
fn records(note: &Note) -> Vec<Record> {
    let mut records = match &note.what {
        What::Own(record) => return vec![Record::clone(record)],
        What::Done(identity, deeds) => done(note.at, identity, deeds),
        What::Refused(refused) => vec![self::refused(note.at, refused)],
    };
    for record in &mut records {
        record.request = note.visit.map(|visit| visit.request);
        record.address = note.visit.and_then(|visit| visit.address);
    }
    records
}

fn done(at: Timestamp, identity: &Identity, deeds: &[Deed]) -> Vec<Record> {
    let alike = deeds.chunk_by(|one, next| (one.act, one.reason) == (next.act, next.reason));
    alike
        .filter_map(|deeds| {
            let first = deeds.first()?;
            Some(Record {
                reason: first.reason.map(|reason| reason.id().to_owned()),
                resources: deeds.iter().map(versioned).collect(),
                ..Record::new(at, first.act.name()).of(identity)
            })
        })
        .collect()
}

fn refused(at: Timestamp, refused: &Refused) -> Record {
    let mut record = Record::new(at, "refuse");
    if let Some(identity) = &refused.identity {
        record = record.of(identity);
    } else if let Some(certificate) = &refused.certificate {
        record.certificate = Some(short(&certificate.thumbprint));
        record.detail = Some(certificate.subject.clone());
    }
    record.reason = Some(refused.reason.to_owned());
    record.resources = refused.about.iter().cloned().collect();
    record.asked = Some(refused.asked.clone());
    record
}
