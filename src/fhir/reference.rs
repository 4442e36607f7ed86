//! What the mailbox changes at the references of a resource: before it is stored, and before it
//! is shown. What a reference is and where one stands is known to [`crate::r4::reference`].

use serde_json::{Map, Value};

use crate::r4::Resource;
use crate::r4::reference::{Carrier, Found, Target, for_each_mut};

/// The member that holds the target as text; canonicals have none.
const fn member(carrier: Carrier) -> Option<&'static str> {
    match carrier {
        Carrier::Reference | Carrier::Extension => Some("reference"),
        Carrier::Url => Some("url"),
        Carrier::Canonical => None,
    }
}

/// What a reference points to; `Unknown` for canonicals.
#[must_use]
pub fn target<'a>(carrier: Carrier, element: &'a Value, base_url: &str) -> Target<'a> {
    match carrier {
        Carrier::Reference | Carrier::Extension => Target::of_reference(element, base_url),
        Carrier::Url => Target::of_url(text_of(carrier, element), base_url),
        Carrier::Canonical => Target::Unknown,
    }
}

/// The literal text of a reference, empty where there is none.
#[must_use]
pub fn text<'a>(found: &Found<'a>) -> &'a str {
    text_of(found.location.carrier, found.value)
}

fn text_of(carrier: Carrier, element: &Value) -> &str {
    let value = match member(carrier) {
        Some(name) => element.get(name).and_then(Value::as_str),
        None => element.as_str(),
    };
    value.unwrap_or_default()
}

/// Literal internal URLs of attachments and related artefacts become absolute (fhir-api §4.1).
pub fn absolute_urls(resource: &mut Resource, base_url: &str) {
    for_each_mut(resource, |location, element| {
        if location.carrier != Carrier::Url {
            return;
        }
        if let Some(Value::String(url)) = element.get_mut("url") {
            let internal = matches!(Target::of_url(url, base_url), Target::Internal(_));
            if internal && !url.starts_with(base_url) {
                *url = format!("{base_url}/{url}");
            }
        }
    });
}

/// Hides the literal reference beside an identifier, as every answer does (§7.5).
pub fn clean(resource: &mut Resource) {
    for_each_mut(resource, |location, element| {
        let is_reference = member(location.carrier) == Some("reference");
        if let Value::Object(members) = element
            && is_reference
            && members.contains_key("identifier")
        {
            members.shift_remove("reference");
        }
    });
}

/// Puts new targets at the references in the order in which
/// [`references`](crate::r4::reference::references) lists them; `None` leaves one as it is.
pub fn set(resource: &mut Resource, targets: &[Option<String>]) {
    let mut targets = targets.iter();
    for_each_mut(resource, |location, element| {
        let (Some(Some(target)), Some(name)) = (targets.next(), member(location.carrier)) else {
            return;
        };
        if let Value::Object(members) = element {
            // The literal stands first in a Reference.
            let mut ordered = Map::new();
            ordered.insert(name.to_owned(), Value::String(target.clone()));
            let old = std::mem::take(members);
            ordered.extend(old.into_iter().filter(|(key, _)| key != name));
            *members = ordered;
        }
    });
}
