//! The codes of a code system.

use std::collections::HashMap;

use serde_json::Value;

use crate::r4::{Node, Resource};

/// Deepest hierarchy that is read.
const DEEPEST: usize = 64;
/// Messages name fewer codes than this.
const EXAMPLES: usize = 12;

#[derive(Clone, Debug)]
pub struct CodeSystem {
    pub url: String,
    /// Every code is listed.
    pub is_complete: bool,
    pub is_case_sensitive: bool,
    /// The first codes, for messages.
    examples: Vec<Box<str>>,
    /// The place of each code in `parents`.
    places: HashMap<Box<str>, u32>,
    parents: Vec<Option<u32>>,
    /// Properties of codes, for filters.
    properties: HashMap<(u32, Box<str>), Box<str>>,
    /// The concepts on the way down to the last one, while they are added.
    open: Vec<u32>,
}

impl CodeSystem {
    #[must_use]
    pub fn new(url: &str, is_complete: bool, is_case_sensitive: bool) -> Self {
        Self {
            url: url.to_owned(),
            is_complete,
            is_case_sensitive,
            examples: Vec::new(),
            places: HashMap::new(),
            parents: Vec::new(),
            properties: HashMap::new(),
            open: Vec::new(),
        }
    }

    #[must_use]
    pub fn read(resource: &Resource) -> Self {
        let is_complete = resource.str("content") == Some("complete");
        let is_sensitive = resource.get("caseSensitive") == Some(&Value::Bool(true));
        let mut system = Self::new(
            resource.str("url").unwrap_or_default(),
            is_complete,
            is_sensitive,
        );
        for concept in resource.list("concept") {
            system.read_concept(concept, 0);
        }
        system.open = Vec::new();
        system
    }

    fn read_concept(&mut self, concept: &Value, depth: usize) {
        let Some(code) = concept.text("code").filter(|_| depth < DEEPEST) else {
            return;
        };
        let place = self.add(code, depth);
        for property in concept.items("property") {
            let value = ["valueCode", "valueString"]
                .iter()
                .find_map(|name| property.text(name));
            if let (Some(name), Some(value)) = (property.text("code"), value) {
                self.properties.insert((place, name.into()), value.into());
            }
        }
        for below in concept.items("concept") {
            self.read_concept(below, depth + 1);
        }
    }

    /// Adds the next concept in the order of the list, this deep in the hierarchy.
    pub fn add(&mut self, code: &str, depth: usize) -> u32 {
        let place = u32::try_from(self.parents.len()).unwrap_or(u32::MAX);
        self.open.truncate(depth);
        self.parents.push(self.open.last().copied());
        self.open.push(place);
        if self.examples.len() < EXAMPLES {
            self.examples.push(code.into());
        }
        self.places.insert(self.folded(code).into(), place);
        place
    }

    fn folded(&self, code: &str) -> String {
        if self.is_case_sensitive {
            code.to_owned()
        } else {
            code.to_lowercase()
        }
    }

    fn place(&self, code: &str) -> Option<u32> {
        if self.is_case_sensitive {
            return self.places.get(code).copied();
        }
        self.places.get(self.folded(code).as_str()).copied()
    }

    #[must_use]
    pub fn contains(&self, code: &str) -> bool {
        self.place(code).is_some()
    }

    /// Whether `code` lies below `ancestor`, or is it if `or_same`.
    #[must_use]
    pub fn is_below(&self, code: &str, ancestor: &str, or_same: bool) -> bool {
        let (Some(mut at), Some(top)) = (self.place(code), self.place(ancestor)) else {
            return false;
        };
        if at == top {
            return or_same;
        }
        while let Some(parent) = self.parents.get(at as usize).copied().flatten() {
            if parent == top {
                return true;
            }
            at = parent;
        }
        false
    }

    #[must_use]
    pub fn property(&self, code: &str, name: &str) -> Option<&str> {
        let place = self.place(code)?;
        Some(self.properties.get(&(place, name.into()))?.as_ref())
    }

    /// All codes, in lower case where case does not matter.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(AsRef::as_ref)
    }

    /// Some codes, for messages.
    pub fn examples(&self) -> impl Iterator<Item = &str> {
        self.examples.iter().map(AsRef::as_ref)
    }
}
