//! What an identity may do in outline, for people who look after a node: the rules without a
//! resource. [`super::decide()`] has the last word.

use crate::auth::{Identity, Operation, Subject};
use crate::r4::ResourceType;

use super::request::admit;

/// One cell of who-may-what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outline {
    /// Never.
    No,
    /// Whatever is stored.
    All,
    /// What the read-access tags, or a Binary's security context, open.
    Tagged,
    /// What is well-formed and keeps what must stay.
    Valid,
    /// Tasks whose requester or recipient the identity is; of persons also drafts.
    Involved,
    /// Tasks in the own name that a process admits.
    OwnName,
    /// As [`Self::OwnName`], and drafts.
    OwnNameAndDrafts,
    /// Drafts of Tasks.
    Drafts,
    /// Changes of status that the process life allows.
    Transitions,
    /// User tasks that name the person, its role, or nobody.
    Named,
    /// User tasks that are in progress.
    InProgress,
}

impl Outline {
    pub const ALL: &[Self] = &[
        Self::No,
        Self::All,
        Self::Tagged,
        Self::Valid,
        Self::Involved,
        Self::OwnName,
        Self::OwnNameAndDrafts,
        Self::Drafts,
        Self::Transitions,
        Self::Named,
        Self::InProgress,
    ];

    /// The word in tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::No => "-",
            Self::All => "all",
            Self::Tagged => "tagged",
            Self::Valid => "valid",
            Self::Involved => "involved",
            Self::OwnName => "own-name",
            Self::OwnNameAndDrafts => "own-name+drafts",
            Self::Drafts => "drafts",
            Self::Transitions => "transitions",
            Self::Named => "named",
            Self::InProgress => "in-progress",
        }
    }

    /// What the word means.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::No => "never",
            Self::All => "whatever is stored",
            Self::Tagged => "what read-access tags, or the security context of a Binary, open",
            Self::Valid => "what is well-formed, unique, and keeps what must stay",
            Self::Involved => {
                "Tasks whose requester or recipient the identity is, and drafts for persons"
            }
            Self::OwnName => "Tasks in the own name that a process admits",
            Self::OwnNameAndDrafts => "Tasks in the own name that a process admits, and drafts",
            Self::Drafts => "drafts of Tasks",
            Self::Transitions => "changes of status that the rules allow",
            Self::Named => "user tasks that name the person, one of its roles, or nobody",
            Self::InProgress => "user tasks that are in progress",
        }
    }
}

/// What an identity may do with a type.
#[must_use]
pub fn outline(identity: &Identity, operation: Operation, kind: ResourceType) -> Outline {
    if !admit(identity, operation, kind).is_allowed() {
        return Outline::No;
    }
    match operation {
        Operation::Search | Operation::History => {
            // Without the right to read, nothing is found.
            outline(identity, Operation::Read, kind)
        }
        Operation::Read | Operation::Websocket => reads(identity, kind),
        Operation::Create => creates(identity, kind),
        Operation::Update => updates(identity, kind),
        Operation::Delete | Operation::PermanentDelete => deletes(identity, kind),
    }
}

fn reads(identity: &Identity, kind: ResourceType) -> Outline {
    match kind {
        ResourceType::Task => Outline::Involved,
        ResourceType::QuestionnaireResponse if identity.is_admin() => Outline::All,
        ResourceType::QuestionnaireResponse => match identity.subject {
            Subject::Practitioner(_) => Outline::Named,
            _ => Outline::No,
        },
        _ => Outline::Tagged,
    }
}

fn creates(identity: &Identity, kind: ResourceType) -> Outline {
    match kind {
        ResourceType::Task if identity.is_admin() => Outline::OwnNameAndDrafts,
        ResourceType::Task => Outline::OwnName,
        ResourceType::QuestionnaireResponse if identity.is_admin() => Outline::InProgress,
        ResourceType::QuestionnaireResponse => Outline::No,
        _ => Outline::Valid,
    }
}

fn updates(identity: &Identity, kind: ResourceType) -> Outline {
    match kind {
        ResourceType::Task | ResourceType::QuestionnaireResponse if identity.is_admin() => {
            Outline::Transitions
        }
        ResourceType::Task => Outline::No,
        ResourceType::QuestionnaireResponse => Outline::Named,
        _ => Outline::Valid,
    }
}

fn deletes(identity: &Identity, kind: ResourceType) -> Outline {
    match kind {
        ResourceType::Task if identity.is_admin() => Outline::Drafts,
        ResourceType::QuestionnaireResponse if identity.is_admin() => Outline::All,
        ResourceType::Task | ResourceType::QuestionnaireResponse => Outline::No,
        _ => Outline::All,
    }
}
