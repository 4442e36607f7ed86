//! A profile made ready for judging: rules in an arena, names resolved, expressions parsed.
//!
//! [`compile`](compile()) makes it from a snapshot; nothing is looked up in JSON afterwards. Base
//! types are compiled the same way, once for the whole process.

mod compile;
mod constraint;
mod discriminator;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock};

use serde_json::Value;

pub use compile::compile;
pub use constraint::{Constraint, Native, Test};
pub use discriminator::{Criterion, Step};

use super::core;
use super::snapshot::Tree;

#[derive(Debug)]
pub struct Profile {
    pub canonical: String,
    pub url: String,
    pub type_name: String,
    /// Where an extension may stand: kind and expression.
    pub context: Vec<(String, String)>,
    /// The root comes first.
    pub rules: Vec<Rule>,
    pub families: Vec<Family>,
}

pub type RuleId = usize;

/// What a profile says of one element.
#[derive(Debug, Default)]
pub struct Rule {
    /// With the names of slices, for messages: `Task.input:message-name`.
    pub path: Box<str>,
    pub min: u32,
    pub max: Option<u32>,
    pub types: Vec<TypeRule>,
    pub fixed: Option<Value>,
    pub pattern: Option<Value>,
    pub least: Option<Value>,
    pub most: Option<Value>,
    pub max_length: Option<usize>,
    pub binding: Option<Binding>,
    pub constraints: Vec<Constraint>,
    /// The rules of its children, if they are not those of its type.
    pub family: Option<usize>,
    pub slicing: Option<Slicing>,
}

#[derive(Debug)]
pub struct TypeRule {
    pub code: Box<str>,
    pub profiles: Vec<String>,
    pub targets: Vec<String>,
    core: OnceLock<Option<Arc<Profile>>>,
}

impl TypeRule {
    /// The rules of the base type, looked up once: they never change.
    #[must_use]
    pub fn core(&self) -> Option<&Profile> {
        self.core.get_or_init(|| of_core(&self.code)).as_deref()
    }
}

#[derive(Debug)]
pub struct Binding {
    pub strength: Strength,
    pub value_set: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    Required,
    Extensible,
    /// Preferred and example bind nobody.
    Weak,
}

/// The children of an element.
#[derive(Debug, Default)]
pub struct Family {
    pub rules: Vec<RuleId>,
    /// By JSON name, sorted: which of the rules it is under.
    pub names: Vec<(&'static str, Place)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index in [`Family::rules`].
    pub rule: usize,
    /// The profile allows this type of the choice.
    pub is_allowed: bool,
}

impl Family {
    #[must_use]
    pub fn place(&self, name: &str) -> Option<Place> {
        let index = self
            .names
            .binary_search_by(|(known, _)| (*known).cmp(name))
            .ok()?;
        Some(self.names[index].1)
    }
}

/// How the occurrences of an element are told apart.
#[derive(Debug)]
pub struct Slicing {
    /// Everything must be in one of the slices.
    pub is_closed: bool,
    /// Slices must come in their order.
    pub is_ordered: bool,
    pub slices: Vec<Slice>,
    /// Some slice says nothing that could tell its elements: then neither closing nor the numbers
    /// of the slices are judged, as the HL7 validator does (fhir-conformance §2.11).
    pub is_undecidable: bool,
}

#[derive(Debug)]
pub struct Slice {
    pub name: Box<str>,
    pub rule: RuleId,
    /// All must hold.
    pub criteria: Vec<(Vec<Step>, Criterion)>,
}

static CORE: LazyLock<RwLock<HashMap<String, Option<Arc<Profile>>>>> =
    LazyLock::new(RwLock::default);

/// The rules of a base type.
#[must_use]
pub fn of_core(type_name: &str) -> Option<Arc<Profile>> {
    if let Some(known) = CORE
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(type_name)
    {
        return known.clone();
    }
    let definition = core::definition(type_name)?;
    let tree = Tree::of_snapshot(&definition).ok()?;
    let profile = compile(&definition, &tree).ok().map(Arc::new);
    let mut known = CORE.write().unwrap_or_else(PoisonError::into_inner);
    known.entry(type_name.to_owned()).or_insert(profile).clone()
}
