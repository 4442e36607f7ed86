//! The node's copy of what nearly every request leans on: organisations, affiliations, endpoints,
//! naming systems and processes.
//!
//! The copy belongs to a generation of the store. Every statement that serves a request also
//! reads, or guards by, the generation of that moment; if they differ, the request is judged again
//! on a new copy. So a change of the allow list counts from the next request on, on every node,
//! and no request pays a look-up for it. See docs/adr.

mod entry;
mod index;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use entry::Entry;
pub use entry::{Endpoint, Organization};
use index::Index;

use crate::auth::{Allowed, Member};
use crate::fhir::authorize::Membership;
use crate::fhir::validate::{self, Library};
use crate::r4::dsf::sid;
use crate::r4::{Canonical, Resource, ResourceType};
use crate::store::fhir::{conformance, directory as rows};
use crate::store::{self, AsyncPgConnection};

/// The types of which the directory holds every resource.
pub const KINDS: &[ResourceType] = &[
    ResourceType::Organization,
    ResourceType::OrganizationAffiliation,
    ResourceType::Endpoint,
    ResourceType::NamingSystem,
    ResourceType::ActivityDefinition,
];

/// Whether a change of this type moves the generation: what decisions or validation lean on.
#[must_use]
pub fn moves(kind: ResourceType) -> bool {
    KINDS.contains(&kind) || validate::KINDS.contains(&kind)
}

/// How often the parts of a directory are read until they are of one generation.
const ATTEMPTS: usize = 5;

#[derive(Clone, Debug)]
struct Held {
    entry: Entry,
    resource: Arc<Resource>,
    /// What the index has it by.
    keys: Vec<Arc<str>>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    generation: i64,
    base_url: Arc<str>,
    held: HashMap<Uuid, Arc<Held>>,
    index: Index,
    /// The definitions that resources are judged by, and the versions they were read from.
    library: Arc<Library>,
    conformance: BTreeMap<Uuid, i64>,
}

impl Directory {
    /// Reads everything anew; what validation has made of unchanged definitions is taken over
    /// from the directory before.
    pub async fn load(
        conn: &mut AsyncPgConnection,
        base_url: &str,
        before: Option<&Self>,
    ) -> Result<Self, store::Error> {
        let mut directory = Self::load_held(conn, base_url).await?;
        for _ in 0..ATTEMPTS {
            if directory.load_library(conn, before).await? {
                break;
            }
            directory = Self::load_held(conn, base_url).await?;
        }
        Ok(directory)
    }

    /// Whether the definitions belong to the generation of the rest.
    async fn load_library(
        &mut self,
        conn: &mut AsyncPgConnection,
        before: Option<&Self>,
    ) -> Result<bool, store::Error> {
        let seen = conformance::seen(conn, validate::KINDS).await?;
        let mut is_same = seen.iter().all(|one| one.generation == self.generation);
        self.conformance = seen.iter().map(|one| (one.id, one.version)).collect();
        if let Some(before) = before.filter(|before| before.conformance == self.conformance) {
            self.library = Arc::clone(&before.library);
            return Ok(is_same);
        }
        let addresses = conformance::addresses(conn, validate::KINDS).await?;
        is_same &= addresses
            .iter()
            .all(|one| one.generation == self.generation);
        let entries = addresses.into_iter().filter_map(|address| {
            Some(validate::Entry {
                id: address.id,
                kind: address.kind()?,
                url: address.url?,
                version: address.version,
            })
        });
        self.library = Arc::new(Library::new(entries));
        Ok(is_same)
    }

    /// One statement, so that content and generation belong together.
    async fn load_held(conn: &mut AsyncPgConnection, base_url: &str) -> Result<Self, store::Error> {
        let entries = rows::load(conn, KINDS).await?;
        let generation = match entries.first() {
            Some(entry) => entry.generation,
            None => rows::generation(conn).await?,
        };
        let mut directory = Self {
            generation,
            base_url: base_url.into(),
            ..Self::default()
        };
        for entry in entries {
            let parsed = serde_json::from_str(&entry.document)
                .ok()
                .and_then(Resource::from_value);
            if let Some(resource) = parsed {
                directory.put(entry.id, &resource);
            }
        }
        Ok(directory)
    }

