//! Small resources, unique by a word.

use serde_json::{Value, json};
use uuid::Uuid;

pub const SID: &str = "http://example.org/sid/it";

pub fn word() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Readable by whom the tag `code` names.
pub fn tag(code: &str) -> Value {
    json!({"system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": code})
}

/// A Patient that everybody may read.
pub fn patient(word: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "meta": {"tag": [tag("ALL")]},
        "identifier": [{"system": SID, "value": word}],
        "active": true,
    })
}

/// Path of a stored resource.
pub fn path(resource: &Value) -> String {
    let text = |element: &str| resource[element].as_str().unwrap();
    format!("{}/{}", text("resourceType"), text("id"))
}

/// The same resource with one element changed.
pub fn with(resource: &Value, element: &str, value: Value) -> Value {
    let mut changed = resource.clone();
    changed[element] = value;
    changed
}
