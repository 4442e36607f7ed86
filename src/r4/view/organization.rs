//! An Organization: a partner, known by the certificates its extension lists, or a parent.

use serde_json::Value;

use crate::r4::identifier::values_in_system;
use crate::r4::{Node, Resource, dsf};

/// An Organization, read.
#[derive(Clone, Copy, Debug)]
pub struct Organization<'a>(pub &'a Resource);

impl<'a> Organization<'a> {
    /// Absent counts as inactive.
    #[must_use]
    pub fn is_active(self) -> bool {
        self.0.flag("active") == Some(true)
    }

    #[must_use]
    pub fn name(self) -> Option<&'a str> {
        self.0.str("name")
    }

    /// The values of its organisation identifiers; a valid one has exactly one.
    pub fn identifiers(self) -> impl Iterator<Item = &'a str> {
        values_in_system(self.0, dsf::sid::ORGANIZATION)
    }

    #[must_use]
    pub fn identifier(self) -> Option<&'a str> {
        self.identifiers().next()
    }

    /// The thumbprints of its client certificates, as they are written.
    pub fn thumbprints(self) -> impl Iterator<Item = &'a str> {
        thumbprints(self.0)
    }

    /// Its endpoints, as Reference elements.
    pub fn endpoints(self) -> impl Iterator<Item = &'a Value> {
        self.0.items("endpoint")
    }
}

/// The thumbprint extensions of an Organization or Endpoint.
pub(super) fn thumbprints(resource: &Resource) -> impl Iterator<Item = &str> {
    resource
        .extensions(dsf::extension::THUMBPRINT)
        .filter_map(|e| e.text("valueString"))
}
