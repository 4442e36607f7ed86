//! A version as the service hands it out.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use uuid::Uuid;

use super::ground::parsed;
use super::held::Shown;
use super::stop::Stop;
use crate::fhir::fault::{Fault, Tombstone};
use crate::r4::{Resource, ResourceType};
use crate::store::fhir::{Content, Row};

/// One version of a resource, fit to be shown: resolved literal references are hidden.
#[derive(Clone, Debug)]
pub struct Stored {
    pub kind: ResourceType,
    pub id: Uuid,
    pub version: i64,
    pub last_updated: Timestamp,
    /// What is shown of it, perhaps to others as well.
    shown: Arc<Shown>,
    /// The content of a Binary, which `resource` does not hold.
    pub content: Option<Content>,
}

impl Stored {
    /// The version in a row.
    pub(crate) fn of(row: &Row) -> Result<Self, Stop> {
        let resource = parsed(&row.document)
            .ok_or_else(|| Fault::internal(format!("document of {} is broken", row.id)))?;
        Ok(Self::shown(
            row.id,
            row.version,
            row.last_updated,
            resource,
            row.content,
        ))
    }

    pub(crate) fn shown(
        id: Uuid,
        version: i64,
        last_updated: Timestamp,
        resource: Resource,
        content: Option<Content>,
    ) -> Self {
        let shown = Arc::new(Shown::of(resource));
        Self::held((id, version), last_updated, shown, content)
    }

    pub(super) fn held(
        (id, version): (Uuid, i64),
        last_updated: Timestamp,
        shown: Arc<Shown>,
        content: Option<Content>,
    ) -> Self {
        Self {
            kind: shown.kind().unwrap_or(ResourceType::Binary),
            id,
            version,
            last_updated,
            shown,
            content,
        }
    }

    #[must_use]
    pub fn resource(&self) -> &Resource {
        self.shown.resource()
    }

    #[must_use]
    pub fn into_resource(self) -> Resource {
        self.shown.into_resource()
    }

    /// As compact JSON; `None` for a Binary, whose content is elsewhere.
    #[must_use]
    pub fn json(&self) -> Option<Bytes> {
        self.content.is_none().then(|| self.shown.json())
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
pub(crate) fn gone(
    (kind, id, version): (ResourceType, Uuid, i64),
    deleted: Timestamp,
    base_url: &str,
) -> Fault {
    let versioned = format!("{kind}/{id}/_history/{}", version + 1);
    Fault::gone(
        &versioned,
        Tombstone {
            etag: format!("W/\"{}\"", version + 1),
            location: format!("{base_url}/{versioned}"),
            last_modified: http_date(deleted),
        },
    )
}

/// A time as HTTP headers write it.
#[must_use]
pub fn http_date(at: Timestamp) -> String {
    let printed = DateTimePrinter::new().timestamp_to_rfc9110_string(&at);
    // Only years before 0 cannot be printed, and nothing was written then.
    printed.unwrap_or_default()
}
