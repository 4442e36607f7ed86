//! Changes to the references of a resource.

use serde_json::Value;

use super::extract::visit;
use super::kind::Kind;
use super::location::Carrier;
use crate::r4::Resource;

/// Literal internal URLs of attachments and related artefacts become absolute (§4.1).
pub fn absolute_urls(resource: &mut Resource, base_url: &str) {
    visit(resource, &mut |location, _, element| {
        if !matches!(location.carrier, Carrier::Artifact | Carrier::Attachment) {
            return;
        }
        if let Some(Value::String(url)) = element.get_mut("url") {
            let internal = matches!(Kind::of_text(url, base_url), Kind::Internal(_));
            if internal && !url.starts_with(base_url) {
                *url = format!("{base_url}/{url}");
            }
        }
    });
}

/// Hides the literal reference beside an identifier, as every answer does (§7.5).
pub fn clean(resource: &mut Resource) {
    visit(resource, &mut |location, _, element| {
        if location.carrier == Carrier::Reference && element.get("identifier").is_some() {
            if let Value::Object(members) = element {
                members.shift_remove("reference");
            }
        }
    });
}

/// Puts new targets at the references in the order of [`super::references`]; `None` leaves one as
/// it is.
pub fn set(resource: &mut Resource, targets: &[Option<String>]) {
    let mut targets = targets.iter();
    visit(resource, &mut |location, _, element| {
        let Some(Some(target)) = targets.next() else { return };
        let name = match location.carrier {
            Carrier::Reference => "reference",
            Carrier::Artifact | Carrier::Attachment => "url",
            Carrier::Canonical => return,
        };
        if let Value::Object(members) = element {
            // The literal comes first, as in the element order of a Reference.
            let mut ordered = serde_json::Map::new();
            ordered.insert(name.to_owned(), Value::String(target.clone()));
            let old = std::mem::take(members);
            ordered.extend(old.into_iter().filter(|(key, _)| key != name));
            *members = ordered;
        }
    });
}
