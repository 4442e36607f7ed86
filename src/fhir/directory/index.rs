//! What resources of the directory are found by: no question may walk through all of them, since
//! each entry of a Bundle and each Task asks some.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::entry::Entry;
use crate::fhir::authorize::unique_keys;
use crate::r4::{Node, Resource, ResourceType};

/// Ids by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Index(HashMap<Arc<str>, Vec<Uuid>>);

impl Index {
    pub fn insert(&mut self, id: Uuid, keys: &[Arc<str>]) {
        for key in keys {
            self.0.entry(Arc::clone(key)).or_default().push(id);
        }
    }

    pub fn remove(&mut self, id: Uuid, keys: &[Arc<str>]) {
        for key in keys {
            if let Some(ids) = self.0.get_mut(key) {
                ids.retain(|one| *one != id);
                if ids.is_empty() {
                    self.0.remove(key);
                }
            }
        }
    }

    pub fn ids(&self, key: &str) -> &[Uuid] {
        self.0.get(key).map(Vec::as_slice).unwrap_or_default()
    }
}

/// All keys of a resource, each once.
pub(super) fn keys(entry: &Entry, resource: &Resource, base_url: &str) -> Vec<Arc<str>> {
    let mut keys = Vec::new();
    if let Some(kind) = resource.resource_type() {
        let held = unique_keys(resource, base_url);
        keys.extend(held.iter().map(|key| unique(kind, key)));
        let identifiers = resource.list("identifier");
        keys.extend(
            identifiers
                .filter_map(|one| Some(identifier(kind, one.text("system")?, one.text("value")?))),
        );
    }
    match entry {
        Entry::Affiliation(affiliation) => keys.extend(affiliation.member.map(member)),
        Entry::Endpoint(endpoint) => keys.extend(endpoint.address.as_deref().map(address)),
        Entry::NamingSystem(systems) => keys.extend(systems.iter().map(|one| checked(one))),
        Entry::Process(canonical, _) => keys.push(process(&canonical.url)),
        Entry::Organization(_) => {}
    }
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().map(Arc::from).collect()
}

/// One of [`unique_keys`].
pub(super) fn unique(kind: ResourceType, key: &str) -> String {
    format!("unique {kind} {key}")
}

pub(super) fn identifier(kind: ResourceType, system: &str, value: &str) -> String {
    format!("identifier {kind} {system}|{value}")
}

/// An Endpoint by its address.
pub(super) fn address(address: &str) -> String {
    format!("address {address}")
}

/// An affiliation by its member.
pub(super) fn member(id: Uuid) -> String {
    format!("member {id}")
}

/// A NamingSystem by an identifier system whose references it wants checked.
pub(super) fn checked(system: &str) -> String {
    format!("checked {system}")
}

/// An ActivityDefinition by its url.
pub(super) fn process(url: &str) -> String {
    format!("process {url}")
}
