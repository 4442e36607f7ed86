//! An Endpoint: where the mailbox of an organisation answers.

use serde_json::Value;

use super::organization::thumbprints;
use crate::r4::identifier::values_in_system;
use crate::r4::{Resource, dsf};

/// An Endpoint, read.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a>(pub &'a Resource);

impl<'a> Endpoint<'a> {
    #[must_use]
    pub fn is_active(self) -> bool {
        self.0.str("status") == Some("active")
    }

    /// The base URL as it is written.
    #[must_use]
    pub fn address(self) -> Option<&'a str> {
        self.0.str("address")
    }

    pub fn identifiers(self) -> impl Iterator<Item = &'a str> {
        values_in_system(self.0, dsf::sid::ENDPOINT)
    }

    #[must_use]
    pub fn identifier(self) -> Option<&'a str> {
        self.identifiers().next()
    }

    pub fn thumbprints(self) -> impl Iterator<Item = &'a str> {
        thumbprints(self.0)
    }

    #[must_use]
    pub fn managing_organization(self) -> Option<&'a Value> {
        self.0.get("managingOrganization")
    }
}
