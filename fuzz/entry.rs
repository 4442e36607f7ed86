//! What is fuzzed: any bytes may be refused, none may panic; what is accepted survives being
//! written and read again. Used by the targets of cargo-fuzz and by `tests/fuzz.rs`.

#![allow(dead_code, reason = "each target uses one of them")]

use dsf::fhir::search::{Criteria, Handling, parse};
use dsf::r4::{Resource, ResourceType, json, xml};

/// A body of JSON, as a server reads it.
pub fn json(bytes: &[u8]) {
    let _ = json::parse(bytes);
    if let Ok((resource, _)) = json::parse_leniently(bytes) {
        survives(&resource);
    }
}

/// A body of XML, as a server reads it.
pub fn xml(bytes: &[u8]) {
    let _ = xml::parse(bytes);
    if let Ok((resource, _)) = xml::parse_leniently(bytes) {
        survives(&resource);
    }
}

/// In both formats and pretty, too.
fn survives(resource: &Resource) {
    let written = json::write(resource, false);
    let again = |text: &[u8], read: Result<(Resource, Vec<String>), dsf::r4::ParseError>| {
        let (read, _) = read.unwrap_or_else(|error| {
            panic!("{error} in our own\n{}", String::from_utf8_lossy(text))
        });
        let found = json::write(&read, false);
        assert_eq!(
            String::from_utf8_lossy(&found),
            String::from_utf8_lossy(&written),
            "after\n{}",
            String::from_utf8_lossy(text)
        );
    };
    for pretty in [false, true] {
        let text = json::write(resource, pretty);
        again(&text, json::parse_leniently(&text));
        let text = xml::write(resource, pretty);
        again(&text, xml::parse_leniently(&text));
    }
}

/// `Type?query`, as of a search and as the criteria of a Subscription.
pub fn search(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = Criteria::parse(&text);
    let (name, query) = text.split_once('?').unwrap_or(("Task", &text));
    let kind = ResourceType::from_name(name).unwrap_or(ResourceType::Task);
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    for handling in [Handling::Strict, Handling::Lenient] {
        let _ = parse(kind, &pairs, 20, handling);
    }
}
