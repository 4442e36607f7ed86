//! Typed views of the resource types that the framework reasons about.
//!
//! A view borrows a [`Resource`](super::Resource) and names its parts in the words of the
//! domain. Reading never fails: a part that is missing or malformed is absent.

pub mod activity_definition;
pub mod affiliation;
pub mod endpoint;
pub mod organization;
pub mod questionnaire;
pub mod questionnaire_response;
pub mod read_access;
pub mod subscription;
pub mod task;

pub use activity_definition::ActivityDefinition;
pub use affiliation::OrganizationAffiliation;
pub use endpoint::Endpoint;
pub use organization::Organization;
pub use questionnaire::Questionnaire;
pub use questionnaire_response::QuestionnaireResponse;
pub use subscription::Subscription;
pub use task::Task;
