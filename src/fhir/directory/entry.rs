//! What the directory knows of a resource of one of its types.

use serde_json::Value;
use uuid::Uuid;

use crate::auth::Coding;
use crate::r4::dsf::{extension, sid};
use crate::r4::reference::Target;
use crate::r4::{Canonical, Node, Resource, ResourceType};

#[derive(Clone, Debug)]
pub struct Organization {
    pub id: Uuid,
    pub active: bool,
    pub identifier: Option<String>,
    pub thumbprints: Vec<String>,
    pub endpoints: Vec<Uuid>,
}

#[derive(Clone, Debug)]
pub(super) struct Affiliation {
    pub active: bool,
    pub parent: Option<Uuid>,
    pub member: Option<Uuid>,
    pub roles: Vec<Coding>,
    pub endpoints: Vec<Uuid>,
}

#[derive(Clone, Debug)]
pub struct Endpoint {
    pub id: Uuid,
    pub active: bool,
    pub identifier: Option<String>,
    pub address: Option<String>,
    pub thumbprints: Vec<String>,
}

/// What the directory reads out of a resource.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Organization(Organization),
    Affiliation(Affiliation),
    Endpoint(Endpoint),
    /// The identifier systems whose logical references are checked.
    NamingSystem(Vec<String>),
    Process(Canonical, bool),
}

impl Entry {
    /// `None` for the types that the directory does not hold.
    pub fn of(id: Uuid, resource: &Resource, base_url: &str) -> Option<Self> {
        Some(match resource.resource_type()? {
            ResourceType::Organization => Self::Organization(organization(id, resource, base_url)),
            ResourceType::OrganizationAffiliation => {
                Self::Affiliation(affiliation(resource, base_url))
            }
            ResourceType::Endpoint => Self::Endpoint(endpoint(id, resource)),
            ResourceType::NamingSystem => Self::NamingSystem(checked_systems(resource)),
            ResourceType::ActivityDefinition => process(resource),
            _ => return None,
        })
    }
}

fn organization(id: Uuid, resource: &Resource, base_url: &str) -> Organization {
    Organization {
        id,
        active: resource.flag("active") == Some(true),
        identifier: dsf_identifier(resource, sid::ORGANIZATION),
        thumbprints: thumbprints(resource),
        endpoints: targets(resource, "endpoint", base_url),
    }
}

fn affiliation(resource: &Resource, base_url: &str) -> Affiliation {
    let single = |name| {
        let element = resource.get(name);
        element.and_then(|element| target(element, base_url))
    };
    let codings = resource.list("code").flat_map(|code| code.items("coding"));
    Affiliation {
        active: resource.flag("active") == Some(true),
        parent: single("organization"),
        member: single("participatingOrganization"),
        roles: codings
            .filter_map(|coding| Some(Coding::new(coding.text("system")?, coding.text("code")?)))
            .collect(),
        endpoints: targets(resource, "endpoint", base_url),
    }
}

fn targets(resource: &Resource, name: &str, base_url: &str) -> Vec<Uuid> {
    resource
        .list(name)
        .filter_map(|element| target(element, base_url))
        .collect()
}

fn target(element: &Value, base_url: &str) -> Option<Uuid> {
    match Target::of_url(element.text("reference")?, base_url) {
        Target::Internal(literal) => Uuid::parse_str(literal.id).ok(),
        _ => None,
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
    let is_checked = |id: &&Value| {
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
