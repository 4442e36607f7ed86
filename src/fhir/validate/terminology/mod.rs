//! Code systems and value sets, and which codes are in them (fhir-conformance §2.5).

mod bound;
mod code_system;
mod member;
mod value_set;

pub use code_system::CodeSystem;
pub use member::{Coded, Membership, membership};
pub use value_set::{Filter, Part, ValueSet};
