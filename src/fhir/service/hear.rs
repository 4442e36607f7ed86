//! What the sockets of Subscriptions ask: may this client hear of it, and what does it see.

use async_trait::async_trait;
use uuid::Uuid;

use super::ground::Ground;
use super::{Peer, Service};
use crate::fhir::audit::Act;
use crate::fhir::authorize::{Operation, Request};
use crate::fhir::fault::Fault;
use crate::fhir::reference;
use crate::fhir::subscribe::{Mailbox, Payload, socket};
use crate::r4::{Resource, json, xml};

#[async_trait]
impl Mailbox for Service {
    async fn may_receive(&self, peer: &Peer, resource: &Resource) -> Result<bool, Fault> {
        let Some(kind) = resource.resource_type() else {
            return Ok(false);
        };
        let asked = self
            .attempt(peer, async |ground: &mut Ground<'_>| {
                for operation in [Operation::Read, Operation::Websocket] {
                    let decision = ground
                        .judge(&Request::of(operation, kind, resource))
                        .await?;
                    if !decision.is_allowed() {
                        return Ok(false);
                    }
                    ground.allowed.get_or_insert(decision.reason());
                }
                let id = resource.id().and_then(|id| Uuid::parse_str(id).ok());
                let version = resource
                    .version_id()
                    .and_then(|version| version.parse().ok());
                if let Some(seen) = id.zip(version) {
                    ground.saw(Act::Event, kind, seen);
                }
                Ok(true)
            })
            .await;
        match asked {
            // Nobody any more: the certificate was taken from the allow list.
            Err(fault) if fault.status() < 500 => Ok(false),
            other => other,
        }
    }

    async fn may_listen(&self, peer: &Peer) -> Result<bool, Fault> {
        match self.identity(peer).await {
            Ok(identity) => Ok(socket::may_listen(&identity)),
            Err(fault) if fault.is_denial() => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    fn present(&self, resource: &Resource, payload: Payload) -> String {
        let mut shown = resource.clone();
        reference::clean(&mut shown);
        let bytes = match payload {
            Payload::Xml => xml::write(&shown, false),
            Payload::Json | Payload::Ping => json::write(&shown, false),
        };
        // Both writers write UTF-8.
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
