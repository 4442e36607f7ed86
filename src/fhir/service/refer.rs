//! Settles the references of a resource that is about to be stored: logical ones get their
//! literal target, all others are checked (fhir-api §7.2 to §7.4).

use uuid::Uuid;

use super::find;
use super::ground::Ground;
use super::stop::{RemoteTarget, Stop};
use crate::fhir::directory::KINDS;
use crate::fhir::fault::Fault;
use crate::fhir::reference::{self, Carrier, Found, Kind, Literal};
use crate::r4::{Resource, ResourceType};
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
        let index = self.index.map(|i| format!(" at bundle index {i}")).unwrap_or_default();
        format!(" at {place} in resource of type {kind} with id {id}{index}")
    }
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
    /// Resolves and checks; the resource gets the literal targets of its logical references.
    pub async fn settle_references(
        &mut self,
        kind: ResourceType,
        resource: &mut Resource,
        holder: &Holder,
        leniency: Leniency,
    ) -> Result<(), Stop> {
        let found = reference::references(resource);
        let mut targets = Vec::with_capacity(found.len());
        let mut remote = Vec::new();
        for one in &found {
            let at = holder.place(kind, &one.place);
            targets.push(self.settle(one, &at, leniency, &mut remote).await?);
        }
        if !remote.is_empty() {
            return Err(Stop::Remote(remote));
        }
        if targets.iter().any(Option::is_some) {
            reference::set(resource, &targets);
        }
        Ok(())
    }

    /// The literal that a logical reference gets; `None` for everything that stays as it is.
    async fn settle(
        &mut self,
        found: &Found,
        at: &str,
        leniency: Leniency,
        remote: &mut Vec<RemoteTarget>,
    ) -> Result<Option<String>, Stop> {
        let base_url = self.base_url().to_owned();
        let kind = Kind::of(found.location.carrier, &found.element, &base_url);
        if let Kind::Logical { type_name, system, value } = kind {
            return self.resolve(found, (type_name, system, value), at, leniency).await;
        }
        if leniency == Leniency::All {
            return Ok(None);
        }
        match kind {
            Kind::Internal(target) => self.check_internal(found, target, at).await?,
            Kind::External { base, .. } => {
                let spared = leniency == Leniency::RemoteInputs && found.place == "Task.input.valueReference";
                let text = literal_text(found);
                if !spared && self.directory.knows_server(base) && !self.verified.contains(text) {
                    remote.push(RemoteTarget {
                        reference: text.to_owned(),
                        base: base.to_owned(),
                        place: at.to_owned(),
                    });
                }
            }
            Kind::Canonical(canonical) => self.check_canonical(found, canonical, at).await?,
            Kind::Unknown if found.location.carrier != Carrier::Reference => {}
            _ => return Err(Fault::reference(format!("Unknown reference{at}")).into()),
        }
        Ok(None)
    }

    async fn resolve(
        &mut self,
        found: &Found,
        (type_name, system, value): (&str, &str, &str),
        at: &str,
        leniency: Leniency,
    ) -> Result<Option<String>, Stop> {
        if !self.directory.checks(system) {
            return Ok(None);
        }
        let kind = ResourceType::from_name(type_name).filter(|_| found.location.allows(type_name));
        let ids: Vec<Uuid> = match kind.filter(|kind| find::has_identifier(*kind)) {
            Some(kind) => self.identified(kind, system, value).await?,
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

    async fn check_internal(
        &mut self,
        found: &Found,
        target: Literal<'_>,
        at: &str,
    ) -> Result<(), Stop> {
        let Some(kind) = ResourceType::from_name(target.type_name) else {
            let text = format!("Reference target type of reference{at} not supported by this implementation");
            return Err(Fault::reference(text).into());
        };
        if !found.location.allows(target.type_name) {
            let text = format!("Reference target type of reference{at} not supported");
            return Err(Fault::reference(text).into());
        }
        let exists = match Uuid::parse_str(target.id) {
            Ok(id) => self.exists(kind, id, target.version).await?,
            Err(_) => false,
        };
        if exists {
            return Ok(());
        }
        let text = format!("Reference target {} of reference{at} not found", literal_text(found));
        Err(Fault::reference(text).into())
    }

    async fn exists(
        &mut self,
        kind: ResourceType,
        id: Uuid,
        version: Option<&str>,
    ) -> Result<bool, Stop> {
        if KINDS.contains(&kind) && version.is_none() {
            return Ok(self.directory.resource(id).is_some());
        }
        let Some(row) = rows::current(self.conn()?, kind, id).await? else { return Ok(false) };
        if row.deleted.is_some() {
            return Ok(false);
        }
        match version.map(str::parse::<i64>) {
            None => Ok(true),
            Some(Ok(number)) => {
                Ok(number == row.version
                    || rows::superseded(self.conn()?, kind, id, number).await?.is_some())
            }
            Some(Err(_)) => Ok(false),
        }
    }

    /// Only processes and questionnaires are checked (§7.2).
    async fn check_canonical(
        &mut self,
        found: &Found,
        canonical: &str,
        at: &str,
    ) -> Result<(), Stop> {
        let count = match found.place.as_str() {
            "Task.instantiatesCanonical" => self.directory.processes_named(canonical),
            "QuestionnaireResponse.questionnaire" => {
                let kind = ResourceType::Questionnaire;
                find::hits(self.conn()?, kind, &[("url", canonical)], None).await?.len()
            }
            _ => 1,
        };
        if count == 1 {
            return Ok(());
        }
        Err(Fault::reference(format!("Reference target {canonical} of reference{at} not found"))
            .into())
    }
}

fn literal_text(found: &Found) -> &str {
    let name = match found.location.carrier {
        Carrier::Reference => "reference",
        _ => "url",
    };
    found.element.get(name).and_then(serde_json::Value::as_str).unwrap_or_default()
}
