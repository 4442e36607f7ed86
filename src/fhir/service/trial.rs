//! `$validate`: what is to be said of a resource, and whether it would be stored; nothing is
//! (docs/adr/0034).

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;

use uuid::Uuid;

use super::ground::Ground;
use super::refer::Leniency;
use super::stop::Stop;
use super::write::{Incoming, completed};
use super::{Origin, Peer, Service, Start, Work};
use crate::fhir::authorize::{AccessFilter, Operation, admit};
use crate::fhir::fault::Fault;
use crate::fhir::reference;
use crate::fhir::validate::{self, Finding, Library};
use crate::r4::ResourceType;
use crate::r4::outcome::Outcome;
use crate::store::fhir::conformance as rows;
use crate::store::{self, AsyncPgConnection};

/// What could be done with a resource.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// Does this content conform? With an id it stands beside a stored resource.
    Content(Box<Incoming>, Option<Uuid>),
    /// Does the stored resource conform?
    Stored(Uuid),
    Create(Box<Incoming>),
    /// With the version that is to be replaced, if that matters.
    Update(Uuid, Box<Incoming>, Option<i64>),
    Delete(Uuid),
}

impl Question {
    /// The right that is needed.
    fn operation(&self) -> Operation {
        match self {
            Self::Content(..) | Self::Stored(_) => Operation::Read,
            Self::Create(_) => Operation::Create,
            Self::Update(..) => Operation::Update,
            Self::Delete(_) => Operation::Delete,
        }
    }
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub findings: Vec<Finding>,
    /// Why what conforms would not be stored or deleted all the same.
    pub rejection: Option<Outcome>,
}

impl Service {
    /// Whether anything may be asked of this type, before a body is read.
    pub(crate) async fn admit_question(
        &self,
        peer: &Peer,
        kind: ResourceType,
    ) -> Result<(), Fault> {
        const NEEDED: [Operation; 4] = [
            Operation::Read,
            Operation::Create,
            Operation::Update,
            Operation::Delete,
        ];
        self.attempt(peer, async |ground| {
            let may = |operation| admit(&ground.identity, operation, kind).is_allowed();
            match NEEDED.into_iter().any(may) {
                true => Ok(()),
                false => ground.admit(Operation::Read, kind, "validate"),
            }
        })
        .await
    }

    /// Answers a question of somebody who has the rights to do what is asked about.
    pub(crate) async fn validate(
        &self,
        peer: &Peer,
        kind: ResourceType,
        question: &Question,
        profiles: &[String],
    ) -> Result<Verdict, Fault> {
        // The newest definitions count.
        self.refresh().await?;
        let found = self.look(peer, async |ground: &mut Ground<'_>| {
            ground.examine(kind, question, profiles).await
        });
        let findings = found.await?;
        let rehearsed = match question {
            _ if findings.iter().any(Finding::is_error) => Ok(()),
            Question::Content(..) | Question::Stored(_) => Ok(()),
            _ => {
                let work = async |ground: &mut Ground<'_>| ground.act(kind, question).await;
                self.rehearse(peer, work).await
            }
        };
        let rejection = match rehearsed {
            Ok(()) => None,
            Err(fault) => {
                let outcome = self.told_to(peer, fault).into_rejection();
                Some(outcome.map_err(|fault| *fault)?)
            }
        };
        Ok(Verdict {
            findings,
            rejection,
        })
    }
}

impl Service {
    /// Runs work within a transaction that is taken back, whatever came of it.
    async fn rehearse<T: Send>(&self, peer: &Peer, work: impl Work<T>) -> Result<T, Fault> {
        self.settle(peer, Start::Rehearsal, work).await
    }

    /// An error takes a transaction back, so what came of it is one.
    pub(super) async fn rehearsed<T: Send>(
        &self,
        origin: &Origin<'_>,
        work: impl Work<T>,
    ) -> Result<T, Stop> {
        let rehearsal = async move |conn: &mut AsyncPgConnection| {
            let mut ground = origin.ground(Some(conn));
            Err::<Infallible, _>(match work(&mut ground).await {
                Ok(value) => TakenBack::Value(value),
                Err(stop) => TakenBack::Stop(stop),
            })
        };
        match self.store.write(rehearsal).await {
            Ok(never) => match never {},
            Err(TakenBack::Value(value)) => Ok(value),
            Err(TakenBack::Stop(stop)) => Err(stop),
        }
    }
}

/// How a rehearsal ended.
enum TakenBack<T> {
    Value(T),
    Stop(Stop),
}

impl<T> From<store::Error> for TakenBack<T> {
    fn from(error: store::Error) -> Self {
        Self::Stop(error.into())
    }
}

impl Ground<'_> {
    /// What the profiles say. A create or an update is judged by all definitions, as it would be;
    /// what merely somebody asks about by those that he may read, or messages would tell what
    /// hidden ones hold.
    async fn examine(
        &mut self,
        kind: ResourceType,
        question: &Question,
        profiles: &[String],
    ) -> Result<Vec<Finding>, Stop> {
        self.admit(question.operation(), kind, "validate")?;
        let all = Arc::clone(self.directory.library());
        match question {
            Question::Content(incoming, beside) => {
                if let Some(id) = beside {
                    self.read(kind, *id, None).await?;
                }
                let mut new = incoming.resource.clone();
                reference::absolute_urls(&mut new, self.base_url());
                let library = self.readable_library().await?;
                self.findings(&library, completed(new), profiles).await
            }
            Question::Stored(id) => {
                let stored = self.read(kind, *id, None).await?;
                let library = self.readable_library().await?;
                self.findings(&library, stored.into_resource(), profiles)
                    .await
            }
            Question::Create(incoming) => {
                let new = self.admit_create(incoming).await?;
                self.findings(&all, new, profiles).await
            }
            Question::Update(id, incoming, _) => {
                let old = self.base(kind, *id).await?;
                let new = self.admit_update(&old, incoming).await?;
                if Leniency::of_update(&new) == Leniency::All {
                    return Ok(Vec::new());
                }
                self.findings(&all, new, profiles).await
            }
            Question::Delete(_) => Ok(Vec::new()),
        }
    }

    /// Does what was asked about, in a transaction that is taken back.
    async fn act(&mut self, kind: ResourceType, question: &Question) -> Result<(), Stop> {
        match question {
            Question::Content(..) | Question::Stored(_) => {}
            Question::Create(incoming) => {
                let new = self.prepare_create(incoming).await?;
                self.insert(Uuid::now_v7(), incoming, new, None).await?;
            }
            Question::Update(id, incoming, if_match) => {
                self.update(*id, incoming, *if_match).await?;
            }
            Question::Delete(id) => self.delete(kind, *id).await?,
        }
        Ok(())
    }

    /// The definitions that this identity may read; those for all are known to everybody.
    async fn readable_library(&mut self) -> Result<Arc<Library>, Stop> {
        let mut ids = HashSet::new();
        for kind in validate::KINDS {
            let keys = match self.filter(Operation::Read, *kind).await? {
                AccessFilter::Keys(keys) | AccessFilter::KeysOrContext(keys) => keys,
                AccessFilter::Nothing => vec!["ALL".to_owned()],
            };
            ids.extend(rows::open_to(self.conn().await?, *kind, &keys).await?);
        }
        let library = self.directory.library();
        Ok(library.only(ids).unwrap_or_else(|| Arc::clone(library)))
    }
}
