//! Parts of a resource: `_summary=true|text|data` (fhir-api §2.4).

use serde_json::{Value, json};

use super::media::Summary;
use crate::r4::Resource;

const SUBSETTED: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";

/// The resource without what is not asked for; `None` where nothing changes. Bundles are answered
/// whole: what their entries hold was asked for by other means.
#[must_use]
pub fn of(resource: &Resource, kind: Summary) -> Option<Resource> {
    if matches!(resource.type_name(), "Bundle" | "OperationOutcome" | "CapabilityStatement") {
        return None;
    }
    let mut short = resource.clone();
    let members = short.members_mut();
    match kind {
        Summary::Count => return None,
        Summary::Data => {
            members.shift_remove("text");
        }
        Summary::Text => members.retain(|name, _| {
            matches!(name.as_str(), "resourceType" | "id" | "meta" | "text" | "status" | "code" | "intent")
        }),
        Summary::True => {
            for name in ["text", "contained", "snapshot", "differential", "expansion", "data"] {
                members.shift_remove(name);
            }
        }
    }
    let meta = members.entry("meta").or_insert_with(|| json!({}));
    if let Value::Object(meta) = meta {
        let tags = meta.entry("tag").or_insert_with(|| json!([]));
        if let Value::Array(tags) = tags {
            tags.push(json!({"system": SUBSETTED, "code": "SUBSETTED"}));
        }
    }
    Some(short)
}
