//! Reading a JSON object as a FHIR element, whether it is a whole resource or a part of one.

use serde_json::{Map, Value};

use super::Resource;

/// An element with named children. Every method treats a child of the wrong shape as absent.
pub trait Node {
    fn member(&self, name: &str) -> Option<&Value>;

    /// A primitive child that is a string in JSON.
    fn text(&self, name: &str) -> Option<&str> {
        self.member(name)?.as_str()
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.member(name)?.as_bool()
    }

    /// The entries of a list child; none when it is absent.
    fn items(&self, name: &str) -> impl DoubleEndedIterator<Item = &Value> + Clone {
        self.member(name)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
    }

    /// The strings of a list child.
    fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.items(name).filter_map(Value::as_str)
    }

    /// The extensions with this URL.
    fn extensions(&self, url: &str) -> impl Iterator<Item = &Value> {
        self.items("extension")
            .filter(move |extension| extension.text("url") == Some(url))
    }

    /// The only extension with this URL; `None` when there are none or several.
    fn only_extension(&self, url: &str) -> Option<&Value> {
        let mut found = self.extensions(url);
        found.next().filter(|_| found.next().is_none())
    }
}

impl Node for Map<String, Value> {
    fn member(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }
}

impl Node for Value {
    fn member(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }
}

impl Node for Resource {
    fn member(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }
}
