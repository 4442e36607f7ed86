//! Bundles: the entries a client sends, and the ones a server answers with.

use serde_json::{Map, Value, json};

use super::{Node, Resource, json};

/// What a client asks for in one entry of a batch or transaction.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    pub full_url: Option<&'a str>,
    pub resource: Option<&'a Value>,
    /// `None` when the entry has no `request`.
    pub request: Option<Request<'a>>,
}

/// The `request` of an entry; absent parts are `None`, nothing is checked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: Option<&'a str>,
    pub url: Option<&'a str>,
    pub if_none_exist: Option<&'a str>,
    pub if_match: Option<&'a str>,
    pub if_none_match: Option<&'a str>,
    pub if_modified_since: Option<&'a str>,
}

/// The entries of a Bundle in their order.
pub fn entries(bundle: &Resource) -> impl Iterator<Item = Entry<'_>> {
    bundle.list("entry").map(|entry| Entry {
        full_url: entry.text("fullUrl"),
        resource: entry.member("resource"),
        request: entry.member("request").map(|request| Request {
            method: request.text("method"),
            url: request.text("url"),
            if_none_exist: request.text("ifNoneExist"),
            if_match: request.text("ifMatch"),
            if_none_match: request.text("ifNoneMatch"),
            if_modified_since: request.text("ifModifiedSince"),
        }),
    })
}

/// The resources in a Bundle, copied out; with them the search mode if there is one.
pub fn resources(bundle: &Resource) -> impl Iterator<Item = (Resource, Option<&str>)> {
    bundle.list("entry").filter_map(|entry| {
        let resource = Resource::from_value(entry.member("resource")?.clone())?;
        Some((
            resource,
            entry
                .member("search")
                .and_then(|search| search.text("mode")),
        ))
    })
}

/// The URL of the link with this relation.
#[must_use]
pub fn link<'a>(bundle: &'a Resource, relation: &str) -> Option<&'a str> {
    bundle
        .list("link")
        .find(|link| link.text("relation") == Some(relation))?
        .text("url")
}

/// Why an entry is in a search result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Match,
    Include,
    Outcome,
}

impl Mode {
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Include => "include",
            Self::Outcome => "outcome",
        }
    }
}

/// The answer of a server to one entry.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// For example `201 Created`.
    pub status: String,
    pub location: Option<String>,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub outcome: Option<Resource>,
}

/// An entry of a search result whose resource is JSON already.
#[derive(Debug)]
pub struct Written<'a> {
    pub full_url: String,
    pub resource: &'a [u8],
    pub mode: Mode,
}

impl Written<'_> {
    fn write(self, json: &mut Vec<u8>) {
        let url = Value::String(self.full_url).to_string();
        for part in [
            b"{\"fullUrl\":",
            url.as_bytes(),
            b",\"resource\":",
            self.resource,
            b",\"search\":{\"mode\":\"",
            self.mode.code().as_bytes(),
            b"\"}}",
        ] {
            json.extend_from_slice(part);
        }
    }
}

/// A Bundle under construction.
#[derive(Clone, Debug)]
pub struct Builder {
    kind: &'static str,
    timestamp: Option<String>,
    total: Option<u64>,
    links: Vec<Value>,
    entries: Vec<Value>,
}

impl Builder {
    /// `kind` is a code of `Bundle.type`: `searchset`, `history`, `transaction-response` …
    #[must_use]
    pub fn new(kind: &'static str) -> Self {
        Self {
            kind,
            timestamp: None,
            total: None,
            links: Vec::new(),
            entries: Vec::new(),
        }
    }

    #[must_use]
    pub fn timestamp(mut self, instant: String) -> Self {
        self.timestamp = Some(instant);
        self
    }

    #[must_use]
    pub fn total(mut self, total: u64) -> Self {
        self.total = Some(total);
        self
    }

    pub fn link(&mut self, relation: &str, url: &str) {
        self.links.push(json!({ "relation": relation, "url": url }));
    }

    /// An entry of a search result.
    pub fn found(&mut self, full_url: Option<&str>, resource: Resource, mode: Mode) {
        let mut entry = entry(full_url, Some(resource));
        entry.insert("search".to_owned(), json!({ "mode": mode.code() }));
        self.entries.push(Value::Object(entry));
    }

    /// An entry to be processed by the receiver.
    pub fn request(&mut self, full_url: Option<&str>, resource: Option<Resource>, request: Value) {
        let mut entry = entry(full_url, resource);
        entry.insert("request".to_owned(), request);
        self.entries.push(Value::Object(entry));
    }

