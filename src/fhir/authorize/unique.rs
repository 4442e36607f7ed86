//! Keys that only one current resource of a type may hold (auth-config §4.4, fhir-api §4.9).

use serde_json::Value;

use crate::r4::{Resource, ResourceType};

use super::fact::Inquiry;
use super::json::{Literal, coding, list, string};

pub(super) const ENDPOINT_IDENTIFIER: &str = "http://dsf.dev/sid/endpoint-identifier";
pub(super) const TASK_IDENTIFIER: &str = "http://dsf.dev/sid/task-identifier";
pub(super) const THUMBPRINT: &str =
    "http://dsf.dev/fhir/StructureDefinition/extension-certificate-thumbprint";

/// The unique keys of a resource, literal references resolved; empty for types without any.
///
/// The store keeps the keys of current resources under a unique constraint of (type, key): that
/// decides races, the rules only look first.
#[must_use]
pub fn unique_keys(resource: &Resource, base_url: &str) -> Vec<String> {
    let mut keys = match resource.resource_type() {
        Some(
            ResourceType::ActivityDefinition
            | ResourceType::CodeSystem
            | ResourceType::StructureDefinition
            | ResourceType::ValueSet,
        ) => canonical(resource).into_iter().collect(),
        Some(ResourceType::Endpoint) => endpoint(resource),
        Some(ResourceType::NamingSystem) => naming_system(resource),
        Some(ResourceType::Organization) => organization(resource),
        Some(ResourceType::OrganizationAffiliation) => affiliation(resource, base_url),
        Some(ResourceType::Subscription) => subscription(resource).into_iter().collect(),
        Some(ResourceType::Task) => identifiers(resource, TASK_IDENTIFIER),
        _ => Vec::new(),
    };
    keys.sort();
    keys.dedup();
    keys
}

/// Whether nobody but `own` holds any of the keys. Asks for all of them at once.
pub(super) fn keys_are_free(
    inquiry: &Inquiry<'_>,
    kind: ResourceType,
    keys: Vec<String>,
    own: Option<&str>,
) -> bool {
    keys.into_iter()
        .fold(true, |free, key| inquiry.is_free(kind, key, own) & free)
}

fn canonical(resource: &Resource) -> Option<String> {
    Some(format!(
        "canonical:{}|{}",
        resource.str("url")?,
        resource.str("version")?
    ))
}

/// `identifier:<value>` of each identifier of a system.
fn identifiers(resource: &Resource, system: &str) -> Vec<String> {
    resource
        .list("identifier")
        .filter(|identifier| string(identifier, "system") == Some(system))
        .filter_map(|identifier| string(identifier, "value"))
        .map(|value| format!("identifier:{value}"))
        .collect()
}

fn endpoint(endpoint: &Resource) -> Vec<String> {
    let mut keys = identifiers(endpoint, ENDPOINT_IDENTIFIER);
    keys.extend(
        endpoint
            .str("address")
            .map(|address| format!("address:{address}")),
    );
    keys
}

/// The rule of the Java system looks at ids of type `uri`, its trigger at `other`: both count.
fn naming_system(system: &Resource) -> Vec<String> {
    let ids = system
        .list("uniqueId")
        .filter_map(|id| match string(id, "type")? {
            kind @ ("uri" | "other") => Some(format!("{kind}:{}", string(id, "value")?)),
            _ => None,
        });
    system
        .str("name")
        .map(|name| format!("name:{name}"))
        .into_iter()
        .chain(ids)
        .collect()
}

fn organization(organization: &Resource) -> Vec<String> {
    let mut keys = identifiers(organization, super::access::ORGANIZATION_IDENTIFIER);
    keys.extend(
        thumbprints(organization)
            .flatten()
            .map(|t| format!("thumbprint:{t}")),
    );
    keys
}

/// The string of each thumbprint extension; `None` where the value is no string.
pub(super) fn thumbprints(resource: &Resource) -> impl Iterator<Item = Option<&str>> {
    resource
        .list("extension")
        .filter(|e| string(e, "url") == Some(THUMBPRINT))
        .map(|e| string(e, "valueString"))
}

/// Parent and member with the endpoint, and parent and member with each role.
fn affiliation(affiliation: &Resource, base_url: &str) -> Vec<String> {
    let id = |reference: &Value| {
        string(reference, "reference").map(|text| bare_reference(text, base_url))
    };
    let parent = affiliation.get("organization").and_then(id);
    let member = affiliation.get("participatingOrganization").and_then(id);
    let (Some(parent), Some(member)) = (parent, member) else {
        return Vec::new();
    };
    let endpoints = affiliation
        .list("endpoint")
        .filter_map(id)
        .map(|e| format!("endpoint|{e}"));
    let roles = affiliation
        .list("code")
        .flat_map(|code| list(code, "coding"))
        .filter_map(coding)
        .map(|role| format!("role|{}|{}", role.system, role.code));
    endpoints
        .chain(roles)
        .map(|key| format!("{parent}|{member}|{key}"))
        .collect()
}

/// A reference without version and own base, so that two ways to write it are one.
pub(super) fn bare_reference(text: &str, base_url: &str) -> String {
    match Literal::parse(text, base_url) {
        Some(literal) => format!("{}/{}", literal.kind, literal.id),
        None => text.to_owned(),
    }
}

fn subscription(subscription: &Resource) -> Option<String> {
    let channel = subscription.get("channel")?;
    let payload = string(channel, "payload").unwrap_or_default();
    Some(format!(
        "{}|{payload}|{}",
        string(channel, "type")?,
        subscription.str("criteria")?
    ))
}