    #[must_use]
    pub fn generation(&self) -> i64 {
        self.generation
    }

    /// The same content one generation on, once a transaction that changed it has committed.
    pub fn advance(&mut self) {
        self.generation += 1;
    }

    /// What resources are judged by.
    #[must_use]
    pub fn library(&self) -> &Arc<Library> {
        &self.library
    }

    /// Takes over a written conformance resource; `None` when it was deleted.
    pub fn put_definition(&mut self, id: Uuid, resource: Option<&Resource>) {
        match Arc::get_mut(&mut self.library) {
            // A copy that this transaction has made before.
            Some(library) => library.change(id, resource),
            None => self.library = Arc::new(self.library.changed(id, resource)),
        }
        let version = resource.and_then(|resource| resource.version_id()?.parse().ok());
        match version {
            Some(version) => self.conformance.insert(id, version),
            None => self.conformance.remove(&id),
        };
    }

    /// Takes over a new or changed resource of one of [`KINDS`].
    pub fn put(&mut self, id: Uuid, resource: &Resource) {
        let Some(entry) = Entry::of(id, resource, &self.base_url) else {
            return;
        };
        self.remove(id);
        let keys = index::keys(&entry, resource, &self.base_url);
        self.index.insert(id, &keys);
        let held = Held {
            entry,
            resource: Arc::new(resource.clone()),
            keys,
        };
        self.held.insert(id, Arc::new(held));
    }

    pub fn remove(&mut self, id: Uuid) {
        if let Some(held) = self.held.remove(&id) {
            self.index.remove(id, &held.keys);
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.held.values().map(|held| &held.entry)
    }

    pub fn organizations(&self) -> impl Iterator<Item = &Organization> {
        self.entries().filter_map(|entry| match entry {
            Entry::Organization(organization) => Some(organization),
            _ => None,
        })
    }

    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.entries().filter_map(|entry| match entry {
            Entry::Endpoint(endpoint) => Some(endpoint),
            _ => None,
        })
    }

    fn organization_by_id(&self, id: Uuid) -> Option<&Organization> {
        match &self.held.get(&id)?.entry {
            Entry::Organization(organization) => Some(organization),
            _ => None,
        }
    }

    #[must_use]
    pub fn endpoint_by_id(&self, id: Uuid) -> Option<&Endpoint> {
        match &self.held.get(&id)?.entry {
            Entry::Endpoint(endpoint) => Some(endpoint),
            _ => None,
        }
    }

    #[must_use]
    pub fn resource(&self, id: Uuid) -> Option<&Arc<Resource>> {
        Some(&self.held.get(&id)?.resource)
    }

    /// The current resources of a directory type.
    pub fn resources(&self, kind: ResourceType) -> impl Iterator<Item = &Arc<Resource>> {
        self.held
            .values()
            .map(|held| &held.resource)
            .filter(move |resource| resource.resource_type() == Some(kind))
    }

    /// The local organisation, if it is in the allow list and active (auth-config §2.2).
    #[must_use]
    pub fn local(&self, identifier: &str) -> Option<Member> {
        let organization = self.named(identifier).find(|o| o.active)?;
        let endpoint = self.at_address(&self.base_url).find(|e| e.active);
        Some(Member {
            identifier: identifier.to_owned(),
            id: Some(organization.id.to_string()),
            endpoint: endpoint.and_then(|endpoint| endpoint.identifier.clone()),
        })
    }

    /// The organisations with this DSF identifier.
    fn named(&self, identifier: &str) -> impl Iterator<Item = &Organization> {
        let key = index::identifier(ResourceType::Organization, sid::ORGANIZATION, identifier);
        let ids = self.index.ids(&key).iter();
        ids.filter_map(|id| self.organization_by_id(*id))
            .filter(move |o| o.identifier.as_deref() == Some(identifier))
    }

    fn at_address(&self, address: &str) -> impl Iterator<Item = &Endpoint> {
        let ids = self.index.ids(&index::address(address)).iter();
        ids.filter_map(|id| self.endpoint_by_id(*id))
    }

