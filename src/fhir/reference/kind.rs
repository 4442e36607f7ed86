//! What a reference is, told by its form (fhir-api §7.1).

use serde_json::Value;

use super::location::Carrier;
use crate::r4::Node;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// `urn:uuid:…`, meaningful within a Bundle.
    Temporary(&'a str),
    /// To this server: `Type/id[/_history/version]`, relative or absolute.
    Internal(Literal<'a>),
    /// To another server.
    External { base: &'a str, target: Literal<'a> },
    /// `Type?query`
    Conditional { type_name: &'a str, query: &'a str },
    /// By type and identifier.
    Logical { type_name: &'a str, system: &'a str, value: &'a str },
    Canonical(&'a str),
    Unknown,
}

/// The parts of `Type/id[/_history/version]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal<'a> {
    pub type_name: &'a str,
    pub id: &'a str,
    pub version: Option<&'a str>,
}

impl<'a> Kind<'a> {
    #[must_use]
    pub fn of(carrier: Carrier, element: &'a Value, base_url: &str) -> Self {
        match carrier {
            Carrier::Canonical => element.as_str().map_or(Self::Unknown, Self::Canonical),
            Carrier::Artifact | Carrier::Attachment => {
                element.text("url").map_or(Self::Unknown, |url| Self::of_text(url, base_url))
            }
            Carrier::Reference => {
                let literal = element.text("reference").map(|text| Self::of_text(text, base_url));
                match literal {
                    Some(kind) if kind != Self::Unknown => kind,
                    _ => Self::of_identifier(element),
                }
            }
        }
    }

    #[must_use]
    pub fn of_text(text: &'a str, base_url: &str) -> Self {
        if text.strip_prefix("urn:uuid:").is_some_and(|rest| !rest.is_empty()) {
            return Self::Temporary(text);
        }
        if let Some((type_name, query)) = text.split_once('?') {
            if is_type_name(type_name) {
                return Self::Conditional { type_name, query };
            }
        }
        match split(text) {
            Some((None, target)) => Self::Internal(target),
            Some((Some(base), target)) if base == base_url => Self::Internal(target),
            Some((Some(base), target)) => Self::External { base, target },
            None => Self::Unknown,
        }
    }

    fn of_identifier(element: &'a Value) -> Self {
        let identifier = element.member("identifier");
        let system = identifier.and_then(|identifier| identifier.text("system"));
        let value = identifier.and_then(|identifier| identifier.text("value"));
        match (element.text("type"), system, value) {
            (Some(type_name), Some(system), Some(value)) => {
                Self::Logical { type_name, system, value }
            }
            _ => Self::Unknown,
        }
    }
}

/// Splits off the base, if there is one.
fn split(text: &str) -> Option<(Option<&str>, Literal<'_>)> {
    let mut parts: Vec<&str> = text.rsplitn(5, '/').collect();
    parts.reverse();
    // With a version the type is the fourth part from the end, without it the second.
    let versioned = parts.len() >= 4 && parts[parts.len() - 2] == "_history";
    let (type_name, id, version) = if versioned {
        let at = parts.len() - 4;
        (parts[at], parts[at + 1], Some(parts[at + 3]))
    } else {
        let at = parts.len().checked_sub(2)?;
        (parts[at], parts[at + 1], None)
    };
    if !is_type_name(type_name) || !is_id(id) || !version.is_none_or(is_id) {
        return None;
    }
    let tail = type_name.len() + 1 + id.len() + version.map_or(0, |v| "/_history/".len() + v.len());
    let literal = Literal { type_name, id, version };
    match text.len() - tail {
        0 => Some((None, literal)),
        before => {
            let base = &text[..before - 1];
            let absolute = base.starts_with("http://") || base.starts_with("https://");
            absolute.then_some((Some(base), literal))
        }
    }
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// Resource types of R4 are words that start with a capital letter; types that this server does
/// not store are told apart later.
fn is_type_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_apart_by_their_form() {
        let base = "https://here.example.org/fhir";
        let of = |text| Kind::of_text(text, base);
        let plain = Literal { type_name: "Task", id: "1", version: None };
        let versioned = Literal { version: Some("3"), ..plain };
        assert_eq!(of("Task/1"), Kind::Internal(plain));
        assert_eq!(of("Task/1/_history/3"), Kind::Internal(versioned));
        assert_eq!(of("https://here.example.org/fhir/Task/1/_history/3"), Kind::Internal(versioned));
        let there = Kind::External { base: "https://there.example.org/x/fhir", target: plain };
        assert_eq!(of("https://there.example.org/x/fhir/Task/1"), there);
        assert_eq!(of("urn:uuid:1"), Kind::Temporary("urn:uuid:1"));
        let conditional = Kind::Conditional { type_name: "Task", query: "a=b" };
        assert_eq!(of("Task?a=b"), conditional);
        for text in ["#1", "http://example.org/something", "/Task/1", "Task", "task/1", ""] {
            assert_eq!(of(text), Kind::Unknown, "{text}");
        }
    }
}
