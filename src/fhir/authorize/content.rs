//! What single types ask of a new resource and what an update of them must keep (auth-config §4.4).

use std::collections::HashSet;

use serde_json::Value;

use crate::r4::{Resource, ResourceType};

use super::access::ORGANIZATION_IDENTIFIER;
use super::decision::Reason;
use super::fact::Inquiry;
use super::json::{list, only, string};
use super::process;
use super::unique::{ENDPOINT_IDENTIFIER, bare_reference, thumbprints};

/// The column "new resource ok" of §4.4, read-access tags apart.
pub(super) fn well_formed(
    kind: ResourceType,
    new: &Resource,
    inquiry: &Inquiry<'_>,
) -> Result<(), Reason> {
    match kind {
        ResourceType::ActivityDefinition => {
            canonical(new)?;
            ensure(process::is_valid(new), Reason::BadProcessAuthorization)
        }
        ResourceType::CodeSystem | ResourceType::ValueSet => canonical(new),
        ResourceType::StructureDefinition => {
            canonical(new)?;
            ensure(new.str("baseDefinition").is_some(), Reason::BadCanonical)
        }
        ResourceType::Endpoint => ensure(endpoint(new), Reason::BadEndpoint),
        ResourceType::NamingSystem => {
            status(new)?;
            ensure(naming_system(new), Reason::BadNamingSystem)
        }
        ResourceType::Organization => ensure(organization(new), Reason::BadOrganization),
        ResourceType::OrganizationAffiliation => ensure(affiliation(new), Reason::BadAffiliation),
        ResourceType::PractitionerRole => ensure(
            has_reference(new.get("organization")) && has_reference(new.get("practitioner")),
            Reason::BadPractitionerRole,
        ),
        ResourceType::Subscription => ensure(subscription(new, inquiry), Reason::BadSubscription),
        _ => Ok(()),
    }
}

fn ensure(holds: bool, otherwise: Reason) -> Result<(), Reason> {
    if holds { Ok(()) } else { Err(otherwise) }
}

fn status(resource: &Resource) -> Result<(), Reason> {
    let known = matches!(resource.str("status"), Some("draft" | "active" | "retired"));
    ensure(known, Reason::BadStatus)
}

fn canonical(resource: &Resource) -> Result<(), Reason> {
    status(resource)?;
    let named = resource.str("url").is_some() && resource.str("version").is_some();
    ensure(named, Reason::BadCanonical)
}

fn has_reference(reference: Option<&Value>) -> bool {
    reference.is_some_and(|reference| string(reference, "reference").is_some())
}

/// The value of the only identifier of a system.
pub(super) fn own_identifier<'a>(resource: &'a Resource, system: &str) -> Option<&'a str> {
    let identifier = only(
        resource
            .list("identifier")
            .filter(|i| string(i, "system") == Some(system)),
    )?;
    string(identifier, "value").filter(|value| !value.is_empty())
}

fn endpoint(endpoint: &Resource) -> bool {
    own_identifier(endpoint, ENDPOINT_IDENTIFIER).is_some()
        && endpoint.str("address").is_some_and(is_endpoint_address)
}

/// `https://host[:port][path]` of plain characters: no user, no query, no dot in the path.
fn is_endpoint_address(address: &str) -> bool {
    let Some(rest) = address.strip_prefix("https://") else {
        return false;
    };
    let in_host = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let after_host = rest.trim_start_matches(in_host);
    if after_host.len() == rest.len() {
        return false;
    }
    let path = match after_host.strip_prefix(':') {
        Some(port) if port.starts_with(|c: char| c.is_ascii_digit()) => port,
        Some(_) => return false,
        None => after_host,
    };
    path.chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/'))
}

fn naming_system(system: &Resource) -> bool {
    let mut seen = HashSet::new();
    let mut uris = system
        .list("uniqueId")
        .filter(|id| string(id, "type") == Some("uri"))
        .filter_map(|id| string(id, "value"));
    system.str("name").is_some() && uris.all(|uri| seen.insert(uri))
}

fn organization(organization: &Resource) -> bool {
    own_identifier(organization, ORGANIZATION_IDENTIFIER).is_some()
        && thumbprints(organization).all(|thumbprint| thumbprint.is_some_and(is_thumbprint))
}

/// 128 lower-case hexadecimal digits: an SHA-512 sum (§1.5).
fn is_thumbprint(text: &str) -> bool {
    text.len() == 128 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn affiliation(affiliation: &Resource) -> bool {
    let mut codes = affiliation.list("code").peekable();
    has_reference(affiliation.get("organization"))
        && has_reference(affiliation.get("participatingOrganization"))
        && only(affiliation.list("endpoint")).is_some_and(|e| has_reference(Some(e)))
        && codes.peek().is_some()
        && codes.all(|code| list(code, "coding").next().is_some())
}

fn subscription(subscription: &Resource, inquiry: &Inquiry<'_>) -> bool {
    let Some(channel) = subscription.get("channel") else {
        return false;
    };
    let payload_known = match channel.get("payload") {
        None => true,
        Some(payload) => {
            matches!(
                payload.as_str(),
                Some("application/fhir+json" | "application/fhir+xml")
            )
        }
    };
    string(channel, "type") == Some("websocket")
        && payload_known
        && subscription
            .str("criteria")
            .is_some_and(|c| inquiry.criteria_supported(c))
}

/// The column "update must keep" of §4.4.
pub(super) fn keeps_immutable(
    kind: ResourceType,
    old: &Resource,
    new: &Resource,
    base_url: &str,
) -> bool {
    let same = |name: &str| old.get(name) == new.get(name);
    let same_identifier = |system| own_identifier(old, system) == own_identifier(new, system);
    let same_references =
        |name: &str| references(old, name, base_url) == references(new, name, base_url);
    let channel = |resource: &Resource, name: &str| {
        resource
            .get("channel")
            .and_then(|channel| channel.get(name))
            .cloned()
    };
    match kind {
        ResourceType::ActivityDefinition
        | ResourceType::CodeSystem
        | ResourceType::StructureDefinition
        | ResourceType::ValueSet => same("url") && same("version"),
        ResourceType::Endpoint => same("address") && same_identifier(ENDPOINT_IDENTIFIER),
        ResourceType::NamingSystem => same("name"),
        ResourceType::Organization => same_identifier(ORGANIZATION_IDENTIFIER),
        ResourceType::OrganizationAffiliation => {
            ["organization", "participatingOrganization", "endpoint"]
                .into_iter()
                .all(same_references)
        }
        ResourceType::Subscription => {
            same("criteria")
                && ["type", "payload"]
                    .into_iter()
                    .all(|n| channel(old, n) == channel(new, n))
        }
        _ => true,
    }
}

/// What a single or repeated reference element points to.
fn references(resource: &Resource, name: &str, base_url: &str) -> Vec<String> {
    let single = resource.get(name).filter(|value| value.is_object());
    let all = single.into_iter().chain(resource.list(name));
    all.filter_map(|r| string(r, "reference"))
        .map(|r| bare_reference(r, base_url))
        .collect()
}
