//! The audit trail: who wrote, who read personal data, and who was refused (see docs/adr).
//!
//! The service and REST hand [`Journal`] what was done, without waiting; the journal puts it into
//! the store some ten times a second, as blocks of a chain of digests. [`verify`] reads the chain
//! and finds what was changed or taken out. What a [`Record`] says is for the own organisation
//! only.

mod journal;
mod record;
#[cfg(test)]
mod tests;
pub mod verify;

pub use journal::{Journal, Refused};
pub use record::Record;

use std::net::IpAddr;

use jiff::SignedDuration;
use uuid::Uuid;

use crate::auth::{Identity, Subject};
use crate::fhir::authorize::Reason;
use crate::r4::ResourceType;

/// Types that hold, or may hold, personal data: reading them is recorded. Bundle and Binary may
/// hold anything.
pub const PERSONAL: &[ResourceType] = &[
    ResourceType::Binary,
    ResourceType::Bundle,
    ResourceType::DocumentReference,
    ResourceType::Group,
    ResourceType::MeasureReport,
    ResourceType::Patient,
    ResourceType::Practitioner,
    ResourceType::PractitionerRole,
    ResourceType::Provenance,
    ResourceType::QuestionnaireResponse,
    ResourceType::Task,
];

/// What is to be kept, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub reads: Reads,
    pub keep: SignedDuration,
}

/// Whose reads of personal data are recorded; writes and refusals always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Those of persons and partners, not those of the own organisation's engine.
    Others,
    All,
    None,
}

impl Reads {
    /// Whether it is recorded that this identity reads this type.
    #[must_use]
    pub fn records(self, identity: &Identity, kind: ResourceType) -> bool {
        let whose = match self {
            Self::Others => identity.subject != Subject::LocalOrganization,
            Self::All => true,
            Self::None => false,
        };
        whose && PERSONAL.contains(&kind)
    }
}

/// What was done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Create,
    Update,
    Delete,
    PermanentDelete,
    Read,
    Search,
    History,
    /// Sent to a socket.
    Event,
}

impl Act {
    /// The word in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::PermanentDelete => "permanent-delete",
            Self::Read => "read",
            Self::Search => "search",
            Self::History => "history",
            Self::Event => "event",
        }
    }
}

/// One thing that an identity did, and why it was allowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deed {
    pub act: Act,
    pub kind: ResourceType,
    pub id: Uuid,
    pub version: i64,
    pub reason: Option<Reason>,
}

/// The request that work is done for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    pub request: Uuid,
    pub address: Option<IpAddr>,
}

tokio::task_local! {
    /// Set by REST around the work of a request; events and start-up data have none.
    pub static VISIT: Visit;
}
