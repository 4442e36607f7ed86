//! FHIR XML: the same resources as in JSON, with the same strictness.
//!
//! No document type, no entities but the five of XML, no name prefixes. Elements may come in any
//! order, and comments anywhere; both are gone in what is written. A server reads leniently.

mod read;
mod write;

use super::Resource;
use super::failure::{ParseError, Reading};

const NAMESPACE: &str = "http://hl7.org/fhir";

/// Reads one resource of any R4 type.
pub fn parse(document: &[u8]) -> Result<Resource, ParseError> {
    let read = read::resource(document, Reading::Strict);
    read.map(|(resource, _)| resource)
        .map_err(|failure| failure.locate(document))
}

/// As [`parse`], but what a server lets pass is left out instead of refused: unknown elements and
/// attributes, empty values, text between elements, a second element where one is expected, a
/// document type. Names may have a prefix. With the resource come the names of what was left out.
pub fn parse_leniently(document: &[u8]) -> Result<(Resource, Vec<String>), ParseError> {
    read::resource(document, Reading::Strict)
        .or_else(|_| read::resource(document, Reading::Lenient))
        .map_err(|failure| failure.locate(document))
}

/// The XML of a resource, elements in the order of the definitions, without XML declaration.
///
/// Members that R4 does not define are left out; a parsed resource has none.
#[must_use]
pub fn write(resource: &Resource, pretty: bool) -> Vec<u8> {
    write::resource(resource, pretty)
}
