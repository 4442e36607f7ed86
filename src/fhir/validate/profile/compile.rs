//! From a snapshot to rules.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::Value;

use super::discriminator;
use super::{
    Binding, Constraint, Family, Place, Profile, Rule, RuleId, Slice, Slicing, Strength, TypeRule,
};
use crate::fhir::validate::definition::{Definition, Element};
use crate::fhir::validate::snapshot::{Node, Tree};
use crate::fhir::validate::snapshot::{max_of, min_of};
use crate::r4::Node as _;
use crate::r4::table::{Block, Content, table};

/// Most slices of one element.
const MOST_SLICES: usize = 2_000;
const MOST_DISCRIMINATORS: usize = 16;

/// Compiles a snapshot; the error says what cannot be understood.
pub fn compile(definition: &Definition, tree: &Tree) -> Result<Profile, String> {
    let mut compiler = Compiler::default();
    let block = table().find(&tree.type_name).map(|id| table().block(id));
    compiler.rule(&tree.root, &tree.type_name, &tree.type_name, block)?;
    compiler.refer();
    let mut profile = Profile {
        canonical: definition.canonical(),
        url: definition.url.clone(),
        type_name: definition.type_name.clone(),
        context: definition.context.clone(),
        rules: compiler.rules,
        families: compiler.families,
    };
    for (rule, discriminators) in compiler.sliced {
        discriminator::decide(&mut profile, rule, &discriminators);
    }
    Ok(profile)
}

#[derive(Default)]
struct Compiler {
    rules: Vec<Rule>,
    families: Vec<Family>,
    /// Unsliced rules by path, for content references.
    by_path: HashMap<String, RuleId>,
    references: Vec<(RuleId, String)>,
    /// Rules with slices, and the discriminators of these.
    sliced: Vec<(RuleId, Vec<(String, String)>)>,
}

impl Compiler {
    /// Adds a node with everything below. `block` describes its children.
    fn rule(
        &mut self,
        node: &Node,
        path: &str,
        shown: &str,
        block: Option<&'static Block>,
    ) -> Result<RuleId, String> {
        let id = self.rules.len();
        self.rules.push(read(&node.element, shown));
        if !path.is_empty() {
            self.by_path.insert(path.to_owned(), id);
        }
        if let Some(reference) = node.element.text("contentReference") {
            let path = reference.rsplit('#').next().unwrap_or_default();
            self.references.push((id, path.to_owned()));
        }
        if let (false, Some(block)) = (node.children.is_empty(), block) {
            self.rules[id].family = Some(self.family(node, path, shown, block)?);
        }
        if !node.slices.is_empty() {
            self.slices(id, node, shown, block)?;
        }
        Ok(id)
    }

    fn family(
        &mut self,
        node: &Node,
        path: &str,
        shown: &str,
        block: &'static Block,
    ) -> Result<usize, String> {
        let mut family = Family::default();
        for child in &node.children {
            let mut elements = block
                .elements()
                .iter()
                .filter(|e| e.defined_name == child.name);
            let codes: Vec<&str> = child.types().filter_map(|kind| kind.text("code")).collect();
            // The block of what is below; a choice with children has one type.
            let first = elements.clone().next();
            let below = match (first.map(|first| first.content), codes.as_slice()) {
                (Some(Content::Block(id)), _) if !child.name.ends_with("[x]") => Some(id),
                (Some(Content::Primitive(_) | Content::Xhtml), _)
                    if !child.name.ends_with("[x]") =>
                {
                    table().find("Element")
                }
                (_, [only]) => table().find(only).or_else(|| table().find("Element")),
                _ => None,
            };
            let path = if path.is_empty() {
                String::new()
            } else {
                format!("{path}.{}", child.name)
            };
            let shown = format!("{shown}.{}", child.name);
            let below = below.map(|id| table().block(id));
            let rule = self.rule(child, &path, &shown, below)?;
            let index = family.rules.len();
            family.rules.push(rule);
            for element in elements.by_ref() {
                let is_choice = child.name.ends_with("[x]");
                let is_allowed =
                    !is_choice || codes.is_empty() || codes.contains(&element.type_name);
                family.names.push((
                    element.name.as_ref(),
                    Place {
                        rule: index,
                        is_allowed,
                    },
                ));
            }
        }
        family.names.sort_unstable_by_key(|(name, _)| *name);
        self.families.push(family);
        Ok(self.families.len() - 1)
    }

