//! Create and update: judged, completed, checked, stored (fhir-api §4.1, §4.4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use uuid::Uuid;

use super::ground::{Ground, parsed};
use super::refer::{Checks, Holder, Leniency};
use super::stop::Stop;
use super::stored::{Stored, gone};
use crate::fhir::audit::Act;
use crate::fhir::authorize::{Request, access_keys, unique_keys};
use crate::fhir::directory::{Directory, KINDS, moves};
use crate::fhir::fault::Fault;
use crate::fhir::{profile, reference, search, validate};
use crate::r4::datetime::format_instant;
use crate::r4::reference::references;
use crate::r4::{Resource, ResourceType};
use crate::store::fhir::many::{self, Idempotency, Inserted, NewInsert, Replacement};
use crate::store::fhir::resource as rows;
use crate::store::fhir::{Content, NewRow, Row, binary, unique};

/// A resource on its way into the store.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub kind: ResourceType,
    pub resource: Resource,
    /// Content of a Binary that was uploaded before.
    pub content: Option<Content>,
    pub holder: Holder,
    pub checks: Checks,
}

impl Ground<'_> {
    /// Everything a create asks for but the insert itself. The result has its references settled.
    pub async fn prepare_create(&mut self, incoming: &Incoming) -> Result<Resource, Stop> {
        let new = self.admit_create(incoming).await?;
        let mut new = self.validated(new).await?;
        let Incoming { holder, checks, .. } = incoming;
        self.settle_references(&mut new, holder, Leniency::None, *checks)
            .await?;
        Ok(new)
    }

    /// What a create is judged by its profiles as, if the rules allow it.
    pub async fn admit_create(&mut self, incoming: &Incoming) -> Result<Resource, Stop> {
        let mut new = incoming.resource.clone();
        reference::absolute_urls(&mut new, self.base_url());
        self.require(&Request::create(incoming.kind, &new), "create")
            .await?;
        Ok(completed(new))
    }

    /// Inserts what [`Self::prepare_create`] made.
    pub async fn insert(
        &mut self,
        id: Uuid,
        incoming: &Incoming,
        new: Resource,
        once: Option<Idempotency>,
    ) -> Result<Stored, Stop> {
        let (row, full) = self.row(id, 1, incoming, new).await?;
        let (at, content) = (row.at, row.content);
        self.remember(id, incoming, &full);
        let generation = self.directory.generation();
        let insert = NewInsert {
            generation,
            row,
            once,
        };
        match self.inserted(insert).await? {
            Inserted::Stored => {
                self.note(incoming.kind, id, Some(&full));
                self.did(Act::Create, incoming.kind, (id, 1));
                Ok(Stored::shown(id, 1, at, full, content))
            }
            Inserted::Stale => Err(Stop::Stale),
            Inserted::Earlier(earlier) => {
                let row = rows::current(self.conn().await?, incoming.kind, earlier).await?;
                Stored::of(&row.ok_or_else(Fault::unknown)?)
            }
        }
    }

    async fn inserted(&mut self, insert: NewInsert) -> Result<Inserted, Stop> {
        if self.conn.is_none() {
            return Ok(self.service.inserts.run(insert).await?);
        }
        if insert.once.is_none() {
            let tokens = &insert.row.terms.tokens;
            self.progress.ahead.made(insert.row.id, tokens);
            self.store_new(insert).await?;
            return Ok(Inserted::Stored);
        }
        let outcomes = many::insert_all(self.conn().await?, &[insert]).await?;
        Ok(outcomes.into_iter().next().unwrap_or(Inserted::Stale))
    }

    /// The row that an update by id starts from.
    pub async fn base(&mut self, kind: ResourceType, id: Uuid) -> Result<Row, Stop> {
        let found = self.current_row(kind, id).await?;
        let row = found.ok_or_else(Fault::update_as_create)?;
        match row.deleted {
            Some(deleted) => {
                Err(gone((row.kind, row.id, row.version), deleted, self.base_url()).into())
            }
            None => Ok(row),
        }
    }

    /// What an update is judged by its profiles as, if the rules allow it.
    pub async fn admit_update(&mut self, old: &Row, incoming: &Incoming) -> Result<Resource, Stop> {
        let before = parsed(&old.document)
            .ok_or_else(|| Fault::internal(format!("document of {} is broken", old.id)))?;
        let mut new = incoming.resource.clone();
        reference::absolute_urls(&mut new, self.base_url());
        self.require(&Request::update(incoming.kind, &before, &new), "update")
            .await?;
        Ok(completed(new))
    }

    /// The next version of `old`, judged against it.
    pub async fn replace(
        &mut self,
        old: &Row,
        incoming: &Incoming,
        if_match: Option<i64>,
    ) -> Result<Stored, Stop> {
        let mut new = self.admit_update(old, incoming).await?;
        let leniency = Leniency::of_update(&new);
        if leniency != Leniency::All {
            new = self.validated(new).await?;
        }
        if let Some(expected) = if_match.filter(|expected| *expected != old.version) {
            return Err(Fault::version_mismatch(old.id, expected, old.version).into());
        }
        let Incoming { holder, checks, .. } = incoming;
        self.settle_references(&mut new, holder, leniency, *checks)
            .await?;
        let version = old.version + 1;
        let (row, full) = self.row(old.id, version, incoming, new).await?;
        self.remember(old.id, incoming, &full);
        let (at, content) = (row.at, row.content);
        let tokens = &row.terms.tokens;
        self.progress.ahead.wrote(old.id, Some(tokens));
        let next = Replacement {
            generation: self.directory.generation(),
            base: old.version,
            row,
        };
        self.store_next(next).await?;
        self.note(incoming.kind, old.id, Some(&full));
        self.did(Act::Update, incoming.kind, (old.id, version));
        Ok(Stored::shown(old.id, version, at, full, content))
    }

    /// Marks as deleted what the rules allow to delete; nothing happens the second time (§4.6).
    pub async fn mark_deleted(&mut self, row: &Row) -> Result<(), Stop> {
        let old = parsed(&row.document)
            .ok_or_else(|| Fault::internal(format!("document of {} is broken", row.id)))?;
        let operation = crate::fhir::authorize::Operation::Delete;
        self.require(&Request::of(operation, row.kind, &old), "delete")
            .await?;
        if row.deleted.is_some() {
            return Ok(());
        }
        let generation = self.directory.generation();
        let at = self.service.now();
        if !rows::delete(self.conn().await?, generation, (row.id, row.version), at).await? {
            return Err(Stop::Stale);
        }
        self.progress.ahead.wrote(row.id, None);
        self.note(row.kind, row.id, None);
        self.did(Act::Delete, row.kind, (row.id, row.version + 1));
        Ok(())
    }

    /// The row, and the resource that its document shows. Takes the lock of types with unique keys.
    async fn row(
        &mut self,
        id: Uuid,
        version: i64,
        incoming: &Incoming,
        mut new: Resource,
    ) -> Result<(NewRow, Resource), Stop> {
        let kind = incoming.kind;
        let keys = unique_keys(&new, self.base_url());
        if (!keys.is_empty() || moves(kind)) && self.conn.is_none() {
            return Err(Stop::NeedsConnection);
        }
        if !keys.is_empty() && self.has_rivals(kind, id, &keys).await? {
            return Err(Fault::duplicate(kind).into());
        }
        let at = self.service.now();
        new.stamp(&id.to_string(), version, &format_instant(at));
        let content = match incoming.content {
            Some(content) => Some(content),
            None => self.take_content(&mut new).await?,
        };
        let access = access_keys(&new, self.base_url());
        let document = serde_json::to_string(new.members())
            .map_err(|error| Fault::internal(error.to_string()))?;
        let row = NewRow {
            id,
            kind,
            at,
            document,
            context: context_of(&access),
            access,
            keys: (!keys.is_empty()).then_some(keys),
            terms: search::terms(&new),
            content,
        };
        Ok((row, new))
    }

    /// Whether another current resource holds one of the keys; nobody else can begin to. That the
    /// directory is the newest is proven by the statement that writes.
    async fn has_rivals(
        &mut self,
        kind: ResourceType,
        id: Uuid,
        keys: &[String],
    ) -> Result<bool, Stop> {
        if self.progress.locks(kind, None) {
            unique::lock(self.conn().await?, kind).await?;
        }
        if KINDS.contains(&kind) {
            let mut holders = keys
                .iter()
                .flat_map(|key| self.directory.holders(kind, key));
            return Ok(holders.any(|holder| *holder != id));
        }
        let rivals = unique::rivals(self.conn().await?, kind, id, keys).await?;
        Ok(!rivals.is_empty())
    }

    /// Moves the data of a Binary document into chunks.
    async fn take_content(&mut self, new: &mut Resource) -> Result<Option<Content>, Stop> {
        if new.resource_type() != Some(ResourceType::Binary) {
            return Ok(None);
        }
        let Some(Value::String(data)) = new.members_mut().shift_remove("data") else {
            return Ok(None);
        };
        let compact: String = data.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let bytes = STANDARD
            .decode(compact)
            .map_err(|error| Fault::unparsable(format!("Binary.data: {error}")))?;
        let id = Uuid::new_v4();
        let conn = self.conn().await?;
        binary::begin(conn, id).await?;
        for (number, chunk) in (0..).zip(bytes.chunks(binary::CHUNK)) {
            binary::append(conn, id, number, chunk).await?;
        }
        Ok(Some(Content {
            id,
            size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        }))
    }

    /// Keeps what is to be checked when everything is written.
    fn remember(&mut self, id: Uuid, incoming: &Incoming, full: &Resource) {
        if incoming.checks == Checks::Later && !references(full).is_empty() {
            self.progress.unchecked.insert(id, full.clone());
        }
    }

    /// Keeps the directory of this transaction in step with what it writes.
    fn note(&mut self, kind: ResourceType, id: Uuid, new: Option<&Resource>) {
        self.wrote = true;
        match new {
            Some(_) => self.progress.written.insert((kind, id)),
            None => self.progress.written.remove(&(kind, id)),
        };
        if !moves(kind) {
            return;
        }
        self.changed = true;
        let directory = std::sync::Arc::<Directory>::make_mut(&mut self.directory);
        if validate::KINDS.contains(&kind) {
            return directory.put_definition(id, new);
        }
        match new {
            Some(resource) => directory.put(id, resource),
            None => directory.remove(id),
        }
    }
}

/// With the default profile of its type. A profile is stored without the snapshot of its
/// differential (§4.11).
pub(super) fn completed(mut new: Resource) -> Resource {
    profile::ensure(&mut new);
    if new.resource_type() == Some(ResourceType::StructureDefinition)
        && new.get("differential").is_some()
    {
        new.members_mut().shift_remove("snapshot");
    }
    new
}

/// The resource that a Binary takes its visibility from.
fn context_of(access: &[String]) -> Option<Uuid> {
    let reference = access.iter().find_map(|key| key.strip_prefix("CONTEXT:"))?;
    Uuid::parse_str(reference.split('/').nth(1)?).ok()
}
