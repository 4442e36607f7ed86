//! The FHIR role: the mailbox.

pub mod authorize;