    /// What the allow list says of a certificate (auth-config §2.2).
    #[must_use]
    pub fn allowed(&self, thumbprint: &str, own: &str) -> Allowed {
        let has = |thumbprints: &[String]| thumbprints.iter().any(|one| one == thumbprint);
        let listed = self
            .organizations()
            .filter(|o| o.active && has(&o.thumbprints));
        let member = |organization: &Organization| {
            let tagged = self.endpoints().find(|e| e.active && has(&e.thumbprints));
            let only = match organization.endpoints.as_slice() {
                [id] => self.endpoint_by_id(*id),
                _ => None,
            };
            Some(Member {
                identifier: organization.identifier.clone()?,
                id: Some(organization.id.to_string()),
                endpoint: tagged
                    .or(only)
                    .and_then(|endpoint| endpoint.identifier.clone()),
            })
        };
        Allowed {
            listed: listed.filter_map(member).collect(),
            local: self.local(own),
        }
    }

    #[must_use]
    pub fn organization_exists(&self, identifier: &str) -> bool {
        self.named(identifier).next().is_some()
    }

    /// The active affiliations of the active organisation with this identifier (auth-config §6).
    #[must_use]
    pub fn memberships(&self, identifier: &str) -> Vec<Membership> {
        let members = self.named(identifier).filter(|o| o.active);
        let affiliations = members.flat_map(|member| {
            let ids = self.index.ids(&index::member(member.id)).iter();
            ids.filter_map(|id| self.held.get(id))
        });
        affiliations
            .filter_map(|held| match &held.entry {
                Entry::Affiliation(affiliation) if affiliation.active => Some(affiliation),
                _ => None,
            })
            .filter_map(|affiliation| {
                let parent = self.organization_by_id(affiliation.parent?)?;
                Some(Membership {
                    parent: parent.identifier.clone()?,
                    parent_active: parent.active,
                    roles: affiliation.roles.clone(),
                    endpoints: affiliation
                        .endpoints
                        .iter()
                        .filter_map(|id| self.endpoint_by_id(*id)?.identifier.clone())
                        .collect(),
                })
            })
            .collect()
    }

    /// The processes with this url, whatever their version and status.
    fn processes(&self, url: &str) -> impl Iterator<Item = (&Canonical, bool, &Arc<Resource>)> {
        let ids = self.index.ids(&index::process(url)).iter();
        ids.filter_map(|id| {
            let held = self.held.get(id)?;
            match &held.entry {
                Entry::Process(canonical, is_open) => Some((canonical, *is_open, &held.resource)),
                _ => None,
            }
        })
    }

    /// The process with status draft or active.
    #[must_use]
    pub fn process(&self, url: &str, version: &str) -> Option<Arc<Resource>> {
        let wanted = Canonical::new(url, version);
        self.processes(url)
            .find(|(canonical, is_open, _)| *is_open && **canonical == wanted)
            .map(|(_, _, resource)| Arc::clone(resource))
    }

    /// How many ActivityDefinitions a canonical names, whatever their status.
    #[must_use]
    pub fn processes_named(&self, canonical: &str) -> usize {
        let wanted = Canonical::parse(canonical);
        self.processes(&wanted.url)
            .filter(|(declared, ..)| wanted.version.is_none() || wanted.version == declared.version)
            .count()
    }

    /// Whether logical references with this identifier system must resolve (fhir-api §7.2).
    #[must_use]
    pub fn checks(&self, system: &str) -> bool {
        !self.index.ids(&index::checked(system)).is_empty()
    }

    /// Whether an active Endpoint has this address.
    #[must_use]
    pub fn knows_server(&self, address: &str) -> bool {
        self.at_address(address).any(|endpoint| endpoint.active)
    }

    /// The current resources of a directory type with this identifier.
    #[must_use]
    pub fn identified(&self, kind: ResourceType, system: &str, value: &str) -> Vec<Uuid> {
        let key = index::identifier(kind, system, value);
        self.index.ids(&key).to_vec()
    }

    /// The current resources of a directory type that hold this unique key.
    #[must_use]
    pub fn holders(&self, kind: ResourceType, key: &str) -> &[Uuid] {
        self.index.ids(&index::unique(kind, key))
    }
}
