//! Parts of a resource: `_summary=true|text|data` (fhir-api §2.4).

use serde_json::{Map, Value, json};

use super::media::Summary;
use crate::r4::Resource;

const SUBSETTED: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";

/// The resource without what is not asked for; `None` where nothing changes. Of the result of a
/// search or history each resource is shortened; other Bundles are answered whole.
#[must_use]
pub fn of(resource: &Resource, kind: Summary) -> Option<Resource> {
    let mut short = resource.clone();
    if kind == Summary::Count {
        return None;
    }
    match resource.type_name() {
        "OperationOutcome" | "CapabilityStatement" => return None,
        "Bundle" if matches!(resource.str("type"), Some("searchset" | "history")) => {
            let entries = short.members_mut().get_mut("entry");
            for entry in entries.and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(Value::Object(members)) = entry.get_mut("resource")
                    && members.get("resourceType") != Some(&json!("OperationOutcome"))
                {
                    shorten(members, kind);
                }
            }
        }
        "Bundle" => return None,
        _ => shorten(short.members_mut(), kind),
    }
    Some(short)
}

fn shorten(members: &mut Map<String, Value>, kind: Summary) {
    match kind {
        Summary::Count => {}
        Summary::Data => {
            members.shift_remove("text");
        }
        Summary::Text => members.retain(|name, _| {
            matches!(
                name.as_str(),
                "resourceType" | "id" | "meta" | "text" | "status" | "code" | "intent"
            )
        }),
        Summary::True => {
            for name in [
                "text",
                "contained",
                "snapshot",
                "differential",
                "expansion",
                "data",
            ] {
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
}
