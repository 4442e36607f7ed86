//! What an identity may ask for at all: operations, each for all or for some resource types.

use std::collections::{BTreeMap, BTreeSet};

use crate::r4::ResourceType;

/// Operations of the dsf-roles (auth-config §2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    Create,
    Read,
    Update,
    Delete,
    Search,
    History,
    PermanentDelete,
    Websocket,
}

impl Operation {
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::Read,
        Self::Update,
        Self::Delete,
        Self::Search,
        Self::History,
        Self::PermanentDelete,
        Self::Websocket,
    ];

    /// The word of the role rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Read => "READ",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Search => "SEARCH",
            Self::History => "HISTORY",
            Self::PermanentDelete => "PERMANENT_DELETE",
            Self::Websocket => "WEBSOCKET",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.name() == name)
    }
}

/// For which resource types an operation is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Everything,
    Types(BTreeSet<ResourceType>),
}

impl Scope {
    fn covers(&self, kind: ResourceType) -> bool {
        match self {
            Self::Everything => true,
            Self::Types(types) => types.contains(&kind),
        }
    }
}

/// The dsf-roles of an identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights(BTreeMap<Operation, Scope>);

impl Rights {
    /// Every operation on everything: the local organisation (§2.2).
    #[must_use]
    pub fn of_local_organization() -> Self {
        Operation::ALL
            .into_iter()
            .map(|operation| (operation, Scope::Everything))
            .collect()
    }

    /// Create Tasks; read, search and history of everything: a partner (§2.2).
    #[must_use]
    pub fn of_remote_organization() -> Self {
        Self::from_iter([
            (
                Operation::Create,
                Scope::Types(BTreeSet::from([ResourceType::Task])),
            ),
            (Operation::Read, Scope::Everything),
            (Operation::Search, Scope::Everything),
            (Operation::History, Scope::Everything),
        ])
    }

    /// The loader of the initial resources (§2.8).
    #[must_use]
    pub fn of_loader() -> Self {
        [Operation::Create, Operation::Update, Operation::Delete]
            .into_iter()
            .map(|operation| (operation, Scope::Everything))
            .collect()
    }

    /// ROLE(op, T) of §4.2.
    #[must_use]
    pub fn allow(&self, operation: Operation, kind: ResourceType) -> bool {
        self.0
            .get(&operation)
            .is_some_and(|scope| scope.covers(kind))
    }

    /// Whether the operation is granted for any type: root history (§4.2), opening a socket (§8.6).
    #[must_use]
    pub fn allow_any(&self, operation: Operation) -> bool {
        self.0.contains_key(&operation)
    }

    /// Adds what another rule grants; a wider scope wins (§2.7).
    pub fn add(&mut self, operation: Operation, scope: Scope) {
        match (self.0.get_mut(&operation), scope) {
            (Some(Scope::Types(have)), Scope::Types(more)) => have.extend(more),
            (Some(Scope::Everything), _) => {}
            (_, scope) => {
                self.0.insert(operation, scope);
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (Operation, &Scope)> {
        self.0.iter().map(|(operation, scope)| (*operation, scope))
    }
}

impl FromIterator<(Operation, Scope)> for Rights {
    fn from_iter<I: IntoIterator<Item = (Operation, Scope)>>(grants: I) -> Self {
        let mut rights = Self::default();
        for (operation, scope) in grants {
            rights.add(operation, scope);
        }
        rights
    }
}
