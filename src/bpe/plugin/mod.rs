//! Process plugins: packages, their deployment, and the host that runs their code.

pub mod activity;
pub mod deploy;
pub mod host;
pub mod js;
pub mod local_fhir;
pub mod own;
pub mod package;
#[cfg(test)]
mod testing;

pub use activity::{Activity, Delivery, Host, Message, Performance, Performed, ProcessId, Tasks};
pub use host::Plugins;
pub use local_fhir::LocalFhir;
