//! What is asked of the rules, and the part of the answer that needs no resource.

use crate::auth::{Identity, Operation};
use crate::r4::{Resource, ResourceType};

use super::decision::{Decision, Reason};

/// One interaction with one resource, or with a type (search, history).
///
/// An update is always judged against the stored resource that it replaces, also when a search
/// found it (§11.1 row 1). `new` is as the client sent it, temporary references resolved.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub operation: Operation,
    pub kind: ResourceType,
    /// The stored resource, with the literal references that the server added.
    pub old: Option<&'a Resource>,
    pub new: Option<&'a Resource>,
}

impl<'a> Request<'a> {
    #[must_use]
    pub const fn create(kind: ResourceType, new: &'a Resource) -> Self {
        Self {
            operation: Operation::Create,
            kind,
            old: None,
            new: Some(new),
        }
    }

    #[must_use]
    pub const fn update(kind: ResourceType, old: &'a Resource, new: &'a Resource) -> Self {
        Self {
            operation: Operation::Update,
            kind,
            old: Some(old),
            new: Some(new),
        }
    }

    /// Read, vread, delete, permanent delete, websocket event: anything that changes no content.
    #[must_use]
    pub const fn of(operation: Operation, kind: ResourceType, old: &'a Resource) -> Self {
        Self {
            operation,
            kind,
            old: Some(old),
            new: None,
        }
    }

    /// Search and history: the rows are filtered by [`super::access_filter`].
    #[must_use]
    pub const fn of_type(operation: Operation, kind: ResourceType) -> Self {
        Self {
            operation,
            kind,
            old: None,
            new: None,
        }
    }
}

/// The part of the rules that looks at nothing but identity, operation and type (§4.2).
///
/// A denial is final; an `Allow` of search and history is too, everything else goes on to
/// [`super::decide()`].
#[must_use]
pub fn admit(identity: &Identity, operation: Operation, kind: ResourceType) -> Decision {
    if !identity.rights.allow(operation, kind) {
        return Decision::Deny(Reason::NoRight);
    }
    let open_to_partners = match operation {
        Operation::Read | Operation::Search | Operation::History => true,
        Operation::Create => kind == ResourceType::Task,
        Operation::Update
        | Operation::Delete
        | Operation::PermanentDelete
        | Operation::Websocket => false,
    };
    if !open_to_partners && !identity.is_local() {
        return Decision::Deny(Reason::NotLocal);
    }
    let needs_delete = operation == Operation::PermanentDelete;
    if needs_delete && !identity.rights.allow(Operation::Delete, kind) {
        return Decision::Deny(Reason::NoRight);
    }
    let needs_read = operation == Operation::Websocket;
    if needs_read && !identity.rights.allow(Operation::Read, kind) {
        return Decision::Deny(Reason::NoRight);
    }
    Decision::Allow(Reason::HasRight)
}
