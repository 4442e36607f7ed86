//! Typed values of process variables.
//!
//! The type survives storage: an integer stays an integer, because correlation compares types and
//! partners see them. FHIR resources are opaque JSON to the engine.

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Variables of one scope, in the order in which they were created.
pub type Variables = IndexMap<String, Variable>;

/// The value of a process variable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variable {
    #[default]
    Null,
    Boolean(bool),
    /// 32 bits.
    Integer(i32),
    /// 64 bits.
    Long(i64),
    Double(f64),
    String(String),
    Date(Timestamp),
    Bytes(Vec<u8>),
    List(Vec<Variable>),
    Map(Variables),
    /// A JSON value whose inner types nobody asks for.
    Json(serde_json::Value),
    /// A FHIR resource.
    Resource(Box<serde_json::Value>),
    Target(Target),
    Targets(Targets),
    /// Stands in a stored state for a large value that is kept beside it; never in a running one.
    Apart(String),
}

/// A receiver of a message (`spec/bpe.md` §6.5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Target {
    pub organization_identifier: String,
    pub endpoint_identifier: String,
    pub endpoint_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_key: Option<String>,
}

/// The receivers of a message that goes to several organisations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    pub entries: Vec<Target>,
}

impl Variable {
    /// The text of a string variable.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The name of the type as the management view shows it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Integer(_) => "integer",
            Self::Long(_) => "long",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Date(_) => "date",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Json(_) => "json",
            Self::Resource(_) => "resource",
            Self::Target(_) => "target",
            Self::Targets(_) => "targets",
            Self::Apart(_) => "apart",
        }
    }

    /// Plain JSON, for people and for code that does not care about exact types.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::{Value, json};
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => json!(value),
            Self::Integer(value) => json!(value),
            Self::Long(value) => json!(value),
            Self::Double(value) => json!(value),
            Self::String(value) => json!(value),
            Self::Date(value) => json!(value.to_string()),
            Self::Bytes(value) => json!(value),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(name, value)| (name.clone(), value.to_json()))
                    .collect(),
            ),
            Self::Json(value) => value.clone(),
            Self::Resource(value) => (**value).clone(),
            Self::Target(target) => target.to_json(),
            Self::Apart(digest) => json!({"apart": digest}),
            Self::Targets(targets) => {
                json!({"entries": targets.entries.iter().map(Target::to_json).collect::<Vec<_>>()})
            }
        }
    }
}

impl Target {
    fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "organizationIdentifierValue": self.organization_identifier,
            "endpointIdentifierValue": self.endpoint_identifier,
            "endpointUrl": self.endpoint_url,
            "correlationKey": self.correlation_key,
        })
    }
}

impl From<bool> for Variable {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i32> for Variable {
    fn from(value: i32) -> Self {
        Self::Integer(value)
    }
}

impl From<i64> for Variable {
    fn from(value: i64) -> Self {
        Self::Long(value)
    }
}

impl From<f64> for Variable {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<&str> for Variable {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Variable {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<Option<Variable>> for Variable {
    fn from(value: Option<Variable>) -> Self {
        value.unwrap_or_default()
    }
}

impl FromIterator<Variable> for Variable {
    fn from_iter<T: IntoIterator<Item = Variable>>(items: T) -> Self {
        Self::List(items.into_iter().collect())
    }
}
