//! What the rules must know of the store, asked for as data.
//!
//! A rule asks [`Inquiry`]; what is not yet among the [`Facts`] is noted as a [`Lookup`] and taken
//! for the answer that grants least. [`super::decide()`] hands the open lookups back, the service
//! answers them inside its transaction and asks again. So no rule exists twice, and a request pays
//! only for what its rules really look at.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::auth::{Coding, Member};
use crate::r4::{Resource, ResourceType};

/// One question to the store. "Current" is the newest version of a resource that is not deleted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lookup {
    /// The local organisation: [`Answer::Local`].
    Local,
    /// Is there a current Organization, active or not, with this DSF identifier?
    /// [`Answer::Exists`].
    Organization { identifier: String },
    /// The current affiliations with `active = true` whose participating organisation is a
    /// current, active Organization with this DSF identifier: [`Answer::Memberships`].
    Memberships { organization: String },
    /// The current ActivityDefinition with status draft or active: [`Answer::Document`].
    Process { url: String, version: String },
    /// Does a current CodeSystem with this url (and version, if given) have the code among its
    /// top-level concepts? [`Answer::Exists`].
    Concept {
        system: String,
        version: Option<String>,
        code: String,
    },
    /// Logical ids of the current resources of a type that hold a unique key of
    /// [`super::unique_keys`]: [`Answer::Ids`].
    Holders { kind: ResourceType, key: String },
    /// What a reference to this server points to: [`Answer::Document`], only if current (and, with
    /// a version, if that version exists).
    Target(Target),
    /// Does the server support this Subscription criteria (one type, known parameters only)?
    /// [`Answer::Exists`], answered by the search floor.
    Criteria { criteria: String },
}

/// A reference that can be resolved on this server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    Literal {
        kind: ResourceType,
        id: String,
        version: Option<String>,
    },
    /// By identifier, without identity filter; exactly one hit counts.
    Logical {
        kind: ResourceType,
        system: String,
        value: String,
    },
}

#[derive(Clone, Debug)]
pub enum Answer {
    Local(Option<Member>),
    Exists(bool),
    Memberships(Vec<Membership>),
    Document(Option<Arc<Resource>>),
    Ids(Vec<String>),
}

/// One active affiliation of an organisation (auth-config §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// DSF identifier of the parent organisation.
    pub parent: String,
    /// Read-access tags ask for an active parent, process authorisation does not (§6.2).
    pub parent_active: bool,
    /// All `code.coding` with system and code.
    pub roles: Vec<Coding>,
    /// DSF identifiers of the affiliation's endpoint, whatever its status.
    pub endpoints: Vec<String>,
}

/// What has been looked up so far for one request.
#[derive(Clone, Debug)]
pub struct Facts {
    base_url: String,
    answers: HashMap<Lookup, Answer>,
}

impl Facts {
    /// Nothing looked up yet. The own base URL tells our literal references from foreign ones.
    #[must_use]
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            answers: HashMap::new(),
        }
    }

    /// Records the answer to a lookup; every lookup needs one, also if nothing was found.
    pub fn insert(&mut self, lookup: Lookup, answer: Answer) {
        self.answers.insert(lookup, answer);
    }
}

/// The rules' view of the facts; remembers what is missing.
pub(super) struct Inquiry<'a> {
    facts: &'a Facts,
    missing: RefCell<Vec<Lookup>>,
}

impl<'a> Inquiry<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
        Self {
            facts,
            missing: RefCell::default(),
        }
    }

    pub(super) fn into_missing(self) -> Vec<Lookup> {
        let mut missing = self.missing.into_inner();
        missing.sort();
        missing.dedup();
        missing
    }

    pub(super) fn base_url(&self) -> &'a str {
        &self.facts.base_url
    }

    fn answer(&self, lookup: Lookup) -> Option<&'a Answer> {
        let answer = self.facts.answers.get(&lookup);
        if answer.is_none() {
            self.missing.borrow_mut().push(lookup);
        }
        answer
    }

    fn exists(&self, lookup: Lookup) -> bool {
        matches!(self.answer(lookup), Some(Answer::Exists(true)))
    }

    fn document(&self, lookup: Lookup) -> Option<&'a Resource> {
        match self.answer(lookup)? {
            Answer::Document(document) => document.as_deref(),
            _ => None,
        }
    }

    pub(super) fn local(&self) -> Option<&'a Member> {
        match self.answer(Lookup::Local)? {
            Answer::Local(member) => member.as_ref(),
            _ => None,
        }
    }

    pub(super) fn organization_exists(&self, identifier: &str) -> bool {
        self.exists(Lookup::Organization {
            identifier: identifier.to_owned(),
        })
    }

    pub(super) fn memberships(&self, organization: &str) -> &'a [Membership] {
        match self.answer(Lookup::Memberships {
            organization: organization.to_owned(),
        }) {
            Some(Answer::Memberships(memberships)) => memberships,
            _ => &[],
        }
    }

    pub(super) fn process(&self, url: &str, version: &str) -> Option<&'a Resource> {
        self.document(Lookup::Process {
            url: url.to_owned(),
            version: version.to_owned(),
        })
    }

    pub(super) fn concept_exists(&self, system: &str, version: Option<&str>, code: &str) -> bool {
        self.exists(Lookup::Concept {
            system: system.to_owned(),
            version: version.map(str::to_owned),
            code: code.to_owned(),
        })
    }

    /// Whether nobody but `own` holds the key; an open question counts as taken.
    pub(super) fn is_free(&self, kind: ResourceType, key: String, own: Option<&str>) -> bool {
        match self.answer(Lookup::Holders { kind, key }) {
            Some(Answer::Ids(ids)) => ids.iter().all(|id| Some(id.as_str()) == own),
            _ => false,
        }
    }

    pub(super) fn target(&self, target: Target) -> Option<&'a Resource> {
        self.document(Lookup::Target(target))
    }

    pub(super) fn criteria_supported(&self, criteria: &str) -> bool {
        self.exists(Lookup::Criteria {
            criteria: criteria.to_owned(),
        })
    }
}
