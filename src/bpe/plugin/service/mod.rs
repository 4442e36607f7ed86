//! What the host does for plugin code: FHIR servers, streams, cryptography, mail and the rest.
//!
//! [`Services`] are those of a node, shared by all plugins. A [`Session`] is what one call has of
//! them: it knows what the plugin may do and holds the streams that the code has opened, which end
//! with the call. Runners reach it through [`Outside`](super::runner::Outside).

mod capability;
mod client_config;
mod connection;
mod crypto;
mod fhir;
mod lookup;
mod mime;
mod oidc;
mod post;
mod question;
mod session;
mod stream;
mod transform;

use std::sync::Arc;

use serde_json::{Value, json};

use super::local_fhir::LocalFhir;
use crate::kernel::Secret;
use crate::net::http;
use crate::net::mail::Mailer;
use crate::r4::Resource;

pub use capability::{Access, Capabilities};
pub use connection::Connections;
pub use session::{Caller, Session, logs_data};

use lookup::Lookups;

/// What the services of a node are made of.
pub struct Outfit {
    /// Speaks for the own organisation.
    pub client: http::Client,
    /// How it is set up.
    pub own: http::Settings,
    /// How other servers are spoken to that are no partners.
    pub outward: http::Settings,
    /// The own FHIR server.
    pub local: Arc<dyn LocalFhir>,
    pub connections: Connections,
    pub mailer: Arc<Mailer>,
    /// Absent where this program was built without the validator.
    pub validator: Option<Arc<Validator>>,
}

/// Judges a resource by the given profiles and those it claims: an OperationOutcome.
pub type Validator = dyn Fn(&Resource, &[String]) -> Value + Send + Sync;

/// The services of a node.
pub struct Services {
    client: http::Client,
    own: http::Settings,
    outward: http::Settings,
    connections: Connections,
    mailer: Arc<Mailer>,
    validator: Option<Arc<Validator>>,
    /// Base address of the own FHIR server, without a slash at its end.
    base: String,
    lookups: Lookups,
}

impl Services {
    #[must_use]
    pub fn new(outfit: Outfit) -> Self {
        Self {
            client: outfit.client,
            own: outfit.own,
            outward: outfit.outward,
            connections: outfit.connections,
            mailer: outfit.mailer,
            validator: outfit.validator,
            base: outfit.local.base_url().trim_end_matches('/').to_owned(),
            lookups: Lookups::new(outfit.local),
        }
    }

    /// What code may know of the forward proxy.
    pub(in crate::bpe::plugin) fn proxy(&self, capabilities: &Capabilities) -> Value {
        let Some(proxy) = &self.outward.proxy else {
            return Value::Null;
        };
        let password = proxy.password.as_ref().map(Secret::expose);
        json!({
            "url": proxy.url.trim_end_matches('/'),
            "username": proxy.username,
            "password": password.filter(|_| capabilities.secrets),
            "except": proxy.except,
        })
    }

    /// Says in the log whether the connections that want it can be reached.
    pub async fn test_connections(&self) {
        self.connections.test().await;
    }
}

/// Why a question has no answer, for the code that asked.
#[derive(Debug)]
pub(in crate::bpe::plugin) struct Refusal {
    pub message: String,
    /// The status of a server that refused.
    pub status: Option<u16>,
    /// What it said, as an OperationOutcome.
    pub outcome: Option<Value>,
}

impl Refusal {
    pub(in crate::bpe::plugin) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            status: None,
            outcome: None,
        }
    }
}

impl From<http::Error> for Refusal {
    fn from(error: http::Error) -> Self {
        Self::new(error.to_string())
    }
}
