//! FHIR R4 as documents: an ordered JSON tree with typed views. Pure: no I/O, no clock.

pub mod resource;

pub use resource::{Resource, ResourceType};
