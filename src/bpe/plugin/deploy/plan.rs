//! What has to happen on the own FHIR server, as a pure comparison of what is wanted with what
//! was put there before (spec/bpe.md §5.6, §5.7).

use std::collections::BTreeMap;

use crate::bpe::plugin::package::{DEPLOYED_TYPES, Prepared};
use crate::r4::ResourceType;

/// The state of a process; of several that share a resource, the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Excluded,
    Retired,
    Draft,
    Active,
}

impl State {
    /// As the database has it, and as the status of a resource.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Excluded => "excluded",
            Self::Retired => "retired",
            Self::Draft => "draft",
            Self::Active => "active",
        }
    }

    /// Its processes may be started.
    #[must_use]
    pub const fn runs(self) -> bool {
        matches!(self, Self::Active | Self::Draft)
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Excluded, Self::Retired, Self::Draft, Self::Active]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// A process and the resources it brings; `key|version`.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    pub process: String,
    pub state: State,
    pub resources: Vec<&'a Prepared>,
}

/// Names a resource on the server: its type and the search that finds it.
pub type Place = (ResourceType, String);

/// What was put on the server before.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Processes by `key|version`.
    pub states: BTreeMap<String, State>,
    /// The processes that brought a resource.
    pub resources: BTreeMap<Place, Vec<String>>,
    /// SHA-256 of what was put there.
    pub digests: BTreeMap<Place, Vec<u8>>,
}

/// What to do about one resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<'a> {
    Delete(Place),
    /// Only if it is not there.
    Create(&'a Prepared, State),
    Replace(&'a Prepared, State),
    /// It should be there as it is; if not, it is created.
    Check(&'a Prepared, State),
}

impl Step<'_> {
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Self::Delete(place) => place.clone(),
            Self::Create(one, _) | Self::Replace(one, _) | Self::Check(one, _) => {
                (one.kind, one.condition.clone())
            }
        }
    }

    /// Deletions first; then types that others refer to before those that refer to them.
    fn rank(&self) -> usize {
        match self {
            Self::Delete(_) => 0,
            other => {
                let kind = other.place().0;
                1 + DEPLOYED_TYPES
                    .iter()
                    .position(|one| *one == kind)
                    .unwrap_or_default()
            }
        }
    }
}

/// Every resource appears once, however many processes bring it.
#[must_use]
pub fn plan<'a>(wanted: &[Wanted<'a>], known: &Known) -> Vec<Step<'a>> {
    let mut resources: BTreeMap<Place, (&'a Prepared, State)> = BTreeMap::new();
    for process in wanted
        .iter()
        .filter(|process| process.state != State::Excluded)
    {
        for prepared in &process.resources {
            let place = (prepared.kind, prepared.condition.clone());
            let entry = resources.entry(place).or_insert((prepared, process.state));
            entry.1 = entry.1.max(process.state);
        }
    }
    let mut steps: Vec<Step<'a>> = known
        .resources
        .iter()
        .filter(|(place, users)| !resources.contains_key(*place) && is_obsolete(users, wanted))
        .map(|(place, _)| Step::Delete(place.clone()))
        .collect();
    steps.extend(resources.into_iter().map(
        |(place, (prepared, state))| match known.state(&place) {
            None => Step::Create(prepared, state),
            Some(_) if state == State::Draft && known.differs(&place, prepared) => {
                Step::Replace(prepared, state)
            }
            Some(old) if old != state => Step::Replace(prepared, state),
            Some(_) => Step::Check(prepared, state),
        },
    ));
    steps.sort_by_key(Step::rank);
    steps
}

/// A resource that nobody brings any more goes with its process, or with a new draft. A released
/// version is never changed, so what it once brought stays.
fn is_obsolete(users: &[String], wanted: &[Wanted<'_>]) -> bool {
    users.iter().all(|user| {
        wanted
            .iter()
            .find(|process| process.process == *user)
            .is_some_and(|process| matches!(process.state, State::Draft | State::Excluded))
    })
}

impl Known {
    /// Whether something else was put there.
    fn differs(&self, place: &Place, prepared: &Prepared) -> bool {
        self.digests.get(place) != Some(&super::digest(prepared))
    }

    /// As what a resource was put on the server; nothing when it is not there.
    fn state(&self, place: &Place) -> Option<State> {
        let users = self.resources.get(place)?;
        let states = users
            .iter()
            .filter_map(|user| self.states.get(user))
            .copied();
        states.filter(|state| *state != State::Excluded).max()
    }
}
