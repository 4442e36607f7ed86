//! What one piece of work stands on: who asks, the directory, and the connection if there is one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::ahead::{Ahead, ENOUGH};
use super::stop::Stop;
use super::{Service, find};
use crate::auth::Identity;
use crate::fhir::audit::{Act, Deed};
use crate::fhir::authorize::{
    self, AccessFilter, Answer, Decision, Facts, Lookup, Operation, Reason, Request, Target,
};
use crate::fhir::directory::{Directory, KINDS};
use crate::fhir::fault::Fault;
use crate::r4::{Node, Resource, ResourceType, logical_id};
use crate::store::AsyncPgConnection;
use crate::store::fhir::search::{Asked, find_settled};
use crate::store::fhir::{resource as rows, unique};

/// The ground of one attempt. Without a connection only what the directory knows can be answered,
/// and at most one statement can be run at the end; most Task creates need no more.
pub(crate) struct Ground<'a> {
    pub service: &'a Service,
    pub identity: Arc<Identity>,
    pub directory: Arc<Directory>,
    pub conn: Option<&'a mut AsyncPgConnection>,
    /// References to other servers that were looked at and stand.
    pub verified: &'a HashSet<String>,
    /// What is written needs no validation.
    pub is_trusted: bool,
    /// The directory was changed by this work.
    pub changed: bool,
    pub wrote: bool,
    /// For the audit trail, once the work has succeeded.
    pub deeds: Vec<Deed>,
    /// Why the rules allowed what was asked last.
    pub allowed: Option<Reason>,
    /// What this work has done so far, so that it is not done again for each entry of a Bundle.
    pub progress: Progress,
}

/// See [`Ground`].
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Locks that last until the end of the transaction: of a type, or of a condition on it.
    locks: HashSet<(ResourceType, Option<String>)>,
    /// What was written, and is current.
    pub written: HashSet<(ResourceType, Uuid)>,
    /// Resources whose references are still to be checked, as they are stored.
    pub unchecked: HashMap<Uuid, Resource>,
    pub ahead: Ahead,
}

impl Progress {
    /// Whether a lock is new.
    pub fn locks(&mut self, kind: ResourceType, condition: Option<String>) -> bool {
        self.locks.insert((kind, condition))
    }
}

