//! Walks a resource along its known reference locations.

use serde_json::{Map, Value};

use super::location::{self, Carrier, Location};
use crate::r4::{Resource, ResourceType};

/// A reference as it stands in a resource.
#[derive(Clone, Debug)]
pub struct Found {
    pub location: &'static Location,
    /// The path for messages, `Group.managingEntity`.
    pub place: String,
    /// The Reference, Attachment or RelatedArtifact; for canonicals the string.
    pub element: Value,
}

/// Every reference of the resource in a fixed order; [`visit`] walks in the same order.
#[must_use]
pub fn references(resource: &Resource) -> Vec<Found> {
    let mut copy = resource.clone();
    let mut found = Vec::new();
    visit(&mut copy, &mut |location, place, element| {
        found.push(Found { location, place: place.to_owned(), element: element.clone() });
    });
    found
}

/// Calls `each` for every reference, which it may change.
pub fn visit(
    resource: &mut Resource,
    each: &mut impl FnMut(&'static Location, &str, &mut Value),
) {
    let Some(kind) = resource.resource_type() else { return };
    let members = resource.members_mut();
    for location in location::of(kind) {
        let place = format!("{kind}.{}", location.name);
        let steps: Vec<&str> = location.path.split('.').collect();
        descend(members, &steps, &mut |element| {
            if carries(location.carrier, element) {
                each(location, &place, element);
            }
        });
    }
    extensions(kind, members, each);
}

fn carries(carrier: Carrier, element: &Value) -> bool {
    match carrier {
        Carrier::Reference => element.is_object(),
        Carrier::Canonical => element.is_string(),
        Carrier::Artifact | Carrier::Attachment => {
            element.get("url").is_some_and(Value::is_string)
        }
    }
}

fn extensions(
    kind: ResourceType,
    members: &mut Map<String, Value>,
    each: &mut impl FnMut(&'static Location, &str, &mut Value),
) {
    let place = format!("{kind}.extension");
    nested(members, &mut |element| each(&location::EXTENSION, &place, element));
    for backbone in location::backbones(kind) {
        let place = format!("{kind}.{backbone}.extension");
        descend(members, &[backbone], &mut |element| {
            if let Value::Object(members) = element {
                nested(members, &mut |element| each(&location::EXTENSION, &place, element));
            }
        });
    }
}

/// `valueReference` of the extensions of an element and of extensions within them.
fn nested(members: &mut Map<String, Value>, each: &mut dyn FnMut(&mut Value)) {
    let Some(Value::Array(extensions)) = members.get_mut("extension") else { return };
    for extension in extensions.iter_mut().filter_map(Value::as_object_mut) {
        if let Some(reference) = extension.get_mut("valueReference") {
            each(reference);
        }
        nested(extension, each);
    }
}

fn descend(members: &mut Map<String, Value>, steps: &[&str], each: &mut dyn FnMut(&mut Value)) {
    let Some((first, rest)) = steps.split_first() else { return };
    let Some(child) = members.get_mut(*first) else { return };
    let items = match child {
        Value::Array(items) => items.as_mut_slice(),
        single => std::slice::from_mut(single),
    };
    for item in items {
        if rest.is_empty() {
            each(item);
        } else if let Value::Object(members) = item {
            descend(members, rest, each);
        }
    }
}
