//! Why work on the store ended early: a fault for the client, or a reason to begin again.

use crate::fhir::fault::Fault;
use crate::store;

/// See the module. Everything but `Fault` is settled by `Service::write` and `read`.
#[derive(Debug)]
pub(crate) enum Stop {
    Fault(Fault),
    /// The directory, or the version that was to be replaced, is no longer the current one.
    Stale,
    /// This cannot be answered without a connection: begin again within a transaction.
    NeedsConnection,
    /// These references to other servers must be looked at first, while no connection is held.
    Remote(Vec<RemoteTarget>),
}

/// A reference to a resource of a server in the allow list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RemoteTarget {
    /// The reference as it stands in the resource.
    pub reference: String,
    pub base: String,
    /// How messages name the place.
    pub place: String,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<store::Error> for Stop {
    fn from(error: store::Error) -> Self {
        Self::Fault(error.into())
    }
}