    /// The answer to an entry.
    pub fn response(
        &mut self,
        full_url: Option<&str>,
        resource: Option<Resource>,
        answer: Response,
    ) {
        let mut entry = entry(full_url, resource);
        entry.insert("response".to_owned(), answer.into_element());
        self.entries.push(Value::Object(entry));
    }

    /// An entry of a history: what was asked for, and how it was answered.
    pub fn version(
        &mut self,
        full_url: &str,
        resource: Option<Resource>,
        request: Value,
        answer: Response,
    ) {
        let mut entry = entry(Some(full_url), resource);
        entry.insert("request".to_owned(), request);
        entry.insert("response".to_owned(), answer.into_element());
        self.entries.push(Value::Object(entry));
    }

    /// The whole as compact JSON, with these entries before those that were added.
    #[must_use]
    pub fn write<'a>(mut self, found: impl Iterator<Item = Written<'a>>) -> Vec<u8> {
        let added = std::mem::take(&mut self.entries);
        let mut json = json::write(&self.build(), false);
        json.pop();
        let mut before = ",\"entry\":[";
        for entry in found {
            json.extend_from_slice(before.as_bytes());
            entry.write(&mut json);
            before = ",";
        }
        for entry in added {
            json.extend_from_slice(before.as_bytes());
            json.extend_from_slice(entry.to_string().as_bytes());
            before = ",";
        }
        json.extend_from_slice(if before == "," { b"]}" } else { b"}" });
        json
    }

    #[must_use]
    pub fn build(self) -> Resource {
        let mut bundle = Resource::of_type("Bundle").with("type", self.kind);
        let members = bundle.members_mut();
        if let Some(timestamp) = self.timestamp {
            members.insert("timestamp".to_owned(), Value::String(timestamp));
        }
        if let Some(total) = self.total {
            members.insert("total".to_owned(), json!(total));
        }
        for (name, list) in [("link", self.links), ("entry", self.entries)] {
            if !list.is_empty() {
                members.insert(name.to_owned(), Value::Array(list));
            }
        }
        bundle
    }
}

fn entry(full_url: Option<&str>, resource: Option<Resource>) -> Map<String, Value> {
    let mut entry = Map::new();
    if let Some(url) = full_url {
        entry.insert("fullUrl".to_owned(), Value::String(url.to_owned()));
    }
    if let Some(resource) = resource {
        entry.insert("resource".to_owned(), resource.into_value());
    }
    entry
}

impl Response {
    #[must_use]
    pub fn of_status(status: impl Into<String>) -> Self {
        Self {
            status: status.into(),
            ..Self::default()
        }
    }

    fn into_element(self) -> Value {
        let mut response = Map::new();
        response.insert("status".to_owned(), Value::String(self.status));
        let texts = [
            ("location", self.location),
            ("etag", self.etag),
            ("lastModified", self.last_modified),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                response.insert(name.to_owned(), Value::String(text));
            }
        }
        if let Some(outcome) = self.outcome {
            response.insert("outcome".to_owned(), outcome.into_value());
        }
        Value::Object(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However it is written, it is the same.
    #[test]
    fn entries_that_are_json_already_are_written_like_others() {
        let url = |number: usize| format!("https://a.test/fhir/Task/\"{number}\"");
        let task = |number: usize| Resource::of_type("Task").with("id", number.to_string());
        let warning = || Resource::of_type("OperationOutcome");
        for (found, warned) in [(0, false), (1, false), (3, true), (0, true)] {
            let empty = || {
                Builder::new("searchset")
                    .timestamp("now".to_owned())
                    .total(3)
            };
            let (mut whole, mut frame) = (empty(), empty());
            for number in 0..found {
                whole.found(Some(&url(number)), task(number), Mode::Match);
            }
            if warned {
                whole.found(None, warning(), Mode::Outcome);
                frame.found(None, warning(), Mode::Outcome);
            }
            let written: Vec<Vec<u8>> = (0..found)
                .map(|number| json::write(&task(number), false))
                .collect();
            let entries = written
                .iter()
                .enumerate()
                .map(|(number, resource)| Written {
                    full_url: url(number),
                    resource,
                    mode: Mode::Match,
                });
            let text = |json: Vec<u8>| String::from_utf8(json).expect("text");
            assert_eq!(
                text(frame.write(entries)),
                text(json::write(&whole.build(), false))
            );
        }
    }
}
