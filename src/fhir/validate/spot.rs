//! An element of an instance: its value together with its type.

use serde_json::Value;

use crate::r4::table::{Block, Content, Element, Primitive, table};

/// A value, what stands beside it (`_name`, for primitives), and what the tables say it is.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'a> {
    pub value: Option<&'a Value>,
    pub extra: Option<&'a Value>,
    pub content: Content,
    /// A data type, a resource type, or the path of a nested element.
    pub type_name: &'a str,
}

impl<'a> Spot<'a> {
    /// A whole resource; `None` when its type is none of R4.
    #[must_use]
    pub fn resource(value: &'a Value) -> Option<Self> {
        let name = value.get("resourceType")?.as_str()?;
        let id = table().resource(name)?;
        Some(Self {
            value: Some(value),
            extra: None,
            content: Content::Block(id),
            type_name: table().block(id).name,
        })
    }

    fn of(element: &'a Element, value: Option<&'a Value>, extra: Option<&'a Value>) -> Self {
        if element.content == Content::Resource
            && let Some(resource) = value.and_then(Self::resource)
        {
            return resource;
        }
        Self {
            value,
            extra,
            content: element.content,
            type_name: element.type_name,
        }
    }

    #[must_use]
    pub fn block(&self) -> Option<&'static Block> {
        match self.content {
            Content::Block(id) => Some(table().block(id)),
            Content::Primitive(_) | Content::Xhtml => {
                table().find("Element").map(|id| table().block(id))
            }
            Content::Resource => None,
        }
    }

    #[must_use]
    pub fn primitive(&self) -> Option<Primitive> {
        match self.content {
            Content::Primitive(primitive) => Some(primitive),
            _ => None,
        }
    }

    /// The text of a primitive; numbers as they are written.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        self.value?.as_str()
    }

    /// The object that holds the children.
    fn members(&self) -> Option<&'a serde_json::Map<String, Value>> {
        match self.content {
            Content::Primitive(_) | Content::Xhtml => self.extra?.as_object(),
            _ => self.value?.as_object(),
        }
    }

    /// All children in the order in which they are written.
    pub fn children(&self) -> Vec<Self> {
        let (Some(members), Some(block)) = (self.members(), self.block()) else {
            return Vec::new();
        };
        let mut children = Vec::with_capacity(members.len());
        for (name, value) in members {
            let plain = name.strip_prefix('_').unwrap_or(name);
            let Some(element) = block.element(plain) else {
                continue;
            };
            if plain.len() == name.len() {
                let extra = beside(members, element, name);
                push(element, Some(value), extra, &mut children);
            } else if !members.contains_key(plain) {
                push(element, None, Some(value), &mut children);
            }
        }
        children
    }

    /// The children with this name; `value` also finds `valueString`.
    pub fn named(&self, name: &str, found: &mut Vec<Self>) {
        let (Some(members), Some(block)) = (self.members(), self.block()) else {
            return;
        };
        if let Some(element) = block.element(name) {
            let (value, extra) = (members.get(name), beside(members, element, name));
            if value.is_some() || extra.is_some() {
                push(element, value, extra, found);
            }
            return;
        }
        for (key, value) in members {
            let plain = key.strip_prefix('_').unwrap_or(key);
            if !plain.starts_with(name) {
                continue;
            }
            let Some(element) = block.element(plain) else {
                continue;
            };
            if element.defined_name.strip_suffix("[x]") != Some(name) {
                continue;
            }
            if plain.len() == key.len() {
                push(element, Some(value), beside(members, element, key), found);
            } else if !members.contains_key(plain) {
                push(element, None, Some(value), found);
            }
        }
    }
}

/// The `_name` of a primitive.
pub fn beside<'a>(
    members: &'a serde_json::Map<String, Value>,
    element: &Element,
    name: &str,
) -> Option<&'a Value> {
    if !matches!(element.content, Content::Primitive(_)) || element.is_attribute {
        return None;
    }
    // Most objects have none: do not build a name for them.
    members
        .keys()
        .any(|key| key.starts_with('_'))
        .then(|| members.get(&format!("_{name}")))?
}

/// Adds each item of a list, or the only one.
pub fn push<'a>(
    element: &'a Element,
    value: Option<&'a Value>,
    extra: Option<&'a Value>,
    found: &mut Vec<Spot<'a>>,
) {
    let present = |value: Option<&'a Value>| value.filter(|value| !value.is_null());
    if !element.is_list {
        found.push(Spot::of(element, present(value), present(extra)));
        return;
    }
    let items = |value: Option<&'a Value>| {
        value
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice)
    };
    let (values, extras) = (items(value), items(extra));
    for index in 0..values.len().max(extras.len()) {
        found.push(Spot::of(
            element,
            present(values.get(index)),
            present(extras.get(index)),
        ));
    }
}

/// The number of values in a document.
#[must_use]
pub fn size(value: &Value) -> u64 {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(members) => members.values().map(size).sum::<u64>(),
        _ => 0,
    }
}
