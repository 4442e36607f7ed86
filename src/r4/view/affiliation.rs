//! An OrganizationAffiliation: which roles a member has in a parent organisation.

use serde_json::Value;

use crate::r4::identifier::codings;
use crate::r4::{Coding, Node, Resource};

/// An OrganizationAffiliation, read.
#[derive(Clone, Copy, Debug)]
pub struct OrganizationAffiliation<'a>(pub &'a Resource);

impl<'a> OrganizationAffiliation<'a> {
    /// Absent counts as inactive.
    #[must_use]
    pub fn is_active(self) -> bool {
        self.0.flag("active") == Some(true)
    }

    /// The parent organisation, a Reference element.
    #[must_use]
    pub fn parent(self) -> Option<&'a Value> {
        self.0.get("organization")
    }

    /// The member, a Reference element.
    #[must_use]
    pub fn member(self) -> Option<&'a Value> {
        self.0.get("participatingOrganization")
    }

    /// Every role the member has.
    pub fn roles(self) -> impl Iterator<Item = Coding> + 'a {
        self.0.items("code").flat_map(codings)
    }

    /// The endpoints through which the member acts, as Reference elements.
    pub fn endpoints(self) -> impl Iterator<Item = &'a Value> {
        self.0.items("endpoint")
    }
}
