//! Settles the references of a resource that is about to be stored: logical ones get their
//! literal target, all others are checked (fhir-api §7.2 to §7.4).

use uuid::Uuid;

use super::find;
use super::ground::Ground;
use super::stop::{RemoteTarget, Stop};
use crate::fhir::directory::KINDS;
use crate::fhir::fault::Fault;
use crate::fhir::reference;
use crate::r4::reference::{Carrier, Found, Literal, Target, references};
use crate::r4::{Identifier, Resource, ResourceType, logical_id};
use crate::store::fhir::resource as rows;

/// How messages name the resource that holds a reference.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holder {
    /// The id as the client sent it.
    pub id: Option<String>,
    /// The entry of a Bundle.
    pub index: Option<usize>,
}

impl Holder {
    /// ` at <place> in resource of type <T> with id <id>[ at bundle index <i>]`
    pub fn place(&self, kind: ResourceType, place: &str) -> String {
        let id = self.id.as_deref().unwrap_or("null");
        let index = self
            .index
            .map(|i| format!(" at bundle index {i}"))
            .unwrap_or_default();
        format!(" at {place} in resource of type {kind} with id {id}{index}")
    }
}

/// When the targets of literal references are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checks {
    /// Together with the resolution of logical references.
    Now,
    /// Later, by [`Ground::check_references`]: entries of a transaction refer to each other.
    Later,
}

/// Which checks an update of a Task spares (§7.4 exceptions).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Leniency {
    #[default]
    None,
    /// A completed Task may hold inputs that have vanished elsewhere.
    RemoteInputs,
    /// A failed Task is stored whatever it refers to.
    All,
}

impl Leniency {
    /// For the new state of an updated resource.
    pub fn of_update(new: &Resource) -> Self {
        match (new.resource_type(), new.str("status")) {
            (Some(ResourceType::Task), Some("failed")) => Self::All,
            (Some(ResourceType::Task), Some("completed")) => Self::RemoteInputs,
            _ => Self::None,
        }
    }
}

