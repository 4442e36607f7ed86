//! What a reference points to, as far as this server can tell (fhir-api §7.1).

use serde_json::Value;

use crate::auth::Member;
use crate::r4::ResourceType;

use super::access::ORGANIZATION_IDENTIFIER;
use super::fact::Target;
use super::json::{Literal, identifier_value, string};

impl From<Literal<'_>> for Target {
    fn from(literal: Literal<'_>) -> Self {
        Self::Literal {
            kind: literal.kind,
            id: literal.id.to_owned(),
            version: literal.version.map(str::to_owned),
        }
    }
}

impl Target {
    #[must_use]
    pub const fn kind(&self) -> ResourceType {
        match self {
            Self::Literal { kind, .. } | Self::Logical { kind, .. } => *kind,
        }
    }
}

/// A literal reference wins over an identifier; a foreign or unknown one has no target here.
pub(super) fn target(reference: &Value, base_url: &str) -> Option<Target> {
    if let Some(literal) = string(reference, "reference") {
        return Literal::parse(literal, base_url).map(Into::into);
    }
    let identifier = reference.get("identifier")?;
    Some(Target::Logical {
        kind: ResourceType::from_name(string(reference, "type")?)?,
        system: string(identifier, "system")?.to_owned(),
        value: string(identifier, "value")?.to_owned(),
    })
}

/// Whether a reference means this organisation. Identifiers of Organizations are unique (§4.4), so
/// a logical reference needs no lookup; a literal one that contradicts its identifier means nobody.
pub(super) fn means(reference: &Value, member: &Member, base_url: &str) -> bool {
    let identifier = reference
        .get("identifier")
        .map(|i| identifier_value(i, ORGANIZATION_IDENTIFIER) == Some(&member.identifier));
    match string(reference, "reference") {
        Some(literal) => {
            let own = Literal::parse(literal, base_url).is_some_and(|l| {
                l.kind == ResourceType::Organization && Some(l.id) == member.id.as_deref()
            });
            own && identifier != Some(false)
        }
        None => string(reference, "type") == Some("Organization") && identifier == Some(true),
    }
}

/// Whether two values are the same, but for the literal references that the server itself added to
/// the stored one next to an identifier and that it never shows (§4.1 update).
pub(super) fn same_as_shown(old: Option<&Value>, new: Option<&Value>) -> bool {
    old == new || old.map(without_added_references).as_ref() == new
}

/// A value as clients get it: no literal reference where there is an identifier.
pub(super) fn without_added_references(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let logical = members.contains_key("identifier");
            let shown = members.iter().filter(|(name, value)| {
                !(logical && name.as_str() == "reference" && value.is_string())
            });
            Value::Object(
                shown
                    .map(|(n, v)| (n.clone(), without_added_references(v)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(without_added_references).collect()),
        other => other.clone(),
    }
}
