//! The node's copy of what nearly every request leans on: organisations, affiliations, endpoints,
//! naming systems and processes.
//!
//! The copy belongs to a generation of the store. Every statement that serves a request also
//! reads, or guards by, the generation of that moment; if they differ, the request is judged again
//! on a new copy. So a change of the allow list counts from the next request on, on every node,
//! and no request pays a look-up for it. See docs/adr.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use crate::auth::{Allowed, Coding, Member};
use crate::fhir::authorize::Membership;
use crate::fhir::validate::{self, Library};
use crate::r4::dsf::{extension, sid};
use crate::r4::reference::Target;
use crate::r4::{Canonical, Node, Resource, ResourceType};
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
pub struct Organization {
    pub id: Uuid,
    pub active: bool,
    pub identifier: Option<String>,
    pub thumbprints: Vec<String>,
    pub endpoints: Vec<Uuid>,
}

#[derive(Clone, Debug)]
struct Affiliation {
    active: bool,
    parent: Option<Uuid>,
    member: Option<Uuid>,
    roles: Vec<Coding>,
    endpoints: Vec<Uuid>,
}

#[derive(Clone, Debug)]
pub struct Endpoint {
    pub id: Uuid,
    pub active: bool,
    pub identifier: Option<String>,
    pub address: Option<String>,
    pub thumbprints: Vec<String>,
}

#[derive(Clone, Debug)]
enum Entry {
    Organization(Organization),
    Affiliation(Affiliation),
    Endpoint(Endpoint),
    /// The identifier systems whose logical references are checked.
    NamingSystem(Vec<String>),
    Process(Canonical, bool),
}

