//! A StructureDefinition as the validator reads it.

use serde_json::{Map, Value};

use crate::r4::{Node, Resource};

/// An ElementDefinition, as JSON.
pub type Element = Map<String, Value>;

#[derive(Clone, Debug)]
pub struct Definition {
    pub url: String,
    pub version: Option<String>,
    /// `resource`, `complex-type`, `primitive-type` or `logical`.
    pub kind: String,
    pub is_abstract: bool,
    pub type_name: String,
    /// The canonical of what this derives from.
    pub base: Option<String>,
    /// It constrains its base; otherwise it is a type of its own.
    pub is_constraint: bool,
    /// Where an extension may stand: kind and expression.
    pub context: Vec<(String, String)>,
    pub differential: Vec<Element>,
    pub snapshot: Vec<Element>,
}

impl Definition {
    /// Reads a resource; the error says what it lacks.
    pub fn read(resource: &Resource) -> Result<Self, String> {
        let needed = |name: &str| {
            let text = resource.str(name).map(str::to_owned);
            text.ok_or_else(|| format!("a StructureDefinition without {name}"))
        };
        let elements = |name: &str| -> Vec<Element> {
            let view = resource.get(name).map(|view| view.items("element"));
            view.into_iter()
                .flatten()
                .filter_map(|e| e.as_object().cloned())
                .collect()
        };
        let context = resource.list("context").filter_map(|context| {
            Some((
                context.text("type")?.to_owned(),
                context.text("expression")?.to_owned(),
            ))
        });
        Ok(Self {
            url: needed("url")?,
            version: resource.str("version").map(str::to_owned),
            kind: needed("kind")?,
            is_abstract: resource.get("abstract") == Some(&Value::Bool(true)),
            type_name: needed("type")?,
            base: resource.str("baseDefinition").map(str::to_owned),
            is_constraint: resource.str("derivation") != Some("specialization"),
            context: context.collect(),
            differential: elements("differential"),
            snapshot: elements("snapshot"),
        })
    }

    /// `url|version`, or the url alone.
    #[must_use]
    pub fn canonical(&self) -> String {
        match &self.version {
            Some(version) => format!("{}|{version}", self.url),
            None => self.url.clone(),
        }
    }
}
