//! References between resources: what a reference points to, and where a resource has some.
//!
//! Classification and carriers are `spec/fhir-api.md` §7.1 and §7.6, the locations (in
//! [`location`]) its Appendix A.

mod location;

use std::fmt;

use serde_json::{Map, Value};

pub use location::{Carrier, Found, Location, Targets, for_each_mut, locations, references};

use super::table::is_resource_type;
use super::{Identifier, Node};

/// A reference to one resource by its type and id, perhaps in one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Literal<'a> {
    pub type_name: &'a str,
    pub id: &'a str,
    pub version: Option<&'a str>,
}

impl fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.type_name, self.id)?;
        self.version
            .map_or(Ok(()), |version| write!(f, "/_history/{version}"))
    }
}

/// What a reference points to. The first kind that fits counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `urn:uuid:…`, meaningful inside of a Bundle only.
    Temporary(&'a str),
    /// A resource of this server.
    Internal(Literal<'a>),
    /// A resource of another server; `base` has no slash at its end.
    External { base: &'a str, literal: Literal<'a> },
    /// `Type?query`, resolved by a search.
    Conditional { type_name: &'a str, query: &'a str },
    /// Type and identifier without a usable `reference`.
    Logical {
        type_name: &'a str,
        identifier: Identifier,
    },
    /// Display only, contained, identifier without type, any other URL.
    Unknown,
}

impl<'a> Target<'a> {
    /// What a Reference element points to, seen from the server with this base URL.
    #[must_use]
    pub fn of_reference(reference: &'a Value, own_base: &str) -> Self {
        match reference
            .text("reference")
            .map_or(Self::Unknown, |url| Self::of_url(url, own_base))
        {
            Self::Unknown => Self::logical(reference).unwrap_or(Self::Unknown),
            known => known,
        }
    }

    /// What a URL points to, as in `Reference.reference`, `RelatedArtifact.url`, `Attachment.url`.
    #[must_use]
    pub fn of_url(url: &'a str, own_base: &str) -> Self {
        if url
            .strip_prefix("urn:uuid:")
            .is_some_and(|rest| !rest.is_empty())
        {
            return Self::Temporary(url);
        }
        if let Some((base, literal)) = split_literal(url) {
            return match base {
                Some(base) if base != own_base.trim_end_matches('/') => {
                    Self::External { base, literal }
                }
                _ => Self::Internal(literal),
            };
        }
        match url.split_once('?') {
            Some((type_name, query)) if is_resource_type(type_name) => {
                Self::Conditional { type_name, query }
            }
            _ => Self::Unknown,
        }
    }

    fn logical(reference: &'a Value) -> Option<Self> {
        let identifier = Identifier::from_element(reference.member("identifier")?)?;
        Some(Self::Logical {
            type_name: reference.text("type")?,
            identifier,
        })
    }
}

/// Splits `[base/]Type/id[/_history/version]` into the base (without slash) and the rest.
#[must_use]
pub fn split_literal(url: &str) -> Option<(Option<&str>, Literal<'_>)> {
    let (unversioned, version) = match url.split_once("/_history/") {
        Some((before, version)) if is_id(version) => (before, Some(version)),
        Some(_) => return None,
        None => (url, None),
    };
    let (front, id) = unversioned.rsplit_once('/')?;
    let (base, type_name) = match front.rsplit_once('/') {
        Some((base, type_name)) => (Some(base), type_name),
        None => (None, front),
    };
    let is_web = |base: &str| {
        let host = base
            .strip_prefix("http://")
            .or_else(|| base.strip_prefix("https://"));
        host.is_some_and(|host| !host.is_empty() && !host.contains(['?', '#', ' ']))
    };
    let literal = Literal {
        type_name,
        id,
        version,
    };
    (is_id(id) && is_resource_type(type_name) && base.is_none_or(is_web)).then_some((base, literal))
}

/// Whether this has the form of a logical id: 1 to 64 letters, digits, dots and hyphens.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    (1..=64).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// A logical reference as a Reference element.
#[must_use]
pub fn logical(type_name: &str, identifier: &Identifier) -> Value {
    let mut reference = Map::new();
    reference.insert("type".to_owned(), Value::String(type_name.to_owned()));
    reference.insert("identifier".to_owned(), identifier.to_element());
    Value::Object(reference)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OWN: &str = "https://own.example/fhir";

    /// `spec/fhir-api.md` §7.1.
    #[test]
    fn references_are_classified_by_the_first_kind_that_fits() {
        let literal = |type_name, id, version| Literal {
            type_name,
            id,
            version,
        };
        let cases = [
            ("urn:uuid:1", Target::Temporary("urn:uuid:1")),
            ("urn:uuid:", Target::Unknown),
            ("Task/1", Target::Internal(literal("Task", "1", None))),
            (
                "Task/1/_history/2",
                Target::Internal(literal("Task", "1", Some("2"))),
            ),
            (
                "https://own.example/fhir/Task/1",
                Target::Internal(literal("Task", "1", None)),
            ),
            (
                "https://other.example/fhir/Task/a.b-c",
                Target::External {
                    base: "https://other.example/fhir",
                    literal: literal("Task", "a.b-c", None),
                },
            ),
            (
                "Task?status=draft",
                Target::Conditional {
                    type_name: "Task",
                    query: "status=draft",
                },
            ),
            ("Tusk/1", Target::Unknown),
            ("#contained", Target::Unknown),
            ("ftp://other.example/Task/1", Target::Unknown),
        ];
        for (url, expected) in cases {
            assert_eq!(Target::of_url(url, OWN), expected, "{url}");
        }
    }

    #[test]
    fn a_literal_wins_over_an_identifier_and_an_identifier_needs_a_type() {
        let identifier = json!({"system": "s", "value": "v"});
        let both = json!({"reference": "Organization/1", "type": "Organization",
            "identifier": identifier});
        assert!(matches!(
            Target::of_reference(&both, OWN),
            Target::Internal(_)
        ));
        let logical = json!({"type": "Organization", "identifier": identifier});
        assert!(matches!(
            Target::of_reference(&logical, OWN),
            Target::Logical { .. }
        ));
        let untyped = json!({"identifier": identifier});
        assert_eq!(Target::of_reference(&untyped, OWN), Target::Unknown);
    }
}
