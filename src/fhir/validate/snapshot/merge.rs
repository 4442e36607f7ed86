//! What one element of a differential changes.

use serde_json::{Value, json};

use super::tree::{Node, max_of, min_of};
use crate::fhir::validate::definition::Element;
use crate::r4::Node as _;

/// Members that are of the element itself and not of its definition.
const OWN: [&str; 5] = ["id", "path", "sliceName", "base", "constraint"];
/// Lists that grow.
const GROWING: [&str; 5] = ["condition", "alias", "code", "example", "mapping"];

/// Most entries of such a list, and most constraints of one element.
const MOST_ENTRIES: usize = 500;

/// Types of FHIRPath stand for types of FHIR.
const SYSTEM: &str = "http://hl7.org/fhirpath/System.";

/// Merges a differential element into its node; `profile` is where it comes from.
pub fn merge(node: &mut Node, element: &Element, profile: &str) -> Result<(), String> {
    check_types(node, element)?;
    check_numbers(node, element)?;
    for (name, value) in element {
        match name.as_str() {
            name if OWN.contains(&name) => {}
            name if GROWING.contains(&name) => grow(&mut node.element, name, value)?,
            _ => {
                node.is_raised &= name != "min";
                for stem in ["fixed", "pattern", "minValue", "maxValue"] {
                    if name.starts_with(stem) {
                        node.element
                            .retain(|old, _| !old.starts_with(stem) || old == name);
                    }
                }
                node.element.insert(name.clone(), value.clone());
            }
        }
    }
    for constraint in element.items("constraint") {
        add_constraint(&mut node.element, constraint, profile)?;
    }
    let min = min_of(&node.element);
    match max_of(&node.element) {
        Some(max) if max < min => Err(format!("at least {min} and at most {max} contradict")),
        _ => Ok(()),
    }
}

/// A profile may ask for more, not for less. A slice may be left out of an element that must be
/// there, and what slices ask for in sum is no demand of the base. Known plugins allow more than
/// their base, which the reference lets pass.
fn check_numbers(node: &Node, element: &Element) -> Result<(), String> {
    let least = min_of(&node.element);
    let min = min_of(element);
    let is_slice = node.slice.is_some() || element.contains_key("sliceName");
    if element.contains_key("min") && min < least && !node.is_raised && !is_slice {
        return Err(format!("at least {min}, but at least {least} in its base"));
    }
    Ok(())
}

/// A profile may take types away, not add some.
fn check_types(node: &Node, element: &Element) -> Result<(), String> {
    let known: Vec<&str> = node.types().filter_map(|kind| kind.text("code")).collect();
    let is_open = |code: &&str| matches!(*code, "Element" | "Resource") || code.starts_with(SYSTEM);
    let allows_any = known.is_empty() || known.iter().any(is_open);
    for code in element.items("type").filter_map(|kind| kind.text("code")) {
        if !allows_any && !known.contains(&code) {
            return Err(format!(
                "type {code} is none of its base: {}",
                known.join(", ")
            ));
        }
    }
    Ok(())
}

/// Leaves a choice only the type whose name ends its JSON name.
pub fn restrict_to(node: &mut Node, capitalised: &str) {
    let is_it = |kind: &Value| {
        let code = kind.text("code");
        code.is_some_and(|code| code.eq_ignore_ascii_case(capitalised))
    };
    let types: Vec<Value> = node.types().filter(|kind| is_it(kind)).cloned().collect();
    if !types.is_empty() {
        node.element.insert("type".to_owned(), Value::Array(types));
    }
}

/// Adds what is not there yet.
fn grow(element: &mut Element, name: &str, more: &Value) -> Result<(), String> {
    let list = element.entry(name).or_insert_with(|| json!([]));
    let (Some(all), Some(more)) = (list.as_array_mut(), more.as_array()) else {
        return Err(format!("{name} is no list"));
    };
    for value in more {
        if all.len() >= MOST_ENTRIES {
            return Err(format!("{name} has more than {MOST_ENTRIES} entries"));
        }
        if !all.contains(value) {
            all.push(value.clone());
        }
    }
    Ok(())
}

/// Adds a constraint; one with the same key gives way.
fn add_constraint(element: &mut Element, constraint: &Value, profile: &str) -> Result<(), String> {
    let mut constraint = constraint.clone();
    if let Value::Object(members) = &mut constraint {
        members.entry("source").or_insert_with(|| json!(profile));
    }
    let key = constraint.text("key").map(str::to_owned);
    let list = element.entry("constraint").or_insert_with(|| json!([]));
    let Some(all) = list.as_array_mut() else {
        return Err("constraint is no list".to_owned());
    };
    all.retain(|old| old.text("key") != key.as_deref());
    if all.len() >= MOST_ENTRIES {
        return Err(format!("more than {MOST_ENTRIES} constraints"));
    }
    all.push(constraint);
    Ok(())
}
