//! FHIR JSON: read strictly against the element table, written as it stands.
//!
//! Reading is one pass over the bytes that builds the tree while it checks: names, lists,
//! primitive forms, repeated names. Members come out in the order of the definitions.

mod lenient;
mod read;
mod scan;

use std::borrow::Cow;

use super::Resource;
use super::failure::{ParseError, Reading};

/// Reads one resource of any R4 type.
pub fn parse(document: &[u8]) -> Result<Resource, ParseError> {
    read::resource(document, Reading::Strict).map_err(|failure| failure.locate(document))
}

/// As [`parse`], but what a server lets pass is left out instead of refused: unknown elements,
/// nulls, empty strings, lists and objects. Ids of resources may be of any form. With the resource come the paths of what was left out.
pub fn parse_leniently(document: &[u8]) -> Result<(Resource, Vec<String>), ParseError> {
    if let Ok(resource) = parse(document) {
        return Ok((resource, Vec::new()));
    }
    let (kept, left_out) = match lenient::pruned(document) {
        Some((pruned, left_out)) => (Cow::Owned(pruned), left_out),
        None => (Cow::Borrowed(document), Vec::new()),
    };
    let read = read::resource(&kept, Reading::Lenient);
    let resource = read.map_err(|failure| failure.locate(&kept))?;
    Ok((resource, left_out))
}

/// The JSON of a resource, pretty with two blanks a level or compact.
#[must_use]
pub fn write(resource: &Resource, pretty: bool) -> Vec<u8> {
    let members = resource.members();
    let written = if pretty {
        serde_json::to_vec_pretty(members)
    } else {
        serde_json::to_vec(members)
    };
    // Maps with string keys and plain values always serialise.
    written.unwrap_or_default()
}
