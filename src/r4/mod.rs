//! FHIR R4 as documents: an ordered JSON tree with typed views. Pure: no I/O, no clock.
//!
//! [`json`] and [`xml`] read and write documents, checked against the element [`table`] of the
//! official definitions. [`view`] gives the types that the framework reasons about their domain
//! words; [`dsf`] holds the fixed URLs of the Data Sharing Framework.

pub mod bundle;
pub mod canonical;
pub mod datetime;
pub mod dsf;
mod failure;
pub mod identifier;
pub mod json;
mod lexical;
pub mod node;
pub mod outcome;
pub mod reference;
pub mod resource;
pub mod table;
pub mod view;
mod xhtml;
pub mod xml;

pub use canonical::Canonical;
pub use failure::ParseError;
pub use identifier::{Coding, Identifier};
pub use node::Node;
pub use outcome::Outcome;
pub use resource::{Resource, ResourceType, logical_id};

#[cfg(test)]
mod tests;
