//! Recorded answer against ours, strictly but for what has to differ.

use std::collections::BTreeSet;

use dsf::net::http::Url;
use dsf::net::websocket::Event;
use serde_json::Value;

use super::super::harness::World;
use super::super::harness::client::Answer;
use super::renaming::Renaming;

/// Headers that tell clients something; each must be there if and only if it was recorded.
const HEADERS: [&str; 9] = [
    "allow",
    "cache-control",
    "content-encoding",
    "content-type",
    "etag",
    "last-modified",
    "location",
    "retry-after",
    "vary",
];
/// Elements that hold the time of the server.
const TIMES: [&str; 3] = ["lastUpdated", "timestamp", "lastModified"];
/// Types whose versions count the loads of the allow list.
const LOADED: [&str; 2] = ["Organization", "Endpoint"];

pub struct Comparison {
    pub renaming: Renaming,
    pub differences: Vec<String>,
    place: String,
}

impl Comparison {
    pub fn between(world: &World) -> Self {
        Self {
            renaming: Renaming::of(world),
            differences: Vec::new(),
            place: String::new(),
        }
    }

    /// Names the exchange that is compared next.
    pub fn at(&mut self, place: &str) {
        place.clone_into(&mut self.place);
    }

    fn differ(
        &mut self,
        what: &str,
        recorded: impl std::fmt::Display,
        ours: impl std::fmt::Display,
    ) {
        self.differences.push(format!(
            "{} {what}:\n    recorded {recorded}\n    ours     {ours}",
            self.place
        ));
    }

    pub fn status(&mut self, recorded: u64, answer: &Answer) {
        if recorded != u64::from(answer.status) {
            self.differ("status", recorded, answer);
        }
    }

    pub fn headers(&mut self, recorded: &[(&str, &str)], answer: &Answer) {
        for name in HEADERS {
            let known = recorded
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name));
            let (known, ours) = (known.map(|(_, value)| *value), answer.header(name));
            let equal = match (known, ours) {
                (Some(known), Some(ours)) if name == "last-modified" => shape(known) == shape(ours),
                (Some(known), Some(ours)) => self.renaming.are_equal(known, ours),
                (known, ours) => known == ours,
            };
            if !equal {
                self.differ(name, format!("{known:?}"), format!("{ours:?}"));
            }
        }
    }

    pub fn no_body(&mut self, answer: &Answer) {
        if !answer.body.is_empty() {
            self.differ("body", "none", answer);
        }
    }

    pub fn no_json(&mut self, answer: &Answer) {
        self.differ("body", "JSON", answer);
    }

    pub fn no_frame(&mut self, recorded: &Value, ours: &Event) {
        self.differ("frame", recorded, format!("{ours:?}"));
    }

    pub fn body(&mut self, recorded: &Value, ours: &Value) {
        let name = recorded["resourceType"].as_str().unwrap_or("text");
        self.values(name, recorded, ours);
    }

    fn values(&mut self, path: &str, recorded: &Value, ours: &Value) {
        let element = path.rsplit('.').next().unwrap_or(path);
        match (recorded, ours) {
            (Value::Object(_), Value::Object(_)) => self.objects(path, recorded, ours),
            (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
                for (index, (left, right)) in left.iter().zip(right).enumerate() {
                    self.values(&format!("{path}[{index}]"), left, right);
                }
            }
            (Value::String(left), Value::String(right)) => {
                let equal = match element {
                    _ if TIMES.contains(&element) => shape(left) == shape(right),
                    "url" if path.contains("link[") => self.are_same_link(left, right),
                    _ => self.renaming.are_equal(left, right),
                };
                if !equal {
                    self.differ(path, left, right);
                }
            }
            _ if recorded == ours => {}
            _ => self.differ(path, recorded, ours),
        }
    }

    fn objects(&mut self, path: &str, recorded: &Value, ours: &Value) {
        let (mut recorded, mut ours) = (recorded.clone(), ours.clone());
        self.set_aside(path, &mut recorded, &mut ours);
        let names = |value: &Value| -> BTreeSet<String> {
            value
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect()
        };
        for name in names(&recorded).union(&names(&ours)) {
            let path = format!("{path}.{name}");
            match (recorded.get(name), ours.get(name)) {
                (Some(recorded), Some(ours)) => self.values(&path, recorded, ours),
                (Some(recorded), None) => self.differ(&path, recorded, "nothing"),
                (None, Some(ours)) => self.differ(&path, "nothing", ours),
                (None, None) => {}
            }
        }
    }

    /// Takes out of both sides what differs on purpose.
    fn set_aside(&mut self, path: &str, recorded: &mut Value, ours: &mut Value) {
        let kind = recorded["resourceType"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if let Some(trimmed) = recorded
            .as_object_mut()
            .and_then(|it| it.shift_remove("(trimmed)"))
        {
            for element in trimmed
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
            {
                if ours
                    .as_object_mut()
                    .and_then(|it| it.shift_remove(element))
                    .is_none()
                {
                    self.differ(&format!("{path}.{element}"), "something", "nothing");
                }
            }
        }
        if kind == "CapabilityStatement" {
            // When the server was started, and what it is.
            for element in ["date", "software"] {
                ours[element] = recorded[element].clone();
            }
        }
        if LOADED.contains(&kind.as_str()) {
            ours["meta"]["versionId"] = recorded["meta"]["versionId"].clone();
        }
        if recorded["reason"] == "Businness Process Engine" {
            recorded["reason"] = "Business Process Engine".into();
        }
        if recorded["type"] == "searchset" {
            sort_entries(recorded);
            sort_entries(ours);
        }
    }

    fn are_same_link(&mut self, recorded: &str, ours: &str) -> bool {
        let recorded = self.renaming.to_ours(recorded);
        let (Ok(left), Ok(right)) = (Url::parse(&recorded), Url::parse(ours)) else {
            return false;
        };
        let query = |url: &Url| {
            let mut pairs: Vec<_> = url.query_pairs().into_owned().collect();
            pairs.sort();
            pairs
        };
        query(&left) == query(&right)
            && left.path() == right.path()
            && left.origin() == right.origin()
    }
}

/// By what names a resource for people, which is the same in both worlds.
fn sort_entries(bundle: &mut Value) {
    let key = |entry: &Value| {
        let resource = &entry["resource"];
        let name = [
            &resource["identifier"][0]["value"],
            &resource["url"],
            &resource["criteria"],
        ];
        format!("{} {name:?}", entry["search"]["mode"])
    };
    if let Some(entries) = bundle["entry"].as_array_mut() {
        entries.sort_by_key(key);
    }
}

/// A time without its digits.
fn shape(time: &str) -> String {
    let mut shape = time.replace(|c: char| c.is_ascii_digit(), "9");
    // Names of days and months in headers.
    if shape.ends_with("GMT") {
        shape = shape.replace(|c: char| c.is_ascii_alphabetic(), "x");
    }
    shape
}
