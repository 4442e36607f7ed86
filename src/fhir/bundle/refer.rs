//! Temporary and conditional references of entries (fhir-api §6.7).

use super::binding::Bindings;
use crate::fhir::fault::Fault;
use crate::fhir::reference;
use crate::fhir::service::{Condition, Ground, Holder, Match, Stop};
use crate::r4::reference::{Carrier, Found, Target, references};
use crate::r4::{Resource, ResourceType};

impl Ground<'_> {
    /// Puts the real targets where temporary ids and conditions stand.
    pub(super) async fn bind_references(
        &mut self,
        resource: &mut Resource,
        holder: &Holder,
        bindings: &Bindings,
    ) -> Result<(), Stop> {
        let Some(kind) = resource.resource_type() else {
            return Ok(());
        };
        let copy = resource.clone();
        let mut targets = Vec::new();
        for found in &references(&copy) {
            let at = holder.place(kind, found.location.text);
            let target = self.bound_target(found, &at, bindings).await?;
            targets.push(target.map(|target| match found.location.carrier {
                Carrier::Url => format!("{}/{target}", self.base_url()),
                _ => target,
            }));
        }
        reference::set(resource, &targets);
        Ok(())
    }

    async fn bound_target(
        &mut self,
        found: &Found<'_>,
        at: &str,
        bindings: &Bindings,
    ) -> Result<Option<String>, Stop> {
        let base_url = self.base_url().to_owned();
        match reference::target(found.location.carrier, found.value, &base_url) {
            Target::Temporary(url) => match bindings.target(url) {
                Some(target) => Ok(Some(target.to_owned())),
                None => Err(Fault::reference(format!("Unknown reference{at}")).into()),
            },
            Target::Conditional { type_name, query } => {
                let value = format!("{type_name}?{query}");
                let kind = ResourceType::from_name(type_name);
                match kind.filter(|_| found.location.allows(type_name)) {
                    Some(kind) => self.met(kind, &value, query, at).await.map(Some),
                    None => Err(not_found(&value, at)),
                }
            }
            _ => Ok(None),
        }
    }

    async fn met(
        &mut self,
        kind: ResourceType,
        value: &str,
        query: &str,
        at: &str,
    ) -> Result<String, Stop> {
        let bad = |more: String| {
            let text =
                format!("Reference target by condition '{value}' of reference{at} not found");
            tracing::debug!(more, "a conditional reference cannot be understood");
            Fault::reference(text)
        };
        match self
            .matching(kind, &Condition::of_query(query), bad)
            .await?
        {
            Match::One(id) => Ok(format!("{kind}/{id}")),
            Match::None | Match::Several => Err(not_found(value, at)),
        }
    }
}

fn not_found(value: &str, at: &str) -> Stop {
    let text = format!("Reference target by condition '{value}' of reference{at} not found");
    Fault::reference(text).into()
}
