//! The allow list of an organisation in a network of organisations that all know one parent.

use serde_json::{Value, json};

use crate::r4::dsf;

/// Identifier of the parent organisation that all are members of.
const PARENT: &str = "network.dsf.test";

/// A member of the network, as others know it.
#[derive(Clone, Debug)]
pub struct Listed {
    pub identifier: String,
    pub endpoint_identifier: String,
    /// Base address of its FHIR server.
    pub address: String,
    /// SHA-512 thumbprint of its client certificate.
    pub thumbprint: String,
    /// What it is in the network: `DIC` and so on.
    pub role: String,
}

/// A transaction that makes the given organisations known as members of one parent, as often as
/// it is posted.
#[must_use]
pub fn allow_list(known: &[Listed]) -> Value {
    let parent = urn("parent", "network");
    let mut entries = vec![json!({
        "fullUrl": parent,
        "resource": organization(PARENT, "organization-parent", None),
        "request": {
            "method": "PUT",
            "url": format!("Organization?identifier={}|{PARENT}", dsf::sid::ORGANIZATION),
        },
    })];
    for member in known {
        entries.extend(membership(member, &parent));
    }
    json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries })
}

fn membership(member: &Listed, parent: &str) -> [Value; 3] {
    let (own, endpoint_urn) = (
        urn("organization", &member.identifier),
        urn("endpoint", &member.identifier),
    );
    let Listed {
        identifier,
        endpoint_identifier,
        ..
    } = member;
    [
        json!({
            "fullUrl": own,
            "resource": organization(identifier, "organization", Some((member, &endpoint_urn))),
            "request": {
                "method": "PUT",
                "url": format!("Organization?identifier={}|{identifier}", dsf::sid::ORGANIZATION),
            },
        }),
        json!({
            "fullUrl": endpoint_urn,
            "resource": endpoint(member, &own),
            "request": {
                "method": "PUT",
                "url": format!("Endpoint?identifier={}|{endpoint_identifier}", dsf::sid::ENDPOINT),
            },
        }),
        json!({
            "fullUrl": urn("affiliation", identifier),
            "resource": affiliation(parent, (&own, &endpoint_urn), &member.role),
            "request": {
                "method": "POST",
                "url": "OrganizationAffiliation",
                "ifNoneExist": format!(
                    "primary-organization:identifier={0}|{PARENT}\
                     &participating-organization:identifier={0}|{identifier}",
                    dsf::sid::ORGANIZATION
                ),
            },
        }),
    ]
}

fn organization(identifier: &str, profile: &str, member: Option<(&Listed, &String)>) -> Value {
    let mut resource = json!({
        "resourceType": "Organization",
        "meta": meta(profile),
        "identifier": [{ "system": dsf::sid::ORGANIZATION, "value": identifier }],
        "active": true,
        "name": identifier,
    });
    if let Some((member, endpoint)) = member {
        resource["extension"] =
            json!([{ "url": dsf::extension::THUMBPRINT, "valueString": member.thumbprint }]);
        resource["endpoint"] = json!([{ "reference": endpoint, "type": "Endpoint" }]);
    }
    resource
}

fn endpoint(member: &Listed, organization: &str) -> Value {
    json!({
        "resourceType": "Endpoint",
        "meta": meta("endpoint"),
        "identifier": [{ "system": dsf::sid::ENDPOINT, "value": member.endpoint_identifier }],
        "status": "active",
        "connectionType": {
            "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
            "code": "hl7-fhir-rest",
        },
        "name": member.endpoint_identifier,
        "managingOrganization": { "reference": organization, "type": "Organization" },
        "payloadType": [{
            "coding": [{ "system": "http://hl7.org/fhir/resource-types", "code": "Task" }],
        }],
        "payloadMimeType": ["application/fhir+json", "application/fhir+xml"],
        "address": member.address,
    })
}

fn affiliation(parent: &str, (member, endpoint): (&str, &str), role: &str) -> Value {
    json!({
        "resourceType": "OrganizationAffiliation",
        "meta": meta("organization-affiliation"),
        "active": true,
        "organization": { "reference": parent, "type": "Organization" },
        "participatingOrganization": { "reference": member, "type": "Organization" },
        "code": [{ "coding": [{ "system": dsf::system::ORGANIZATION_ROLE, "code": role }] }],
        "endpoint": [{ "reference": endpoint, "type": "Endpoint" }],
    })
}

fn meta(profile: &str) -> Value {
    json!({
        "profile": [format!("http://dsf.dev/fhir/StructureDefinition/{profile}")],
        "tag": [{ "system": dsf::system::READ_ACCESS_TAG, "code": "ALL" }],
    })
}

/// A temporary id, the same for the same thing: the Bundle of a start is that of the last one.
fn urn(kind: &str, name: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("{kind} {name}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    format!(
        "urn:uuid:{}",
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    )
}
