//! Process plugins: packages, their deployment, and the host that runs their code.

pub mod activity;
pub mod deploy;
pub mod folder;
pub mod host;
pub mod installed;
pub mod js;
pub mod local_fhir;
pub mod own;
pub mod package;
pub mod runner;
pub mod service;
#[cfg(test)]
pub(in crate::bpe) mod testing;
pub mod worker;

/// The variable in which the runtime hands over the last answered QuestionnaireResponse.
pub const RECEIVED_RESPONSE: &str = "receivedQuestionnaireResponse";

pub use activity::{
    Activity, Delivery, FormCode, FormMoment, Host, Message, Performance, Performed, ProcessId,
    Tasks, user_task_id,
};
pub use host::Plugins;
pub use local_fhir::LocalFhir;
