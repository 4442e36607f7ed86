//! The profiles that stored StructureDefinitions add to a type, for the CapabilityStatement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Service;
use super::ground::parsed;
use crate::fhir::fault::Fault;
use crate::r4::{Node, Resource, ResourceType};
use crate::store::fhir::profile::{self as rows, Stamp};
use crate::store::{self, AsyncPgConnection};

/// Urls of profiles by the type they constrain.
pub type Profiles = BTreeMap<ResourceType, BTreeSet<String>>;

/// What was read last, and the state of the store that it was read from.
#[derive(Debug, Default)]
pub(super) struct Cache(ArcSwap<(Option<Stamp>, Arc<Profiles>)>);

impl Service {
    /// The profiles that are stored at this moment.
    pub async fn profiles(&self) -> Result<Arc<Profiles>, Fault> {
        let known = self.profiles.0.load_full();
        let fresh = self
            .store
            .read(async |conn: &mut AsyncPgConnection| {
                let stamp = rows::stamp(conn).await?;
                if known.0 == Some(stamp) {
                    return Ok(None);
                }
                Ok(Some((stamp, rows::documents(conn).await?)))
            })
            .await
            .map_err(|error: store::Error| Fault::from(error))?;
        let Some((stamp, documents)) = fresh else { return Ok(Arc::clone(&known.1)) };
        let mut profiles = Profiles::new();
        for resource in documents.iter().filter_map(|document| parsed(document)) {
            if let Some((kind, url)) = offered(&resource) {
                profiles.entry(kind).or_default().insert(url.to_owned());
            }
        }
        let profiles = Arc::new(profiles);
        self.profiles.0.store(Arc::new((Some(stamp), Arc::clone(&profiles))));
        Ok(profiles)
    }
}

/// The type and url of a profile for clients: usable, about a resource, not one of HL7's.
fn offered(definition: &Resource) -> Option<(ResourceType, &str)> {
    let url = definition.str("url").filter(|url| !url.contains("hl7.org"))?;
    let usable = definition.str("kind") == Some("resource")
        && definition.flag("abstract") != Some(true)
        && matches!(definition.str("status"), Some("active" | "draft"));
    let kind = ResourceType::from_name(definition.str("type")?)?;
    usable.then_some((kind, url))
}
