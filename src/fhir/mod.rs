//! The FHIR role: the mailbox.
//!
//! [`service`] is the only door to resources; [`rest`], [`bundle`]s, [`initial`] data and the
//! WebSocket of [`subscribe`] come through it. [`authorize`] holds the rules, [`audit`] who did what, [`search`] what is found
//! by which parameter, [`directory`] what nearly every request leans on. [`fault::Fault`] is the
//! only type that knows status codes.

pub mod audit;
pub mod authorize;
pub mod bundle;
pub mod directory;
pub mod fault;
pub mod initial;
pub mod metadata;
pub mod profile;
pub mod reference;
mod reindex;
pub mod rest;
pub mod results;
pub mod search;
pub mod service;
mod settings;
mod start;
pub mod subscribe;
pub mod validate;

pub use fault::Fault;
pub use service::Service;
pub use settings::{ExtraInteractions, Limits, Settings, Validation};
pub use start::{Error, Running, start};
