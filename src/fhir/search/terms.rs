//! What a resource is found by, computed from its document.

use serde_json::{Value, json};

use crate::r4::{Resource, ResourceType};
use crate::store::fhir::search::IndexTerms;

use super::date::Span;
use super::gram::grams;
use super::registry::{self, Kind, Parameter};
use super::term::{folded, term, whole};

/// Counts the changes of what [`terms()`] answers for a resource. What is stored is brought up to date
/// at the next start.
pub const RULES: i32 = 2;

/// The terms of a resource as it is stored: with id, meta and resolved literal references.
/// A type that is not stored has none.
#[must_use]
pub fn terms(resource: &Resource) -> IndexTerms {
    let mut found = IndexTerms::default();
    let Some(kind) = resource.resource_type() else {
        return found;
    };
    for parameter in registry::GLOBAL.iter().chain(registry::parameters(kind)) {
        let mut entry = Entry {
            kind,
            parameter,
            tokens: &mut found.tokens,
            values: Vec::new(),
        };
        for (index, element) in elements(resource, parameter) {
            entry.add(element, index);
        }
        let values = entry.values;
        if !values.is_empty() {
            found
                .values
                .insert(parameter.name.to_owned(), Value::Array(values));
        }
    }
    found.tokens.sort();
    found.tokens.dedup();
    found
}

/// The elements of a parameter, each with the number of its path.
pub(super) fn elements<'a>(
    resource: &'a Resource,
    parameter: &Parameter,
) -> Vec<(usize, &'a Value)> {
    let mut found = Vec::new();
    for (index, path) in parameter.paths.iter().enumerate() {
        let (head, rest) = path
            .split_once('.')
            .map_or((*path, None), |(h, r)| (h, Some(r)));
        let mut reached = Vec::new();
        let (name, only) = selector(head);
        if let Some(value) = resource.get(name) {
            enter(value, only, rest, &mut reached);
        }
        found.extend(reached.into_iter().map(|value| (index, value)));
    }
    found
}

/// `name(member=code)` into its parts.
fn selector(segment: &str) -> (&str, Option<(&str, &str)>) {
    let Some((name, only)) = segment.split_once('(') else {
        return (segment, None);
    };
    (name, only.trim_end_matches(')').split_once('='))
}

fn enter<'a>(
    value: &'a Value,
    only: Option<(&str, &str)>,
    rest: Option<&str>,
    found: &mut Vec<&'a Value>,
) {
    if let Value::Array(items) = value {
        for item in items {
            enter(item, only, rest, found);
        }
        return;
    }
    if only.is_some_and(|(member, code)| value.get(member).and_then(Value::as_str) != Some(code)) {
        return;
    }
    let Some(rest) = rest else {
        found.push(value);
        return;
    };
    let (head, rest) = rest
        .split_once('.')
        .map_or((rest, None), |(h, r)| (h, Some(r)));
    let (name, only) = selector(head);
    if let Some(value) = value.get(name) {
        enter(value, only, rest, found);
    }
}

/// The terms of one parameter in the making.
struct Entry<'a> {
    kind: ResourceType,
    parameter: &'a Parameter,
    tokens: &'a mut Vec<String>,
    values: Vec<Value>,
}

