//! What the validator knows of FHIR R4 itself: base types, code systems and value sets.
//!
//! Read from `conformance/r4/structures.tsv` and `codes.tsv`, written by
//! `scripts/generate-definitions.py`, which describes their format. First use finds where each
//! definition starts; a definition is read when somebody asks for it.

mod codes;
mod structure;

use std::borrow::Cow;

pub use codes::{code_system, value_set};
pub(super) use structure::by_url;
pub use structure::definition;

/// The version of everything here.
pub const VERSION: &str = "4.0.1";

/// What is embedded, in bytes.
pub const TABLES_SIZE: usize = codes::SIZE + structure::SIZE;

const _: () = assert!(TABLES_SIZE < 3 << 20, "the tables of R4 are to stay small");

pub const STRUCTURE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// The address that a column of the files means.
fn expanded(short: &str) -> Cow<'_, str> {
    let long = match short.get(..2) {
        Some("S:") => STRUCTURE,
        Some("V:") => "http://hl7.org/fhir/ValueSet/",
        Some("F:") => "http://hl7.org/fhir/",
        Some("T:") => "http://terminology.hl7.org/",
        _ if !short.is_empty() && short.bytes().all(|b| b.is_ascii_alphabetic()) => {
            return Cow::Owned(format!("{STRUCTURE}{short}"));
        }
        _ => return Cow::Borrowed(short),
    };
    Cow::Owned(format!("{long}{}", &short[2..]))
}
