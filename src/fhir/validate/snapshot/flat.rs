//! A tree as the list of elements that FHIR writes.

use serde_json::{Value, json};

use super::tree::{Node, Tree};
use crate::fhir::validate::definition::Element;
use crate::r4::table::table;

/// The elements in order, with path, id and slice name.
#[must_use]
pub fn elements(tree: &Tree) -> Vec<Element> {
    let mut list = Vec::with_capacity(tree.size);
    add(&tree.root, &tree.type_name, &tree.type_name, &mut list);
    list
}

fn add(node: &Node, path: &str, id: &str, list: &mut Vec<Element>) {
    let mut element = Element::new();
    element.insert("id".to_owned(), json!(id));
    element.insert("path".to_owned(), json!(path));
    if let Some(slice) = &node.slice {
        element.insert("sliceName".to_owned(), json!(slice));
    }
    element.extend(node.element.clone());
    list.push(in_order(element));
    for child in &node.children {
        let path = format!("{path}.{}", child.name);
        let id = format!("{id}.{}", child.name);
        add(child, &path, &id, list);
        add_slices(child, &path, &id, list);
    }
}

fn add_slices(node: &Node, path: &str, id: &str, list: &mut Vec<Element>) {
    for slice in &node.slices {
        let name = slice.slice.as_deref().unwrap_or_default();
        add(slice, path, &format!("{id}:{name}"), list);
        add_slices(slice, path, id, list);
    }
}

/// The members as the definition of ElementDefinition orders them.
fn in_order(element: Element) -> Element {
    let table = table();
    let Some(block) = table.find("ElementDefinition").map(|id| table.block(id)) else {
        return element;
    };
    let mut members: Vec<(String, Value)> = element.into_iter().collect();
    members.sort_by_key(|(name, _)| block.index_of(name.trim_start_matches('_')));
    members.into_iter().collect()
}