impl Ground<'_> {
    /// The connection, once everything is written that waited to be.
    pub async fn conn(&mut self) -> Result<&mut AsyncPgConnection, Stop> {
        self.flush().await?;
        self.conn.as_deref_mut().ok_or(Stop::NeedsConnection)
    }

    pub fn base_url(&self) -> &str {
        &self.service.settings().base_url
    }

    /// Asks the rules, answering what they need to know.
    pub async fn judge(&mut self, request: &Request<'_>) -> Result<Decision, Stop> {
        let mut facts = Facts::new(self.base_url());
        loop {
            match authorize::decide(&self.identity, request, &facts) {
                Ok(decision) => return Ok(decision),
                Err(open) => self.learn(open, &mut facts).await?,
            }
        }
    }

    /// Fails unless identity, operation and type alone allow it: before anything is looked up that
    /// the answer would tell of.
    pub fn admit(&self, operation: Operation, kind: ResourceType, word: &str) -> Result<(), Stop> {
        let admitted = authorize::admit(&self.identity, operation, kind);
        if admitted.is_allowed() {
            return Ok(());
        }
        Err(Fault::denied(word, Some(admitted.reason())).into())
    }

    /// Fails unless the rules allow it; `word` is the operation's name in the fault.
    pub async fn require(&mut self, request: &Request<'_>, word: &str) -> Result<(), Stop> {
        match self.judge(request).await? {
            Decision::Allow(reason) => {
                self.allowed = Some(reason);
                Ok(())
            }
            Decision::Deny(reason) => {
                tracing::info!(
                    identity = self.identity.name(),
                    operation = word,
                    kind = request.kind.name(),
                    reason = reason.id(),
                    "denied"
                );
                let fault = Fault::denied(word, Some(reason));
                Err(match request.old.or(request.new).and_then(Resource::id) {
                    Some(id) => fault.about(format!("{}/{id}", request.kind)).into(),
                    None => fault.into(),
                })
            }
        }
    }

    /// Remembers for the audit trail what the rules allowed last and was done.
    pub fn did(&mut self, act: Act, kind: ResourceType, (id, version): (Uuid, i64)) {
        let reason = self.allowed;
        self.deeds.push(Deed {
            act,
            kind,
            id,
            version,
            reason,
        });
    }

    /// Remembers that the identity saw something, where that is recorded.
    pub fn saw(&mut self, act: Act, kind: ResourceType, (id, version): (Uuid, i64)) {
        let reads = self.service.settings().audit.reads;
        if reads.records(&self.identity, kind) {
            self.did(act, kind, (id, version));
        }
    }

    /// What this identity may see of a type.
    pub async fn filter(
        &mut self,
        operation: Operation,
        kind: ResourceType,
    ) -> Result<AccessFilter, Stop> {
        let mut facts = Facts::new(self.base_url());
        loop {
            match authorize::access_filter(&self.identity, operation, kind, &facts) {
                Ok(filter) => return Ok(filter),
                Err(open) => self.learn(open, &mut facts).await?,
            }
        }
    }

    async fn learn(&mut self, open: Vec<Lookup>, facts: &mut Facts) -> Result<(), Stop> {
        for lookup in open {
            let answer = self.answer(&lookup).await?;
            facts.insert(lookup, answer);
        }
        Ok(())
    }

    async fn answer(&mut self, lookup: &Lookup) -> Result<Answer, Stop> {
        let directory = &self.directory;
        Ok(match lookup {
            Lookup::Local => Answer::Local(directory.local(&self.service.settings().organization)),
            Lookup::Organization { identifier } => {
                Answer::Exists(directory.organization_exists(identifier))
            }
            Lookup::Memberships { organization } => {
                Answer::Memberships(directory.memberships(organization))
            }
            Lookup::Process { url, version } => Answer::Document(directory.process(url, version)),
            Lookup::Concept {
                system,
                version,
                code,
            } => Answer::Exists(
                self.concept_exists(system, version.as_deref(), code)
                    .await?,
            ),
            Lookup::Holders { kind, key } if KINDS.contains(kind) => {
                let ids = directory.holders(*kind, key).iter();
                Answer::Ids(ids.map(Uuid::to_string).collect())
            }
            Lookup::Holders { kind, key } => {
                let ids = unique::holders(self.conn().await?, *kind, key).await?;
                Answer::Ids(ids.iter().map(Uuid::to_string).collect())
            }
            Lookup::Target(target) => Answer::Document(self.target(target).await?),
            Lookup::Criteria { criteria } => Answer::Exists(find::supports(criteria)),
        })
    }

    async fn concept_exists(
        &mut self,
        system: &str,
        version: Option<&str>,
        code: &str,
    ) -> Result<bool, Stop> {
        let canonical = version.map_or_else(
            || system.to_owned(),
            |version| format!("{system}|{version}"),
        );
        let kind = ResourceType::CodeSystem;
        let ids = self.ids(kind, &[("url", &canonical)]).await?;
        for id in ids {
            let row = rows::current(self.conn().await?, kind, id).await?;
            let known = row
                .and_then(|row| parsed(&row.document))
                .is_some_and(|system| {
                    system
                        .list("concept")
                        .any(|concept| concept.text("code") == Some(code))
                });
            if known {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn target(&mut self, target: &Target) -> Result<Option<Arc<Resource>>, Stop> {
        match target {
            Target::Literal { kind, id, version } => {
                let Some(id) = logical_id(id) else {
                    return Ok(None);
                };
                self.current(*kind, id, version.as_deref()).await
            }
            Target::Logical {
                kind,
                system,
                value,
            } => match self.identified(*kind, system, value).await?.as_slice() {
                [id] => self.current(*kind, *id, None).await,
                _ => Ok(None),
            },
        }
    }

    /// The resource if it is current, and with a version, if that version exists.
    pub async fn current(
        &mut self,
        kind: ResourceType,
        id: Uuid,
        version: Option<&str>,
    ) -> Result<Option<Arc<Resource>>, Stop> {
        if KINDS.contains(&kind) && version.is_none() {
            let held = self
                .directory
                .resource(id)
                .filter(|r| r.resource_type() == Some(kind));
            return Ok(held.cloned());
        }
        let row = rows::current(self.conn().await?, kind, id)
            .await?
            .filter(|row| row.deleted.is_none());
        let Some(row) = row else { return Ok(None) };
        match version.map(str::parse::<i64>) {
            None => Ok(parsed(&row.document).map(Arc::new)),
            Some(Ok(number)) if number == row.version => Ok(parsed(&row.document).map(Arc::new)),
            Some(Ok(number)) => {
                let old = rows::superseded(self.conn().await?, kind, id, number).await?;
                Ok(old.and_then(|old| parsed(&old.document)).map(Arc::new))
            }
            Some(Err(_)) => Ok(None),
        }
    }

    /// The ids of the current resources with this identifier; no identity filter (§7.3).
    pub async fn identified(
        &mut self,
        kind: ResourceType,
        system: &str,
        value: &str,
    ) -> Result<Vec<Uuid>, Stop> {
        if matches!(kind, ResourceType::Organization | ResourceType::Endpoint) {
            return Ok(self.directory.identified(kind, system, value));
        }
        let token = format!("{system}|{value}");
        self.ids(kind, &[("identifier", &token)]).await
    }

    /// The first current resources that match, whoever may see them; faulty parameters match
    /// nothing.
    pub async fn ids(
        &mut self,
        kind: ResourceType,
        pairs: &[(&str, &str)],
    ) -> Result<Vec<Uuid>, Stop> {
        let Ok(condition) = find::condition(kind, pairs) else {
            return Ok(Vec::new());
        };
        let settled = self.settled(&condition).await?;
        if settled.is_hopeless() {
            return Ok(Vec::new());
        }
        let Some(tokens) = settled.words() else {
            return Ok(find_settled(self.conn().await?, kind, &settled, ENOUGH).await?);
        };
        let tokens = tokens.to_vec();
        let asked = Asked { kind, tokens };
        let found = self.with_tokens(&[asked], Some(ENOUGH)).await?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// A stored document; what we stored is JSON with a type.
pub(crate) fn parsed(document: &str) -> Option<Resource> {
    serde_json::from_str(document)
        .ok()
        .and_then(Resource::from_value)
}
