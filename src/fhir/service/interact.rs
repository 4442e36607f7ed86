//! The interactions with one resource.

use std::sync::Arc;

use uuid::Uuid;

use super::condition::{Condition, Match};
use super::ground::{Ground, parsed};
use super::held::Version;
use super::stop::Stop;
use super::stored::{Stored, gone};
use super::write::Incoming;
use super::{Peer, Service};
use crate::fhir::audit::Act;
use crate::fhir::authorize::{self, Decision, Operation, Request};
use crate::fhir::fault::Fault;
use crate::r4::{Resource, ResourceType};
use crate::store::fhir::many::Idempotency;
use crate::store::fhir::resource as rows;
use crate::store::fhir::{Content, Row};

/// How a create ended.
#[derive(Debug)]
pub enum Created {
    New(Stored),
    /// The condition found this one.
    Existing(Stored),
}

/// How a conditional update ended.
#[derive(Debug)]
pub enum Updated {
    Created(Stored),
    Replaced(Stored),
}

impl Service {
    /// Creates, unless the condition finds something; an idempotency key makes it happen once.
    pub(crate) async fn create(
        &self,
        peer: &Peer,
        incoming: &Incoming,
        condition: Option<&Condition>,
        key: Option<&str>,
    ) -> Result<Created, Fault> {
        // Ids that grow with time keep the end of the index in memory.
        let id = Uuid::now_v7();
        self.attempt(peer, async |ground| {
            ground.create(id, incoming, condition, key).await
        })
        .await
    }

    /// What identity, operation and type alone decide, before a body is read.
    pub async fn admit(
        &self,
        peer: &Peer,
        operation: Operation,
        kind: ResourceType,
    ) -> Result<Decision, Fault> {
        self.attempt(peer, async |ground| {
            Ok(authorize::admit(&ground.identity, operation, kind))
        })
        .await
    }

    /// The current version, or the one with this number.
    pub async fn read(
        &self,
        peer: &Peer,
        kind: ResourceType,
        id: Uuid,
        version: Option<i64>,
    ) -> Result<Stored, Fault> {
        self.attempt(peer, async |ground| ground.read(kind, id, version).await)
            .await
    }

    pub(crate) async fn update(
        &self,
        peer: &Peer,
        id: Uuid,
        incoming: &Incoming,
        if_match: Option<i64>,
    ) -> Result<Stored, Fault> {
        self.transact(peer, async |ground| {
            ground.update(id, incoming, if_match).await
        })
        .await
    }

    /// Updates what the condition finds, or creates (§4.5).
    pub(crate) async fn update_where(
        &self,
        peer: &Peer,
        incoming: &Incoming,
        condition: &Condition,
        if_match: Option<i64>,
    ) -> Result<Updated, Fault> {
        let new_id = Uuid::new_v4();
        self.transact(peer, async |ground| {
            ground
                .update_where(new_id, incoming, condition, if_match)
                .await
        })
        .await
    }

    pub async fn delete(&self, peer: &Peer, kind: ResourceType, id: Uuid) -> Result<(), Fault> {
        self.transact(peer, async |ground| ground.delete(kind, id).await)
            .await
    }

    /// Deletes what the condition finds; `None` if that is nothing (§4.7).
    pub async fn delete_where(
        &self,
        peer: &Peer,
        kind: ResourceType,
        condition: &Condition,
    ) -> Result<Option<Uuid>, Fault> {
        self.transact(peer, async |ground| {
            ground.admit(Operation::Delete, kind, "delete")?;
            let text = &condition.text;
            let bad = |more| Fault::bad_request(format!("Bad request '?{text}'{more}"));
            match ground.matching(kind, condition, bad).await? {
                Match::None => Ok(None),
                Match::One(id) => {
                    ground.delete(kind, id).await?;
                    Ok(Some(id))
                }
                Match::Several => Err(several(kind, text).into()),
            }
        })
        .await
    }

