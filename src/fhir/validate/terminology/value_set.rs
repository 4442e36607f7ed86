//! What a value set is composed of.

use std::collections::{BTreeMap, HashSet};
use std::sync::OnceLock;

use serde_json::Value;

use crate::fhir::validate::pattern::{self, Pattern};
use crate::r4::{Node, Resource};

#[derive(Clone, Debug)]
pub struct ValueSet {
    pub url: String,
    pub include: Vec<Part>,
    pub exclude: Vec<Part>,
}

/// One include or exclude: everything must hold.
#[derive(Clone, Debug, Default)]
pub struct Part {
    pub system: Option<String>,
    pub version: Option<String>,
    /// Only these codes.
    pub codes: Option<HashSet<Box<str>>>,
    pub filters: Vec<Filter>,
    /// In all of these value sets.
    pub sets: Vec<String>,
    /// `codes` in lower case, made when it is first needed.
    pub(in crate::fhir::validate) folded: OnceLock<HashSet<String>>,
}

impl Part {
    /// Whether the code is listed, in whatever case.
    #[must_use]
    pub fn has_in_any_case(&self, code: &str) -> bool {
        let listed = || self.codes.iter().flatten().map(|code| code.to_lowercase());
        let folded = self.folded.get_or_init(|| listed().collect());
        folded.contains(&code.to_lowercase())
    }
}

#[derive(Clone, Debug)]
pub struct Filter {
    pub property: String,
    pub op: String,
    pub value: String,
    pattern: OnceLock<Option<Pattern>>,
}

impl Filter {
    #[must_use]
    pub fn new(property: &str, op: &str, value: &str) -> Self {
        Self {
            property: property.to_owned(),
            op: op.to_owned(),
            value: value.to_owned(),
            pattern: OnceLock::new(),
        }
    }

    /// The value as a pattern; `None` if it is none.
    #[must_use]
    pub fn pattern(&self) -> Option<&Pattern> {
        let compiled = || pattern::compile(&format!("^(?:{})$", self.value)).ok();
        self.pattern.get_or_init(compiled).as_ref()
    }
}

impl ValueSet {
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }

    /// By its composition; by its expansion where it has no other.
    #[must_use]
    pub fn read(resource: &Resource) -> Self {
        let mut set = Self::new(resource.str("url").unwrap_or_default());
        match (resource.get("compose"), resource.get("expansion")) {
            (Some(compose), _) => {
                set.include = compose.items("include").map(part).collect();
                set.exclude = compose.items("exclude").map(part).collect();
            }
            (None, Some(expansion)) => {
                let mut codes = BTreeMap::new();
                collect_expansion(expansion, 0, &mut codes);
                set.include = codes.into_iter().map(expanded).collect();
            }
            (None, None) => {}
        }
        set
    }
}

fn part(value: &Value) -> Part {
    let codes: HashSet<Box<str>> = value
        .items("concept")
        .filter_map(|concept| concept.text("code"))
        .map(Into::into)
        .collect();
    let filter = |filter: &Value| {
        Some(Filter::new(
            filter.text("property")?,
            filter.text("op")?,
            filter.text("value")?,
        ))
    };
    Part {
        system: value.text("system").map(str::to_owned),
        version: value.text("version").map(str::to_owned),
        codes: (!codes.is_empty()).then_some(codes),
        filters: value.items("filter").filter_map(filter).collect(),
        sets: value.texts("valueSet").map(str::to_owned).collect(),
        folded: OnceLock::new(),
    }
}

/// The codes of an expansion by system.
fn collect_expansion<'a>(
    at: &'a Value,
    depth: usize,
    codes: &mut BTreeMap<Option<&'a str>, HashSet<Box<str>>>,
) {
    for entry in at.items("contains").filter(|_| depth < 32) {
        let is_abstract = entry.flag("abstract") == Some(true);
        if let Some(code) = entry.text("code").filter(|_| !is_abstract) {
            let of_system = codes.entry(entry.text("system")).or_default();
            of_system.insert(code.into());
        }
        collect_expansion(entry, depth + 1, codes);
    }
}

fn expanded((system, codes): (Option<&str>, HashSet<Box<str>>)) -> Part {
    Part {
        system: system.map(str::to_owned),
        codes: Some(codes),
        ..Part::default()
    }
}
