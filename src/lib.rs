//! The Data Sharing Framework in one binary: a FHIR mailbox and a BPMN process engine.
//!
//! Modules are floors; imports go down only (`docs/architecture.md`, `tests/architecture.rs`).

// Floor 0: knows neither HTTP nor SQL.
pub mod kernel;
pub mod r4;

// Floor 1: the outside world.
pub mod net;
pub mod store;

// Floor 2: who is asking.
pub mod auth;

// Floor 3: the two roles. They meet on the wire only.
#[cfg(feature = "bpe")]
pub mod bpe;
#[cfg(feature = "fhir")]
pub mod fhir;

// The top: configuration, composition root, command line.
pub mod app;
pub mod cli;
pub mod command;
pub mod config;