    /// Removes every version of a deleted resource (§4.8).
    pub async fn remove(&self, peer: &Peer, kind: ResourceType, id: Uuid) -> Result<(), Fault> {
        self.transact(peer, async |ground| {
            let row = rows::current(ground.conn().await?, kind, id).await?;
            let row = row.ok_or_else(|| Fault::not_found(kind, id))?;
            let old = parsed(&row.document).ok_or_else(|| Fault::internal("broken document"))?;
            let request = Request::of(Operation::PermanentDelete, kind, &old);
            ground.require(&request, "delete").await?;
            if row.deleted.is_none() {
                return Err(Fault::not_deleted(kind, id).into());
            }
            rows::remove(ground.conn().await?, id).await?;
            ground.did(Act::PermanentDelete, kind, (id, row.version + 1));
            Ok(())
        })
        .await
    }
}

/// A stored document.
fn resource(id: Uuid, document: &str) -> Result<Resource, Fault> {
    parsed(document).ok_or_else(|| Fault::internal(format!("document of {id} is broken")))
}

fn several(kind: ResourceType, criteria: &str) -> Fault {
    Fault::multiple_matches(format!(
        "Multiple {kind} resources with criteria '{criteria}' exist"
    ))
}

impl Ground<'_> {
    async fn create(
        &mut self,
        id: Uuid,
        incoming: &Incoming,
        condition: Option<&Condition>,
        key: Option<&str>,
    ) -> Result<Created, Stop> {
        let new = self.prepare_create(incoming).await?;
        if let Some(condition) = condition
            && let Some(hit) = self.existing(incoming.kind, condition).await?
        {
            return Ok(Created::Existing(Stored::of(&hit)?));
        }
        let once = key.map(|key| Idempotency {
            owner: format!("{} {}", self.identity.name(), incoming.kind),
            key: key.to_owned(),
        });
        Ok(Created::New(self.insert(id, incoming, new, once).await?))
    }

    /// What an `If-None-Exist` finds (§4.3).
    pub async fn existing(
        &mut self,
        kind: ResourceType,
        condition: &Condition,
    ) -> Result<Option<Row>, Stop> {
        match self.existing_id(kind, condition).await? {
            Some(id) => self.current_row(kind, id).await,
            None => Ok(None),
        }
    }

    pub async fn existing_id(
        &mut self,
        kind: ResourceType,
        condition: &Condition,
    ) -> Result<Option<Uuid>, Stop> {
        let text = &condition.text;
        let bad =
            |more| Fault::bad_request(format!("Bad If-None-Exist header value '{text}'{more}"));
        match self.matching(kind, condition, bad).await? {
            Match::None => Ok(None),
            Match::One(id) => Ok(Some(id)),
            Match::Several => Err(several(kind, text).into()),
        }
    }

    pub async fn read(
        &mut self,
        kind: ResourceType,
        id: Uuid,
        version: Option<i64>,
    ) -> Result<Stored, Stop> {
        self.flush().await?;
        let held = self.service.held.get(id);
        if let Some(held) = &held
            && let Some(content) = self.upheld(held, kind, version)
        {
            self.readable(kind, &held.resource).await?;
            self.saw(Act::Read, kind, (id, held.number));
            let shown = Arc::clone(&held.shown);
            return Ok(Stored::held((id, held.number), held.at, shown, content));
        }
        let known = held.as_ref().map(|version| (version.number, version.at));
        let (seen, calm) = match self.conn.as_deref_mut() {
            Some(conn) => (rows::head(conn, id, known).await?, None),
            None => {
                let calm = self.service.lease.calm();
                (self.service.reads.run(id, known).await?, calm)
            }
        };
        if seen.generation != self.directory.generation() {
            return Err(Stop::Stale);
        }
        let newest = seen.found.filter(|head| head.kind == kind);
        let newest = newest.ok_or_else(Fault::unknown)?;
        let wanted = version.unwrap_or(newest.version);
        if let Some(at) = newest.deleted
            && (version.is_none() || wanted == newest.version + 1)
        {
            let deleted = (kind, id, newest.version);
            return Err(gone(deleted, at, self.base_url()).into());
        }
        if wanted != newest.version {
            return self.superseded(kind, id, wanted).await;
        }
        let at = newest.last_updated;
        let shown = match (newest.document, held) {
            (None, Some(held)) => {
                self.readable(kind, &held.resource).await?;
                Arc::clone(&held.shown)
            }
            (document, _) => {
                let document = document.unwrap_or_default();
                let resource = resource(id, &document)?;
                self.readable(kind, &resource).await?;
                self.hold(id, (wanted, at), resource, document.len())
            }
        };
        if newest.deleted.is_none()
            && let Some(proof) = self.service.lease.proof(calm, seen.generation)
            && let Some(held) = self.service.held.version(id, (wanted, at))
        {
            held.prove(proof, newest.content);
        }
        self.saw(Act::Read, kind, (id, wanted));
        Ok(Stored::held((id, wanted), at, shown, newest.content))
    }

    /// Where the content of a held version is, if it is known to be the current one and the one
    /// that is wanted. A transaction asks for itself.
    fn upheld(
        &self,
        held: &Version,
        kind: ResourceType,
        version: Option<i64>,
    ) -> Option<Option<Content>> {
        let is_wanted = self.conn.is_none()
            && held.resource.resource_type() == Some(kind)
            && version.is_none_or(|wanted| wanted == held.number);
        let generation = self.directory.generation();
        is_wanted
            .then(|| held.upheld(&self.service.lease, generation))
            .flatten()
    }

    async fn superseded(
        &mut self,
        kind: ResourceType,
        id: Uuid,
        version: i64,
    ) -> Result<Stored, Stop> {
        let row = rows::superseded(self.conn().await?, kind, id, version).await?;
        let row = row.ok_or_else(Fault::unknown)?;
        let resource = resource(id, &row.document)?;
        self.readable(kind, &resource).await?;
        self.saw(Act::Read, kind, (id, version));
        let at = row.last_updated;
        Ok(Stored::shown(id, version, at, resource, row.content))
    }

    /// Fails unless this identity may read the version.
    pub async fn readable(&mut self, kind: ResourceType, resource: &Resource) -> Result<(), Stop> {
        let request = Request::of(Operation::Read, kind, resource);
        self.require(&request, "read").await
    }

    pub async fn update(
        &mut self,
        id: Uuid,
        incoming: &Incoming,
        if_match: Option<i64>,
    ) -> Result<Stored, Stop> {
        let old = self.base(incoming.kind, id).await?;
        let kind = incoming.kind;
        let body = incoming.resource.id();
        if body.map(|body| body.rsplit('/').next().unwrap_or(body)) != Some(&id.to_string()) {
            // Who may not update at all is told so first.
            self.admit(Operation::Update, kind, "update")?;
            let text = format!(
                "Path id not equal to {kind} id ({id} vs. {})",
                body.unwrap_or("null")
            );
            return Err(Fault::bad_request(text).into());
        }
        self.replace(&old, incoming, if_match).await
    }

    async fn update_where(
        &mut self,
        new_id: Uuid,
        incoming: &Incoming,
        condition: &Condition,
        if_match: Option<i64>,
    ) -> Result<Updated, Stop> {
        let kind = incoming.kind;
        let text = &condition.text;
        let bad = |more| Fault::bad_request(format!("Bad request '?{text}'{more}"));
        let body_id = incoming.resource.id();
        match self.matching(kind, condition, bad).await? {
            Match::None if body_id.is_some() => Err(Fault::update_as_create().into()),
            Match::None => {
                let new = self.prepare_create(incoming).await?;
                Ok(Updated::Created(
                    self.insert(new_id, incoming, new, None).await?,
                ))
            }
            Match::One(id) => {
                let plain = body_id.map(|id| id.rsplit('/').next().unwrap_or(id));
                if plain.is_some_and(|body| !body.eq_ignore_ascii_case(&id.to_string())) {
                    let body = body_id.unwrap_or_default();
                    let text = format!("Bad request Id {body} does not match db Id {id}");
                    return Err(Fault::bad_request(text).into());
                }
                let old = self.base(kind, id).await?;
                Ok(Updated::Replaced(
                    self.replace(&old, incoming, if_match).await?,
                ))
            }
            Match::Several => Err(several(kind, text).into()),
        }
    }

    pub async fn delete(&mut self, kind: ResourceType, id: Uuid) -> Result<(), Stop> {
        let row = self.current_row(kind, id).await?;
        let row = row.ok_or_else(|| Fault::not_found(kind, id))?;
        self.mark_deleted(&row).await
    }
}
