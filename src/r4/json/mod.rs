//! FHIR JSON: read strictly against the element table, written as it stands.
//!
//! Reading is one pass over the bytes that builds the tree while it checks: names, lists,
//! primitive forms, repeated names. Members come out in the order of the definitions.

mod read;
mod scan;

use super::Resource;
use super::failure::ParseError;

/// Reads one resource of any R4 type.
pub fn parse(document: &[u8]) -> Result<Resource, ParseError> {
    read::resource(document).map_err(|failure| failure.locate(document))
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
