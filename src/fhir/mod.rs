//! The FHIR role: the mailbox.

pub mod authorize;
pub mod search;
pub mod subscribe;