impl Entry<'_> {
    fn add(&mut self, element: &Value, path: usize) {
        match self.parameter.kind {
            Kind::Id | Kind::LastUpdated => {}
            Kind::Date => self.date(element),
            Kind::Identifier { .. } => {
                self.token(member(element, "system"), member(element, "value"));
            }
            Kind::Concept => self.concept(element),
            Kind::Boolean => {
                if let Some(value) = element.as_bool() {
                    self.exact(if value { "true" } else { "false" });
                }
            }
            Kind::Text => self.text(element, path),
            Kind::Reference(targets) => self.reference(element, targets.len() > 1),
            Kind::Canonical { .. }
            | Kind::Profile
            | Kind::Enumerated { .. }
            | Kind::Plain
            | Kind::Version
            | Kind::Uri { .. } => {
                if let Some(value) = element.as_str() {
                    self.exact(value);
                }
            }
        }
    }

    fn exact(&mut self, value: &str) {
        self.tokens
            .push(whole(self.kind, self.parameter.name, value));
        self.value(value);
    }

    fn value(&mut self, text: &str) {
        // PostgreSQL's jsonb cannot hold NUL.
        self.values.push(Value::String(text.replace('\0', "")));
    }

    fn date(&mut self, element: &Value) {
        if let Some(span) = element.as_str().and_then(Span::parse) {
            self.values = vec![json!(span.first), json!(span.last)];
        }
    }

    fn concept(&mut self, element: &Value) {
        for coding in element
            .get("coding")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            self.token(member(coding, "system"), member(coding, "code"));
        }
    }

    fn token(&mut self, system: Option<&str>, code: Option<&str>) {
        self.forms(self.parameter.name, system, code);
        if system.is_some() || code.is_some() {
            let system = system.unwrap_or_default();
            self.value(&format!("{system}|{}", code.unwrap_or_default()));
        }
    }

    fn forms(&mut self, parameter: &str, system: Option<&str>, code: Option<&str>) {
        let kind = self.kind;
        if let Some(system) = system {
            self.tokens.push(term(kind, parameter, '^', system));
        }
        if let Some(code) = code {
            let system = system.unwrap_or_default();
            self.tokens.push(term(kind, parameter, '~', code));
            self.tokens
                .push(term(kind, parameter, '=', &format!("{system}|{code}")));
        }
    }

    /// Values are compared without case; the first one, by which a sort goes, is that of the first
    /// path even where only an alias is there.
    fn text(&mut self, element: &Value, path: usize) {
        let Some(text) = element.as_str() else { return };
        self.tokens
            .push(whole(self.kind, self.parameter.name, text));
        if path > 0 && self.values.is_empty() {
            self.values.push(Value::Null);
        }
        let folded = folded(text);
        self.tokens
            .extend(grams(self.kind, self.parameter.name, &folded));
        self.value(&folded);
    }

    /// A party of several types is also found by the identifier that stands in the reference.
    fn reference(&mut self, element: &Value, party: bool) {
        if let Some(reference) = member(element, "reference") {
            self.tokens
                .push(whole(self.kind, self.parameter.name, reference));
            if let Some((unversioned, _)) = reference.split_once("/_history/") {
                self.tokens
                    .push(whole(self.kind, self.parameter.name, unversioned));
            }
            self.value(reference);
        }
        if let Some(identifier) = element.get("identifier").filter(|_| party) {
            let parameter = format!("{}:identifier", self.parameter.name);
            self.forms(
                &parameter,
                member(identifier, "system"),
                member(identifier, "value"),
            );
        }
    }
}

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_is_found_by_status_identifier_requester_and_profile() {
        let task = Resource::from_value(json!({
            "resourceType": "Task",
            "meta": {"profile": ["http://example.org/p"]},
            "identifier": [{"system": "s", "value": "v"}, {"value": "w"}],
            "status": "requested",
            "requester": {"reference": "Organization/1", "identifier": {"system": "o", "value": "A"}},
            "authoredOn": "1970-01-01T00:00:01Z",
        }));
        let terms = terms(&task.expect("a resource"));
        let expected = [
            "Task:_profile=http://example.org/p",
            "Task:identifier=s|v",
            "Task:identifier=|w",
            "Task:identifier^s",
            "Task:identifier~v",
            "Task:identifier~w",
            "Task:requester:identifier=o|A",
            "Task:requester:identifier^o",
            "Task:requester:identifier~A",
            "Task:requester=Organization/1",
            "Task:status=requested",
        ];
        assert_eq!(terms.tokens, expected);
        let expected = json!({
            "_profile": ["http://example.org/p"],
            "authored-on": [1_000_000, 1_000_000],
            "identifier": ["s|v", "|w"],
            "requester": ["Organization/1"],
            "status": ["requested"],
        });
        assert_eq!(Value::Object(terms.values), expected);
    }

    #[test]
    fn a_measure_depends_on_libraries_and_related_artifacts_of_that_type() {
        let measure = Resource::from_value(json!({
            "resourceType": "Measure",
            "library": ["http://a"],
            "relatedArtifact": [
                {"type": "depends-on", "resource": "http://b"},
                {"type": "citation", "resource": "http://c"},
            ],
        }));
        let terms = terms(&measure.expect("a resource"));
        assert_eq!(
            terms.tokens,
            ["Measure:depends-on=http://a", "Measure:depends-on=http://b"]
        );
    }
}