    fn slices(
        &mut self,
        id: RuleId,
        node: &Node,
        shown: &str,
        block: Option<&'static Block>,
    ) -> Result<(), String> {
        if node.slices.len() > MOST_SLICES {
            return Err(format!("{shown} has more than {MOST_SLICES} slices"));
        }
        let slicing = node.element.get("slicing");
        let text = |name: &str| slicing.and_then(|slicing| slicing.text(name));
        let mut slices = Vec::new();
        for slice in &node.slices {
            let name = slice.slice.clone().unwrap_or_default();
            let rule = self.rule(slice, "", &format!("{}:{name}", base_name(shown)), block)?;
            if self.rules[rule].family.is_none() {
                self.rules[rule].family = self.rules[id].family;
            }
            slices.push(Slice {
                name: name.into(),
                rule,
                criteria: Vec::new(),
            });
        }
        self.rules[id].slicing = Some(Slicing {
            is_closed: text("rules") == Some("closed"),
            is_ordered: slicing.and_then(|slicing| slicing.flag("ordered")) == Some(true),
            slices,
            is_undecidable: false,
        });
        let discriminators = slicing
            .into_iter()
            .flat_map(|slicing| slicing.items("discriminator"));
        let discriminators = discriminators.filter_map(|discriminator| {
            Some((
                discriminator.text("type")?.to_owned(),
                discriminator.text("path")?.to_owned(),
            ))
        });
        let discriminators: Vec<_> = discriminators.collect();
        if discriminators.len() > MOST_DISCRIMINATORS {
            return Err(format!(
                "{shown} has more than {MOST_DISCRIMINATORS} discriminators"
            ));
        }
        self.sliced.push((id, discriminators));
        Ok(())
    }

    /// Gives elements with a content reference the children of what they refer to.
    fn refer(&mut self) {
        for (rule, path) in std::mem::take(&mut self.references) {
            if self.rules[rule].family.is_none()
                && let Some(target) = self.by_path.get(&path)
            {
                self.rules[rule].family = self.rules[*target].family;
            }
        }
    }
}

/// The path without the slice at its end.
fn base_name(shown: &str) -> &str {
    let last = shown.rfind('.').map_or(0, |at| at + 1);
    shown[last..]
        .find(':')
        .map_or(shown, |at| &shown[..last + at])
}

fn read(element: &Element, shown: &str) -> Rule {
    let with = |stem: &str| {
        let named = element.iter().find(|(name, _)| {
            name.strip_prefix(stem)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
        });
        named.map(|(_, value)| value.clone())
    };
    let texts = |kind: &Value, name: &str| kind.texts(name).map(str::to_owned).collect();
    let types = element.items("type").map(|kind| TypeRule {
        code: kind.text("code").unwrap_or_default().into(),
        profiles: texts(kind, "profile"),
        targets: texts(kind, "targetProfile"),
        core: OnceLock::new(),
    });
    Rule {
        path: shown.into(),
        min: min_of(element),
        max: max_of(element),
        types: types.collect(),
        fixed: with("fixed"),
        pattern: with("pattern"),
        least: with("minValue"),
        most: with("maxValue"),
        max_length: element
            .get("maxLength")
            .and_then(Value::as_u64)
            .and_then(|n| usize::try_from(n).ok()),
        binding: element.get("binding").and_then(binding),
        constraints: element
            .items("constraint")
            .filter_map(Constraint::read)
            .collect(),
        family: None,
        slicing: None,
    }
}

fn binding(value: &Value) -> Option<Binding> {
    Some(Binding {
        strength: match value.text("strength") {
            Some("required") => Strength::Required,
            Some("extensible") => Strength::Extensible,
            _ => Strength::Weak,
        },
        value_set: value.text("valueSet")?.to_owned(),
    })
}
