//! A version as the service hands it out.

use jiff::Timestamp;
use uuid::Uuid;

use super::ground::parsed;
use super::stop::Stop;
use crate::fhir::fault::{Fault, Tombstone};
use crate::fhir::reference;
use crate::r4::{Resource, ResourceType};
use crate::store::fhir::{Content, Row};

/// One version of a resource, fit to be shown: resolved literal references are hidden.
#[derive(Clone, Debug)]
pub struct Stored {
    pub kind: ResourceType,
    pub id: Uuid,
    pub version: i64,
    pub last_updated: Timestamp,
    pub resource: Resource,
    /// The content of a Binary, which `resource` does not hold.
    pub content: Option<Content>,
}

impl Stored {
    /// The version in a row.
    pub(crate) fn of(row: &Row) -> Result<Self, Stop> {
        let resource = parsed(&row.document)
            .ok_or_else(|| Fault::internal(format!("document of {} is broken", row.id)))?;
        Ok(Self::shown(row.id, row.version, row.last_updated, resource, row.content))
    }

    pub(crate) fn shown(
        id: Uuid,
        version: i64,
        last_updated: Timestamp,
        mut resource: Resource,
        content: Option<Content>,
    ) -> Self {
        reference::clean(&mut resource);
        let kind = resource.resource_type().unwrap_or(ResourceType::Binary);
        Self { kind, id, version, last_updated, resource, content }
    }

    /// `Type/id`
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.kind, self.id)
    }

    #[must_use]
    pub fn location(&self, base_url: &str) -> String {
        format!("{base_url}/{}/_history/{}", self.path(), self.version)
    }

    #[must_use]
    pub fn etag(&self) -> String {
        format!("W/\"{}\"", self.version)
    }
}

/// The fault for a resource that was deleted; the deletion counts as a version of its own.
pub(crate) fn gone(row: &Row, deleted: Timestamp, base_url: &str) -> Fault {
    let versioned = format!("{}/{}/_history/{}", row.kind, row.id, row.version + 1);
    Fault::gone(
        &versioned,
        Tombstone {
            etag: format!("W/\"{}\"", row.version + 1),
            location: format!("{base_url}/{versioned}"),
            last_modified: http_date(deleted),
        },
    )
}

/// A time as HTTP headers write it.
#[must_use]
pub fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
