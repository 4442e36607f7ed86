//! Validation: whether a resource is what its profiles say. Pure: no I/O, no clock.
//!
//! [`core`] knows FHIR R4 itself, a [`Library`] the definitions of a store over it. A profile's
//! [`snapshot`] is generated from its differential, compiled into a [`profile`], and [`check`]
//! walks resources along it; [`terminology`] tells which codes are in a value set, [`fhirpath`]
//! evaluates constraints. docs/validation.md says what is and what is not judged.

#[cfg(test)]
mod answering;
pub mod check;
pub mod core;
pub mod definition;
mod fhirpath;
mod finding;
#[cfg(test)]
mod hostile;
mod library;
mod locate;
#[cfg(test)]
mod material;
mod narrative;
#[cfg(test)]
mod oracle;
mod pattern;
pub mod profile;
#[cfg(test)]
mod slicing;
pub mod snapshot;
mod spot;
#[cfg(test)]
mod storing;
mod terminology;
#[cfg(test)]
mod tests;

pub use check::judge;
pub use definition::Definition;
pub use finding::Finding;
pub use library::{Entry, KINDS, Library, Missing, entry};
pub use locate::position;
pub use spot::size;
