//! FHIR XML: the same resources as in JSON, with the same strictness.
//!
//! No document type, no entities but the five of XML, no name prefixes. Elements may come in any
//! order, and comments anywhere; both are gone in what is written.

mod read;
mod write;

use super::Resource;
use super::failure::ParseError;

const NAMESPACE: &str = "http://hl7.org/fhir";

/// Reads one resource of any R4 type.
pub fn parse(document: &[u8]) -> Result<Resource, ParseError> {
    read::resource(document).map_err(|failure| failure.locate(document))
}

/// The XML of a resource, elements in the order of the definitions, without XML declaration.
///
/// Members that R4 does not define are left out; a parsed resource has none.
#[must_use]
pub fn write(resource: &Resource, pretty: bool) -> Vec<u8> {
    write::resource(resource, pretty)
}
