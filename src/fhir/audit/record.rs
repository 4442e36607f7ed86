//! What the trail says of one thing that happened: a JSON object on a line of its own.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Deed;
use crate::auth::{Credential, Identity};

/// Digits of a thumbprint that tell certificates apart.
const SHORT: usize = 16;

/// One line of the trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub at: Timestamp,
    /// `create`, `update`, `delete`, `permanent-delete`, `read`, `search`, `history`, `event`,
    /// `refuse`; of the node itself: `start`, `end`, `lost`, `prune`.
    pub did: String,
    /// Organisation, or organisation and person; absent for the node itself and for strangers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The beginning of the thumbprint of the certificate that proved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// A name of docs/security.md.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `Type/id/_history/version`, or without a version what was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Of a refusal: method and path, or the entry of a Bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The `X-Request-Id` of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Uuid>,
    /// Where the request came from; of a proxy in front, the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Of `prune`: the last block that went, and its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl Record {
    #[must_use]
    pub fn new(at: Timestamp, did: &str) -> Self {
        let at = Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at);
        Self {
            at,
            did: did.to_owned(),
            who: None,
            certificate: None,
            reason: None,
            resources: Vec::new(),
            asked: None,
            detail: None,
            request: None,
            address: None,
            through: None,
            digest: None,
        }
    }

    /// With the name of an identity and the certificate that proved it.
    #[must_use]
    pub fn of(mut self, identity: &Identity) -> Self {
        self.who = Some(identity.name());
        if let Credential::Certificate { thumbprint, .. } = &identity.credential {
            self.certificate = Some(short(thumbprint));
        }
        self
    }

    /// As a line.
    #[must_use]
    pub fn line(&self) -> String {
        // Texts, times and numbers are always JSON.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

/// The beginning of a thumbprint.
pub(super) fn short(thumbprint: &str) -> String {
    thumbprint.chars().take(SHORT).collect()
}

/// `Type/id/_history/version`
pub(super) fn versioned(deed: &Deed) -> String {
    format!("{}/{}/_history/{}", deed.kind, deed.id, deed.version)
}
