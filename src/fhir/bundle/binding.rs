//! What the temporary ids of a Bundle mean, and which ids its entries will have (fhir-api §6.2).

use std::collections::HashMap;

use uuid::Uuid;

use super::plan::{Action, Command};
use crate::fhir::search::Candidate;
use crate::fhir::service::Condition;
use crate::r4::ResourceType;

/// The id of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    New(Uuid),
    /// Of the resource that a condition found.
    Known(Uuid),
    /// Of the resource that the url of an update names.
    Named(Uuid),
}

impl Bound {
    /// The id of what may be stored already.
    pub fn stored(self) -> Option<Uuid> {
        match self {
            Self::New(_) => None,
            Self::Known(id) | Self::Named(id) => Some(id),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    /// `urn:uuid:…` → `Type/id`
    urls: HashMap<String, String>,
    /// By index of the entry.
    ids: HashMap<usize, Uuid>,
    /// What will be created, for the conditions of later entries.
    created: Vec<(Uuid, Candidate)>,
    /// Of `created`, by a term that it is found by.
    by_term: HashMap<String, Vec<usize>>,
}

impl Bindings {
    pub fn target(&self, temporary: &str) -> Option<&str> {
        self.urls.get(temporary).map(String::as_str)
    }

    pub fn insert(&mut self, command: &Command, bound: Bound) {
        let (Action::Create { kind, .. } | Action::Update { kind, .. }) = &command.action else {
            return;
        };
        let (Bound::New(id) | Bound::Known(id) | Bound::Named(id)) = bound;
        self.ids.insert(command.index, id);
        if let Some(url) = command
            .full_url
            .as_ref()
            .filter(|_| bound != Bound::Named(id))
        {
            self.urls.insert(url.clone(), format!("{kind}/{id}"));
        }
        if let (Bound::New(_), Action::Create { resource, .. }) = (bound, &command.action) {
            let candidate = Candidate::new(resource);
            for term in candidate.tokens() {
                let found = self.by_term.entry(term.clone()).or_default();
                found.push(self.created.len());
            }
            self.created.push((id, candidate));
        }
    }

    /// The id that was bound, or a new one where nothing was.
    pub fn id(&self, command: &Command) -> Uuid {
        self.ids
            .get(&command.index)
            .copied()
            .unwrap_or_else(Uuid::new_v4)
    }

    /// What an earlier entry will create and this condition will then find. Only conditions with a
    /// term look here; what they ask of references is not known before these are settled.
    pub fn created(&self, kind: ResourceType, condition: &Condition) -> Option<Uuid> {
        let condition = condition.parsed(kind)?;
        let found = condition
            .terms()
            .filter_map(|term| self.by_term.get(term))
            .min_by_key(|found| found.len())?;
        found
            .iter()
            .filter_map(|index| self.created.get(*index))
            .find(|(_, candidate)| candidate.meets(&condition))
            .map(|(id, _)| *id)
    }
}
