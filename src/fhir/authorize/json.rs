//! Small reads of FHIR JSON that the rules share.

use serde_json::Value;

use crate::auth::Coding;
use crate::r4::ResourceType;

/// The items of a list member; empty when it is absent.
pub(super) fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

pub(super) fn string<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

/// The extensions of an element with a url.
pub(super) fn extensions<'a>(
    element: &'a Value,
    url: &'a str,
) -> impl Iterator<Item = &'a Value> + use<'a> {
    list(element, "extension").filter(move |e| string(e, "url") == Some(url))
}

/// The only item, `None` if there is none or more than one.
pub(super) fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

/// The value of an Identifier of this system, if it has one.
pub(super) fn identifier_value<'a>(identifier: &'a Value, system: &str) -> Option<&'a str> {
    (string(identifier, "system") == Some(system))
        .then(|| string(identifier, "value"))
        .flatten()
}

/// A Coding with system and code.
pub(super) fn coding(value: &Value) -> Option<Coding> {
    Some(Coding::new(
        string(value, "system")?,
        string(value, "code")?,
    ))
}

pub(super) fn is_coding(value: &Value, system: &str, code: &str) -> bool {
    string(value, "system") == Some(system) && string(value, "code") == Some(code)
}

/// A literal reference to this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Literal<'a> {
    pub(super) kind: ResourceType,
    pub(super) id: &'a str,
    pub(super) version: Option<&'a str>,
}

impl<'a> Literal<'a> {
    /// Reads `Type/id` or `Type/id/_history/version`, relative or below our own base URL
    /// (fhir-api §7.1).
    pub(super) fn parse(reference: &'a str, base_url: &str) -> Option<Self> {
        let relative = reference
            .strip_prefix(base_url.trim_end_matches('/'))
            .and_then(|rest| rest.strip_prefix('/'))
            .unwrap_or(reference);
        let mut parts = relative.split('/');
        let kind = ResourceType::from_name(parts.next()?)?;
        let id = parts.next().filter(|id| is_id(id))?;
        let version = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some("_history"), Some(version), None) if is_id(version) => Some(version),
            _ => return None,
        };
        Some(Self { kind, id, version })
    }
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}