#[derive(Clone, Debug)]
struct Held {
    entry: Entry,
    resource: Arc<Resource>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    generation: i64,
    base_url: Arc<str>,
    held: HashMap<Uuid, Arc<Held>>,
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
        self.library = Arc::new(self.library.changed(id, resource));
        let version = resource.and_then(|resource| resource.version_id()?.parse().ok());
        match version {
            Some(version) => self.conformance.insert(id, version),
            None => self.conformance.remove(&id),
        };
    }

    /// Takes over a new or changed resource of one of [`KINDS`].
    pub fn put(&mut self, id: Uuid, resource: &Resource) {
        let entry = match resource.resource_type() {
            Some(ResourceType::Organization) => {
                Entry::Organization(self.organization(id, resource))
            }
            Some(ResourceType::OrganizationAffiliation) => {
                Entry::Affiliation(self.affiliation(resource))
            }
            Some(ResourceType::Endpoint) => Entry::Endpoint(endpoint(id, resource)),
            Some(ResourceType::NamingSystem) => Entry::NamingSystem(checked_systems(resource)),
            Some(ResourceType::ActivityDefinition) => process(resource),
            _ => return,
        };
        self.held.insert(
            id,
            Arc::new(Held {
                entry,
                resource: Arc::new(resource.clone()),
            }),
        );
    }

    pub fn remove(&mut self, id: Uuid) {
        self.held.remove(&id);
    }

    fn organization(&self, id: Uuid, resource: &Resource) -> Organization {
        Organization {
            id,
            active: resource.flag("active") == Some(true),
            identifier: dsf_identifier(resource, sid::ORGANIZATION),
            thumbprints: thumbprints(resource),
            endpoints: self.targets(resource, "endpoint"),
        }
    }

    fn affiliation(&self, resource: &Resource) -> Affiliation {
        let single = |name| resource.get(name).and_then(|element| self.target(element));
        let codings = resource.list("code").flat_map(|code| code.items("coding"));
        Affiliation {
            active: resource.flag("active") == Some(true),
            parent: single("organization"),
            member: single("participatingOrganization"),
            roles: codings
                .filter_map(|coding| {
                    Some(Coding::new(coding.text("system")?, coding.text("code")?))
                })
                .collect(),
            endpoints: self.targets(resource, "endpoint"),
        }
    }

    fn targets(&self, resource: &Resource, name: &str) -> Vec<Uuid> {
        resource
            .list(name)
            .filter_map(|element| self.target(element))
            .collect()
    }

    fn target(&self, element: &serde_json::Value) -> Option<Uuid> {
        match Target::of_url(element.text("reference")?, &self.base_url) {
            Target::Internal(literal) => Uuid::parse_str(literal.id).ok(),
            _ => None,
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
        let organization = self
            .organizations()
            .find(|o| o.active && o.identifier.as_deref() == Some(identifier))?;
        let endpoint = self.endpoints().find(|endpoint| {
            endpoint.active && endpoint.address.as_deref() == Some(&self.base_url)
        });
        Some(Member {
            identifier: identifier.to_owned(),
            id: Some(organization.id.to_string()),
            endpoint: endpoint.and_then(|endpoint| endpoint.identifier.clone()),
        })
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
        self.organizations()
            .any(|o| o.identifier.as_deref() == Some(identifier))
    }

    /// The active affiliations of the active organisation with this identifier (auth-config §6).
    #[must_use]
    pub fn memberships(&self, identifier: &str) -> Vec<Membership> {
        let is_member = |affiliation: &Affiliation| {
            affiliation
                .member
                .and_then(|id| self.organization_by_id(id))
                .is_some_and(|o| o.active && o.identifier.as_deref() == Some(identifier))
        };
        self.entries()
            .filter_map(|entry| match entry {
                Entry::Affiliation(affiliation) if affiliation.active => Some(affiliation),
                _ => None,
            })
            .filter(|affiliation| is_member(affiliation))
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

    /// The process with status draft or active.
    #[must_use]
    pub fn process(&self, url: &str, version: &str) -> Option<Arc<Resource>> {
        let wanted = Canonical::new(url, version);
        let held = self.held.values().find(
            |held| matches!(&held.entry, Entry::Process(canonical, true) if *canonical == wanted),
        );
        held.map(|held| Arc::clone(&held.resource))
    }

    /// How many ActivityDefinitions a canonical names, whatever their status.
    #[must_use]
    pub fn processes_named(&self, canonical: &str) -> usize {
        let wanted = Canonical::parse(canonical);
        self.entries()
            .filter(|entry| match entry {
                Entry::Process(declared, _) => {
                    declared.url == wanted.url
                        && (wanted.version.is_none() || wanted.version == declared.version)
                }
                _ => false,
            })
            .count()
    }

    /// Whether logical references with this identifier system must resolve (fhir-api §7.2).
    #[must_use]
    pub fn checks(&self, system: &str) -> bool {
        self.entries().any(|entry| match entry {
            Entry::NamingSystem(systems) => systems.iter().any(|checked| checked == system),
            _ => false,
        })
    }

    /// Whether an active Endpoint has this address.
    #[must_use]
    pub fn knows_server(&self, address: &str) -> bool {
        self.endpoints()
            .any(|e| e.active && e.address.as_deref() == Some(address))
    }

    /// The current resources of a directory type with this identifier.
    #[must_use]
    pub fn identified(&self, kind: ResourceType, system: &str, value: &str) -> Vec<Uuid> {
        let has = |resource: &Resource| {
            resource
                .list("identifier")
                .any(|i| i.text("system") == Some(system) && i.text("value") == Some(value))
        };
        self.held
            .iter()
            .filter(|(_, held)| held.resource.resource_type() == Some(kind) && has(&held.resource))
            .map(|(id, _)| *id)
            .collect()
    }
}

fn endpoint(id: Uuid, resource: &Resource) -> Endpoint {
    Endpoint {
        id,
        active: resource.str("status") == Some("active"),
        identifier: dsf_identifier(resource, sid::ENDPOINT),
        address: resource.str("address").map(str::to_owned),
        thumbprints: thumbprints(resource),
    }
}

fn process(resource: &Resource) -> Entry {
    let canonical = Canonical {
        url: resource.str("url").unwrap_or_default().to_owned(),
        version: resource.str("version").map(str::to_owned),
    };
    Entry::Process(
        canonical,
        matches!(resource.str("status"), Some("draft" | "active")),
    )
}

fn dsf_identifier(resource: &Resource, system: &str) -> Option<String> {
    let identifier = resource
        .list("identifier")
        .find(|i| i.text("system") == Some(system))?;
    identifier.text("value").map(str::to_owned)
}

fn thumbprints(resource: &Resource) -> Vec<String> {
    resource
        .extensions(extension::THUMBPRINT)
        .filter_map(|extension| extension.text("valueString"))
        .map(str::to_owned)
        .collect()
}

fn checked_systems(naming_system: &Resource) -> Vec<String> {
    if !matches!(naming_system.str("status"), Some("draft" | "active")) {
        return Vec::new();
    }
    let is_checked = |id: &&serde_json::Value| {
        id.items("modifierExtension").any(|extension| {
            extension.text("url") == Some(extension::CHECK_LOGICAL_REFERENCE)
                && extension.flag("valueBoolean") == Some(true)
        })
    };
    let ids = naming_system.list("uniqueId").filter(is_checked);
    ids.filter_map(|id| id.text("value"))
        .map(str::to_owned)
        .collect()
}
