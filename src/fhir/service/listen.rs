//! What the feed of Subscriptions asks of the service.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::stop::Stop;
use super::{Origin, Service};
use crate::auth::Identity;
use crate::fhir::authorize::{Operation, Request};
use crate::fhir::reference;
use crate::fhir::subscribe::{Mailbox, Payload};
use crate::r4::{Resource, json, xml};
use crate::store::{AsyncPgConnection, Error};

#[async_trait]
impl Mailbox for Service {
    async fn may_receive(&self, identity: &Identity, resource: &Resource) -> Result<bool, Error> {
        let Some(kind) = resource.resource_type() else {
            return Ok(false);
        };
        let verified = HashSet::new();
        let origin = Origin {
            service: self,
            identity: Arc::new(identity.clone()),
            directory: self.directory.load_full(),
            verified: &verified,
        };
        let request = Request::of(Operation::Websocket, kind, resource);
        let alone = origin.ground(None).judge(&request).await;
        let judged = match alone {
            Err(Stop::NeedsConnection) => {
                let judge = async |conn: &mut AsyncPgConnection| {
                    Ok::<_, Error>(origin.ground(Some(conn)).judge(&request).await)
                };
                self.store.read(judge).await?
            }
            judged => judged,
        };
        match judged {
            Ok(decision) => Ok(decision.is_allowed()),
            Err(stop) => {
                tracing::warn!(?stop, "an event is withheld, its readers are not known");
                Ok(false)
            }
        }
    }

    fn present(&self, resource: &Resource, payload: Payload) -> String {
        let mut shown = resource.clone();
        reference::clean(&mut shown);
        let text = match payload {
            Payload::Xml => xml::write(&shown, false),
            Payload::Json | Payload::Ping => json::write(&shown, false),
        };
        String::from_utf8_lossy(&text).into_owned()
    }
}
