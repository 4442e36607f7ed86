//! Business identifiers and codings: a system and a value in it.

use serde_json::{Value, json};

use super::Node;

/// An identifier with both system and value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identifier {
    pub system: String,
    pub value: String,
}

impl Identifier {
    #[must_use]
    pub fn new(system: &str, value: &str) -> Self {
        Self {
            system: system.to_owned(),
            value: value.to_owned(),
        }
    }

    /// From an Identifier element; `None` unless it has a system and a value.
    #[must_use]
    pub fn from_element(element: &Value) -> Option<Self> {
        Some(Self::new(element.text("system")?, element.text("value")?))
    }

    #[must_use]
    pub fn to_element(&self) -> Value {
        json!({ "system": self.system, "value": self.value })
    }
}

/// A code of a code system, its version when given.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Coding {
    pub system: String,
    pub code: String,
    pub version: Option<String>,
}

impl Coding {
    #[must_use]
    pub fn new(system: &str, code: &str) -> Self {
        Self {
            system: system.to_owned(),
            code: code.to_owned(),
            version: None,
        }
    }

    /// From a Coding element; `None` unless it has a system and a code.
    #[must_use]
    pub fn from_element(element: &Value) -> Option<Self> {
        let version = element.text("version").map(str::to_owned);
        Some(Self {
            version,
            ..Self::new(element.text("system")?, element.text("code")?)
        })
    }

    /// Same system and code; versions do not count.
    #[must_use]
    pub fn same_code(&self, other: &Self) -> bool {
        self.system == other.system && self.code == other.code
    }

    #[must_use]
    pub fn to_element(&self) -> Value {
        match &self.version {
            Some(version) => {
                json!({ "system": self.system, "version": version, "code": self.code })
            }
            None => json!({ "system": self.system, "code": self.code }),
        }
    }
}

/// The identifiers of an element's `identifier` list that are of this system.
pub fn values_in_system<'a>(
    element: &'a impl Node,
    system: &'a str,
) -> impl Iterator<Item = &'a str> {
    element
        .items("identifier")
        .filter(move |identifier| identifier.text("system") == Some(system))
        .filter_map(|identifier| identifier.text("value"))
}

/// The codings of a CodeableConcept.
pub fn codings(concept: &Value) -> impl Iterator<Item = Coding> {
    concept.items("coding").filter_map(Coding::from_element)
}

/// Whether a CodeableConcept has a coding with this system and code.
#[must_use]
pub fn has_coding(concept: &Value, system: &str, code: &str) -> bool {
    concept
        .items("coding")
        .any(|coding| coding.text("system") == Some(system) && coding.text("code") == Some(code))
}
