//! The allow list of a world: who its members are, as the Bundle that every node loads at start.

use serde_json::{Value, json};
use uuid::Uuid;

use super::world::Member;
use super::{ENDPOINT, JSON, ORGANIZATION, XML};

const PROFILES: &str = "http://dsf.dev/fhir/StructureDefinition";

pub fn bundle(parent_identifier: &str, members: &[Member]) -> Value {
    let parent = urn();
    let resource = parent_organization(parent_identifier);
    let mut entries = vec![entry(&parent, resource, parent_identifier)];
    for member in members {
        let (organization, endpoint) = (urn(), urn());
        entries.push(entry(
            &organization,
            self::organization(member, &endpoint),
            member.identifier,
        ));
        let condition = format!("identifier={ENDPOINT}|{}", member.endpoint());
        entries.push(put(
            &endpoint,
            self::endpoint(member, &organization),
            &condition,
        ));
        if let Some(role) = member.role {
            let resource = affiliation([&parent, &organization, &endpoint], role);
            let condition = format!(
                "primary-organization:identifier={ORGANIZATION}|{parent_identifier}&\
                 participating-organization:identifier={ORGANIZATION}|{}",
                member.identifier
            );
            entries.push(put(&urn(), resource, &condition));
        }
    }
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

fn urn() -> String {
    format!("urn:uuid:{}", Uuid::new_v4())
}

fn entry(urn: &str, resource: Value, identifier: &str) -> Value {
    put(
        urn,
        resource,
        &format!("identifier={ORGANIZATION}|{identifier}"),
    )
}

fn put(urn: &str, resource: Value, condition: &str) -> Value {
    let kind = resource["resourceType"].as_str().unwrap();
    let url = format!("{kind}?{condition}");
    json!({"fullUrl": urn, "request": {"method": "PUT", "url": url}, "resource": resource})
}

fn meta(profile: &str) -> Value {
    json!({
        "profile": [format!("{PROFILES}/{profile}")],
        "tag": [{"system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": "ALL"}],
    })
}

fn parent_organization(identifier: &str) -> Value {
    json!({
        "resourceType": "Organization",
        "meta": meta("organization-parent"),
        "identifier": [{"system": ORGANIZATION, "value": identifier}],
        "active": true,
        "name": identifier,
    })
}

fn organization(member: &Member, endpoint: &str) -> Value {
    json!({
        "resourceType": "Organization",
        "meta": meta("organization"),
        "extension": [{
            "url": format!("{PROFILES}/extension-certificate-thumbprint"),
            "valueString": member.thumbprint,
        }],
        "identifier": [{"system": ORGANIZATION, "value": member.identifier}],
        "active": member.active,
        "name": member.identifier,
        "endpoint": [{"reference": endpoint, "type": "Endpoint"}],
    })
}

fn endpoint(member: &Member, organization: &str) -> Value {
    let kind = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type";
    json!({
        "resourceType": "Endpoint",
        "meta": meta("endpoint"),
        "identifier": [{"system": ENDPOINT, "value": member.endpoint()}],
        "status": "active",
        "connectionType": {"system": kind, "code": "hl7-fhir-rest"},
        "name": member.endpoint(),
        "managingOrganization": {"reference": organization, "type": "Organization"},
        "payloadType": [
            {"coding": [{"system": "http://hl7.org/fhir/resource-types", "code": "Task"}]}
        ],
        "payloadMimeType": [JSON, XML],
        "address": member.base_url(),
    })
}

fn affiliation([parent, member, endpoint]: [&str; 3], role: &str) -> Value {
    let system = "http://dsf.dev/fhir/CodeSystem/organization-role";
    json!({
        "resourceType": "OrganizationAffiliation",
        "meta": meta("organization-affiliation"),
        "active": true,
        "organization": {"reference": parent, "type": "Organization"},
        "participatingOrganization": {"reference": member, "type": "Organization"},
        "code": [{"coding": [{"system": system, "code": role}]}],
        "endpoint": [{"reference": endpoint, "type": "Endpoint"}],
    })
}
