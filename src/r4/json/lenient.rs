//! What a server lets pass (`spec/fhir-api.md` §2.6): unknown elements, nulls and empty elements
//! are left out of a document, and said so, before it is read strictly.

use serde_json::{Map, Value};

use crate::r4::table::{Block, Content, Element, Table, table};

/// The document without what cannot be kept, and the paths of what was left out. `None` when
/// nothing was, or when this is no JSON object of a known resource type.
pub(super) fn pruned(document: &[u8]) -> Option<(Vec<u8>, Vec<String>)> {
    let Value::Object(mut members) = serde_json::from_slice(document).ok()? else {
        return None;
    };
    let mut pruner = Pruner {
        table: table(),
        left_out: Vec::new(),
    };
    pruner.resource(&mut members, "");
    if pruner.left_out.is_empty() {
        return None;
    }
    Some((serde_json::to_vec(&members).ok()?, pruner.left_out))
}

struct Pruner {
    table: &'static Table,
    left_out: Vec<String>,
}

impl Pruner {
    /// A resource of a type that is not known stays as it is: the strict reader refuses it.
    fn resource(&mut self, members: &mut Map<String, Value>, path: &str) {
        let name = members
            .get("resourceType")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let path = if path.is_empty() {
            name.to_owned()
        } else {
            path.to_owned()
        };
        let Some(block) = self.table.resource(name).map(|id| self.table.block(id)) else {
            return;
        };
        let type_name = members.shift_remove("resourceType");
        self.object(block, members, &path);
        if let Some(type_name) = type_name {
            members.shift_insert(0, "resourceType".to_owned(), type_name);
        }
    }

    fn object(&mut self, block: &'static Block, members: &mut Map<String, Value>, path: &str) {
        let names: Vec<String> = members.keys().cloned().collect();
        for name in names {
            let path = format!("{path}.{name}");
            let plain = name.strip_prefix('_').unwrap_or(&name);
            let kept = match (block.element(plain), members.get_mut(&name)) {
                (Some(element), Some(value)) => {
                    let is_extra = plain.len() < name.len();
                    self.value(element, is_extra, value, &path);
                    !is_empty(value)
                }
                _ => false,
            };
            if !kept {
                members.shift_remove(&name);
                self.left_out.push(path);
            }
        }
    }

    fn value(&mut self, element: &Element, is_extra: bool, value: &mut Value, path: &str) {
        match value {
            // In lists of primitives nulls keep the places of values and their extensions together.
            Value::Array(items) => {
                for item in items.iter_mut() {
                    self.value(element, is_extra, item, path);
                }
                if !matches!(element.content, Content::Primitive(_)) {
                    items.retain(|item| !is_empty(item));
                }
            }
            Value::Object(members) if is_extra => {
                if let Some(block) = self.table.find("Element").map(|id| self.table.block(id)) {
                    self.object(block, members, path);
                }
            }
            Value::Object(members) => match element.content {
                Content::Block(id) => self.object(self.table.block(id), members, path),
                Content::Resource => self.resource(members, path),
                Content::Primitive(_) | Content::Xhtml => {}
            },
            _ => {}
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}
