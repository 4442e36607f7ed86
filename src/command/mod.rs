//! The commands: each reads its arguments, asks the floors below, prints, and answers an exit
//! code. The only place where errors lose their type (anyhow).

#[cfg(feature = "fhir")]
pub mod audit;
#[cfg(not(feature = "fhir"))]
#[path = "audit_absent.rs"]
pub mod audit;
#[cfg(feature = "fhir")]
pub mod auth;
#[cfg(not(feature = "fhir"))]
#[path = "auth_absent.rs"]
pub mod auth;
pub mod cert;
pub mod config;
pub mod db;
pub mod dev;
pub mod healthcheck;
pub mod plugin;
#[cfg(feature = "bpe")]
pub mod process;
#[cfg(not(feature = "bpe"))]
#[path = "process_absent.rs"]
pub mod process;
pub mod serve;
pub mod table;
#[cfg(feature = "fhir")]
pub mod validate;
#[cfg(not(feature = "fhir"))]
#[path = "validate_absent.rs"]
pub mod validate;
