//! The CapabilityStatement (fhir-api §8).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::fhir::profile::{default_profile, secondary_profiles};
use crate::fhir::search::registry::{self, Parameter};
use crate::fhir::search::{Include, includes, reverse_includes};
use crate::fhir::service::{Profiles, Service};
use crate::fhir::settings::ExtraInteractions;
use crate::r4::datetime::format_instant;
use crate::r4::{Resource, ResourceType};

/// Parameters that shape answers; those that find resources are in the registry.
const SHAPING: &[(&str, &str, &str)] = &[
    ("_at", "date", "Only versions of this time; history only"),
    ("_count", "number", "Entries on a page"),
    (
        "_format",
        "special",
        "Format of the answer, instead of the Accept header",
    ),
    ("_page", "number", "Number of the page, from 1"),
    ("_pretty", "special", "Line breaks in the answer"),
    (
        "_since",
        "date",
        "Only versions since this instant; history only",
    ),
    (
        "_sort",
        "special",
        "Names of parameters to sort by, descending with a leading hyphen",
    ),
    (
        "_summary",
        "special",
        "Parts of the resources: true, text, data, count, false",
    ),
];

/// The statement with these profiles; every identity may read it.
pub fn statement(service: &Service, profiles: &Profiles) -> Resource {
    let base = &service.settings().base_url;
    let extra = service.settings().extra;
    let resources: Vec<Value> = ResourceType::ALL
        .iter()
        .map(|kind| resource(*kind, profiles, extra))
        .collect();
    let socket = format!("{}/ws", base.replacen("http", "ws", 1));
    let mut rest = json!({
        "extension": [{
            "url": "http://hl7.org/fhir/StructureDefinition/capabilitystatement-websocket",
            "valueUrl": socket,
        }],
        "mode": "server",
        "security": { "service": [{ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
            "code": "Certificates",
        }]}]},
        "resource": resources,
        "interaction": [
            { "code": "transaction" }, { "code": "batch" }, { "code": "history-system" },
        ],
    });
    if let (true, Value::Object(members)) = (extra.search_by_post, &mut rest) {
        // R4 has no element that says it.
        let text = "Searches may be sent to [type]/_search by POST, too.";
        members.insert("documentation".to_owned(), json!(text));
    }
    Resource::of_type("CapabilityStatement")
        .with("status", "active")
        .with("date", format_instant(service.started()))
        .with("publisher", "Data Sharing Framework")
        .with("kind", "instance")
        .with(
            "software",
            json!({ "name": "Data Sharing Framework", "version": env!("CARGO_PKG_VERSION") }),
        )
        .with(
            "implementation",
            json!({ "description": "FHIR mailbox", "url": base }),
        )
        .with("fhirVersion", "4.0.1")
        .with(
            "format",
            json!(["application/fhir+json", "application/fhir+xml"]),
        )
        .with("rest", json!([rest]))
}

fn resource(kind: ResourceType, profiles: &Profiles, extra: ExtraInteractions) -> Value {
    let base_profile = format!("http://hl7.org/fhir/StructureDefinition/{kind}");
    let default = default_profile(kind).unwrap_or(base_profile);
    let stored = profiles
        .get(&kind)
        .into_iter()
        .flatten()
        .map(String::as_str);
    let supported: BTreeSet<&str> = stored
        .chain(secondary_profiles(kind).iter().copied())
        .filter(|url| *url != default)
        .collect();
    let interactions = [
        "create",
        "read",
        "vread",
        "update",
        "delete",
        "search-type",
        "history-instance",
        "history-type",
    ];
    let interactions: Vec<Value> = interactions
        .iter()
        .map(|code| json!({ "code": code }))
        .collect();
    let mut described = json!({
        "type": kind.name(),
        "profile": default,
        "supportedProfile": supported,
        "interaction": interactions,
        "versioning": "versioned",
        "readHistory": true,
        "updateCreate": false,
        "conditionalCreate": true,
        "conditionalRead": "full-support",
        "conditionalUpdate": true,
        "conditionalDelete": "single",
        "referencePolicy": ["literal", "logical"],
        "searchParam": parameters(kind),
    });
    if let Value::Object(members) = &mut described {
        if supported.is_empty() {
            members.shift_remove("supportedProfile");
        }
        let known = [
            ("searchInclude", includes(kind)),
            ("searchRevInclude", reverse_includes(kind)),
        ];
        for (name, known) in known.into_iter().filter(|(_, known)| !known.is_empty()) {
            let texts: Vec<String> = known.iter().map(Include::text).collect();
            members.insert(name.to_owned(), json!(texts));
        }
        let operations = operations(kind, extra);
        if !operations.is_empty() {
            members.insert("operation".to_owned(), json!(operations));
        }
    }
    described
}

fn operations(kind: ResourceType, extra: ExtraInteractions) -> Vec<Value> {
    let known = [
        (
            kind == ResourceType::StructureDefinition,
            "snapshot",
            "StructureDefinition-snapshot",
        ),
        (extra.validate, "validate", "Resource-validate"),
    ];
    let offered = known.into_iter().filter(|(is_offered, ..)| *is_offered);
    let described = offered.map(|(_, name, id)| {
        let definition = format!("http://hl7.org/fhir/OperationDefinition/{id}");
        json!({ "name": name, "definition": definition })
    });
    described.collect()
}

fn parameters(kind: ResourceType) -> Vec<Value> {
    let mut found: BTreeMap<&str, Value> = BTreeMap::new();
    for (name, code, words) in SHAPING {
        found.insert(
            name,
            json!({ "name": name, "type": code, "documentation": words }),
        );
    }
    let includes = [
        (
            "_include",
            !includes(kind).is_empty(),
            "Adds what matches refer to",
        ),
        (
            "_revinclude",
            !reverse_includes(kind).is_empty(),
            "Adds what refers to matches",
        ),
    ];
    for (name, _, words) in includes.into_iter().filter(|(_, known, _)| *known) {
        let described = json!({ "name": name, "type": "special", "documentation": words });
        found.insert(name, described);
    }
    for parameter in registry::GLOBAL.iter().chain(registry::parameters(kind)) {
        found.insert(parameter.name, parameter_of(kind, parameter));
    }
    found.into_values().collect()
}

fn parameter_of(kind: ResourceType, parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "definition": parameter.definition(kind),
        "type": parameter.kind.type_code(),
    })
}
