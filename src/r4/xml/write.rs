//! Writes the tree of a resource as XML.

use serde_json::{Map, Value};

use super::NAMESPACE;
use crate::r4::Resource;
use crate::r4::table::{Block, Content, Element, Table, table};

pub(super) fn resource(resource: &Resource, pretty: bool) -> Vec<u8> {
    let mut writer = Writer {
        out: String::with_capacity(1024),
        table: table(),
        pretty,
        depth: 0,
    };
    writer.resource(resource.members(), true);
    if pretty {
        writer.out.push('\n');
    }
    writer.out.into_bytes()
}

struct Writer {
    out: String,
    table: &'static Table,
    pretty: bool,
    depth: usize,
}

impl Writer {
    fn resource(&mut self, members: &Map<String, Value>, is_root: bool) {
        let name = members
            .get("resourceType")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some(id) = self.table.resource(name) else {
            return;
        };
        self.open(name);
        if is_root {
            self.attribute("xmlns", NAMESPACE);
        }
        self.object(name, self.table.block(id), members);
    }

    /// The attributes, children and end of an element whose start tag is open.
    fn object(&mut self, name: &str, block: &Block, members: &Map<String, Value>) {
        let mut present: Vec<_> = members
            .keys()
            .filter_map(|name| block.index_of(name.strip_prefix('_').unwrap_or(name)))
            .collect();
        present.sort_unstable();
        present.dedup();
        let elements = || present.iter().map(|index| &block.elements()[*index]);
        for element in elements().filter(|element| element.is_attribute) {
            if let Some(value) = members.get(element.name.as_ref()) {
                self.attribute(&element.name, &plain(value));
            }
        }
        let mut children = elements()
            .filter(|element| !element.is_attribute)
            .peekable();
        if children.peek().is_none() {
            self.out.push_str("/>");
            return;
        }
        self.out.push('>');
        self.depth += 1;
        for element in children {
            let value = members.get(element.name.as_ref());
            let extra = members.get(&format!("_{}", element.name));
            self.element(element, value, extra);
        }
        self.depth -= 1;
        self.close(name);
    }

    fn element(&mut self, element: &Element, value: Option<&Value>, extra: Option<&Value>) {
        let list = |value: Option<&Value>| value.and_then(Value::as_array).map(Vec::len);
        match list(value).max(list(extra)) {
            Some(count) => {
                for index in 0..count {
                    let value = value.and_then(|list| list.get(index));
                    let extra = extra.and_then(|list| list.get(index));
                    self.item(element, value, extra);
                }
            }
            None => self.item(element, value, extra),
        }
    }

    fn item(&mut self, element: &Element, value: Option<&Value>, extra: Option<&Value>) {
        let name = element.name.as_ref();
        match (element.content, value) {
            (Content::Primitive(_), _) => self.primitive(name, value, extra),
            (Content::Block(id), Some(Value::Object(members))) => {
                self.open(name);
                self.object(name, self.table.block(id), members);
            }
            (Content::Resource, Some(Value::Object(members))) => {
                self.open(name);
                self.out.push('>');
                self.depth += 1;
                self.resource(members, false);
                self.depth -= 1;
                self.close(name);
            }
            (Content::Xhtml, Some(Value::String(div))) => {
                self.line();
                self.out.push_str(div);
            }
            _ => {}
        }
    }

    fn primitive(&mut self, name: &str, value: Option<&Value>, extra: Option<&Value>) {
        self.open(name);
        if let Some(id) = extra
            .and_then(|extra| extra.get("id"))
            .and_then(Value::as_str)
        {
            self.attribute("id", id);
        }
        if let Some(value) = value.filter(|value| !value.is_null()) {
            self.attribute("value", &plain(value));
        }
        let extensions = extra
            .and_then(|extra| extra.get("extension"))
            .and_then(Value::as_array);
        let (Some(extensions), Some(block)) = (extensions, self.table.find("Extension")) else {
            self.out.push_str("/>");
            return;
        };
        self.out.push('>');
        self.depth += 1;
        for extension in extensions.iter().filter_map(Value::as_object) {
            self.open("extension");
            self.object("extension", self.table.block(block), extension);
        }
        self.depth -= 1;
        self.close(name);
    }

    fn line(&mut self) {
        if self.pretty && !self.out.is_empty() {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", self.depth));
        }
    }

    fn open(&mut self, name: &str) {
        self.line();
        self.out.push('<');
        self.out.push_str(name);
    }

    fn close(&mut self, name: &str) {
        self.line();
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("=\"");
        for character in value.chars() {
            match character {
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '&' => self.out.push_str("&amp;"),
                '"' => self.out.push_str("&quot;"),
                // Readers turn these into blanks unless they are references.
                '\t' => self.out.push_str("&#x9;"),
                '\n' => self.out.push_str("&#xA;"),
                '\r' => self.out.push_str("&#xD;"),
                other => self.out.push(other),
            }
        }
        self.out.push('"');
    }
}

/// A primitive value as text.
fn plain(value: &Value) -> std::borrow::Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}
