//! The profiles that stored StructureDefinitions add to a type, for the CapabilityStatement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Service;
use super::ground::parsed;
use crate::fhir::fault::Fault;
use crate::r4::{Node, Resource, ResourceType};
use crate::store::fhir::profile as rows;
use crate::store::{self, AsyncPgConnection};

/// Urls of profiles by the type they constrain.
pub type Profiles = BTreeMap<ResourceType, BTreeSet<String>>;

/// What was read last, and the generation of the directory that it was read at.
#[derive(Debug, Default)]
pub(super) struct Cache(ArcSwap<(Option<i64>, Arc<Profiles>)>);

impl Service {
    /// The profiles that are stored, as of the newest directory that this node has seen. The same
    /// `Arc` as before while nothing has changed.
    pub async fn profiles(&self) -> Result<Arc<Profiles>, Fault> {
        let generation = self.directory.load().generation();
        let known = self.profiles.0.load_full();
        if known.0 == Some(generation) {
            return Ok(Arc::clone(&known.1));
        }
        let documents = self
            .store
            .read(async |conn: &mut AsyncPgConnection| rows::documents(conn).await)
            .await
            .map_err(|error: store::Error| Fault::from(error))?;
        let mut profiles = Profiles::new();
        for resource in documents.iter().filter_map(|document| parsed(document)) {
            if let Some((kind, url)) = offered(&resource) {
                profiles.entry(kind).or_default().insert(url.to_owned());
            }
        }
        let profiles = if *known.1 == profiles {
            Arc::clone(&known.1)
        } else {
            Arc::new(profiles)
        };
        let seen = (Some(generation), Arc::clone(&profiles));
        self.profiles.0.store(Arc::new(seen));
        Ok(profiles)
    }
}

/// The type and url of a profile for clients: usable, about a resource, not one of HL7's.
fn offered(definition: &Resource) -> Option<(ResourceType, &str)> {
    let url = definition
        .str("url")
        .filter(|url| !url.contains("hl7.org"))?;
    let usable = definition.str("kind") == Some("resource")
        && definition.flag("abstract") != Some(true)
        && matches!(definition.str("status"), Some("active" | "draft"));
    let kind = ResourceType::from_name(definition.str("type")?)?;
    usable.then_some((kind, url))
}