impl Ground<'_> {
    /// Resolves, and checks now or later; the resource gets the literal targets of its logical
    /// references.
    pub async fn settle_references(
        &mut self,
        resource: &mut Resource,
        holder: &Holder,
        leniency: Leniency,
        checks: Checks,
    ) -> Result<(), Stop> {
        let Some(kind) = resource.resource_type() else {
            return Ok(());
        };
        // A copy, because what was found is looked at while the resource waits to be changed.
        let copy = resource.clone();
        let found = references(&copy);
        let mut targets = Vec::with_capacity(found.len());
        let mut remote = Vec::new();
        for one in &found {
            let at = holder.place(kind, one.location.text);
            targets.push(self.resolve(one, &at, leniency).await?);
            if checks == Checks::Now {
                self.check(one, &at, leniency, &mut remote).await?;
            }
        }
        if !remote.is_empty() {
            return Err(Stop::Remote(remote));
        }
        if targets.iter().any(Option::is_some) {
            reference::set(resource, &targets);
        }
        Ok(())
    }

    /// What [`Checks::Later`] left to do, once everything is written.
    pub async fn check_references(
        &mut self,
        resource: &Resource,
        holder: &Holder,
        leniency: Leniency,
    ) -> Result<(), Stop> {
        let Some(kind) = resource.resource_type() else {
            return Ok(());
        };
        let mut remote = Vec::new();
        for one in &references(resource) {
            let at = holder.place(kind, one.location.text);
            self.check(one, &at, leniency, &mut remote).await?;
        }
        if remote.is_empty() {
            Ok(())
        } else {
            Err(Stop::Remote(remote))
        }
    }

    /// The literal that a logical reference gets; `None` for everything that stays as it is.
    async fn resolve(
        &mut self,
        found: &Found<'_>,
        at: &str,
        leniency: Leniency,
    ) -> Result<Option<String>, Stop> {
        let base_url = self.base_url();
        let target = reference::target(found.location.carrier, found.value, base_url);
        let Target::Logical {
            type_name,
            identifier: Identifier { system, value },
        } = target
        else {
            return Ok(None);
        };
        if !self.directory.checks(&system) {
            return Ok(None);
        }
        let kind = ResourceType::from_name(type_name).filter(|_| found.location.allows(type_name));
        let ids: Vec<Uuid> = match kind.filter(|kind| find::has_identifier(*kind)) {
            Some(kind) => self.identified(kind, &system, &value).await?,
            None => Vec::new(),
        };
        match ids.as_slice() {
            [id] => Ok(Some(format!("{type_name}/{id}"))),
            _ if leniency == Leniency::All => Ok(None),
            _ => Err(Fault::reference(format!(
                "Reference target by identifier '{system}|{value}' of reference{at} not found"
            ))
            .into()),
        }
    }

    async fn check(
        &mut self,
        found: &Found<'_>,
        at: &str,
        leniency: Leniency,
        remote: &mut Vec<RemoteTarget>,
    ) -> Result<(), Stop> {
        if leniency == Leniency::All {
            return Ok(());
        }
        let location = found.location;
        if location.carrier == Carrier::Canonical {
            if location.is_checked {
                self.check_canonical(location.text, reference::text(found), at)
                    .await?;
            }
            return Ok(());
        }
        let base_url = self.base_url().to_owned();
        match reference::target(location.carrier, found.value, &base_url) {
            Target::Internal(literal) => self.check_internal(found, literal, at).await,
            Target::External { base, .. } => {
                let is_input = location.text.starts_with("Task.input");
                let spared = leniency == Leniency::RemoteInputs && is_input;
                let reference = reference::text(found).to_owned();
                let verified = self.verified.contains(&reference);
                if !spared && !verified && self.directory.knows_server(base) {
                    let (base, place) = (base.to_owned(), at.to_owned());
                    remote.push(RemoteTarget {
                        reference,
                        base,
                        place,
                    });
                }
                Ok(())
            }
            Target::Logical { .. } => Ok(()),
            Target::Unknown if location.carrier == Carrier::Url => Ok(()),
            _ => Err(Fault::reference(format!("Unknown reference{at}")).into()),
        }
    }

    async fn check_internal(
        &mut self,
        found: &Found<'_>,
        target: Literal<'_>,
        at: &str,
    ) -> Result<(), Stop> {
        let not_supported = |more: &str| {
            let text = format!("Reference target type of reference{at} not supported{more}");
            Stop::from(Fault::reference(text))
        };
        let Some(kind) = ResourceType::from_name(target.type_name) else {
            return Err(not_supported(" by this implementation"));
        };
        if !found.location.allows(target.type_name) {
            return Err(not_supported(""));
        }
        let exists = match logical_id(target.id) {
            Some(id) => self.exists(kind, id, target.version).await?,
            None => false,
        };
        if exists {
            return Ok(());
        }
        let text = reference::text(found);
        Err(Fault::reference(format!(
            "Reference target {text} of reference{at} not found"
        ))
        .into())
    }

    async fn exists(
        &mut self,
        kind: ResourceType,
        id: Uuid,
        version: Option<&str>,
    ) -> Result<bool, Stop> {
        if version.is_none() && self.progress.written.contains(&(kind, id)) {
            return Ok(true);
        }
        if KINDS.contains(&kind) && version.is_none() {
            let held = self.directory.resource(id);
            return Ok(held.is_some_and(|held| held.resource_type() == Some(kind)));
        }
        if version.is_none() && self.progress.ahead.is_current(kind, id) {
            return Ok(true);
        }
        let Some(row) = rows::current(self.conn().await?, kind, id).await? else {
            return Ok(false);
        };
        if row.deleted.is_some() {
            return Ok(false);
        }
        match version.map(str::parse::<i64>) {
            None => Ok(true),
            Some(Ok(number)) => Ok(number == row.version
                || rows::superseded(self.conn().await?, kind, id, number)
                    .await?
                    .is_some()),
            Some(Err(_)) => Ok(false),
        }
    }

    /// A process or questionnaire must be there exactly once (§7.2).
    async fn check_canonical(
        &mut self,
        place: &str,
        canonical: &str,
        at: &str,
    ) -> Result<(), Stop> {
        let count = if place == "Task.instantiatesCanonical" {
            self.directory.processes_named(canonical)
        } else {
            let kind = ResourceType::Questionnaire;
            self.ids(kind, &[("url", canonical)]).await?.len()
        };
        if count == 1 {
            return Ok(());
        }
        let text = format!("Reference target {canonical} of reference{at} not found");
        Err(Fault::reference(text).into())
    }
}
