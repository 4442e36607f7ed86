//! The active Subscriptions, as the database has them.

use serde_json::Value;
use uuid::Uuid;

use crate::fhir::search::{Condition, Criteria};
use crate::r4::{Resource, ResourceType};
use crate::store::AsyncPgConnection;
use crate::store::Error;
use crate::store::fhir::search::all;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    Json,
    Xml,
    /// `ping <id>`: that something matches, not what.
    Ping,
}

#[derive(Debug)]
pub(super) struct Active {
    pub id: Uuid,
    pub criteria: Criteria,
    pub payload: Payload,
}

#[derive(Debug, Default)]
pub(super) struct Catalog(Vec<Active>);

impl Catalog {
    pub(super) async fn load(conn: &mut AsyncPgConnection) -> Result<Self, Error> {
        let active = Condition::Token(vec!["Subscription:status=active".to_owned()]);
        let hits = all(conn, ResourceType::Subscription, &active).await?;
        Ok(Self(
            hits.iter()
                .filter_map(|hit| active_of(hit.id, hit.document.as_deref()?))
                .collect(),
        ))
    }

    /// The Subscription with exactly this id: upper case or braces name nothing.
    pub(super) fn find(&self, id: &str) -> Option<Uuid> {
        self.0
            .iter()
            .map(|active| active.id)
            .find(|known| known.to_string() == id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Active> {
        self.0.iter()
    }

    /// Those that may match resources of a type.
    pub(super) fn of(&self, kind: ResourceType) -> impl Iterator<Item = &Active> {
        self.0
            .iter()
            .filter(move |active| active.criteria.kind == kind)
    }
}

/// `None` for what cannot match: criteria we do not understand, another channel.
fn active_of(id: Uuid, document: &str) -> Option<Active> {
    let resource = Resource::from_value(serde_json::from_str(document).ok()?)?;
    let criteria = Criteria::parse(resource.str("criteria")?)?;
    let channel = resource.get("channel")?;
    if channel.get("type").and_then(Value::as_str) != Some("websocket") {
        return None;
    }
    let payload = match channel.get("payload").and_then(Value::as_str) {
        None => Payload::Ping,
        Some(media) if media.contains("xml") => Payload::Xml,
        Some(_) => Payload::Json,
    };
    Some(Active {
        id,
        criteria,
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(0xa);

    fn payload(channel: &str) -> Option<Payload> {
        let document = format!(
            r#"{{"resourceType":"Subscription","criteria":"Task?status=requested","channel":{channel}}}"#
        );
        active_of(ID, &document).map(|active| active.payload)
    }

    #[test]
    fn a_subscription_without_payload_pings() {
        assert_eq!(payload(r#"{"type":"websocket"}"#), Some(Payload::Ping));
        let json = r#"{"type":"websocket","payload":"application/fhir+json"}"#;
        assert_eq!(payload(json), Some(Payload::Json));
        let xml = r#"{"type":"websocket","payload":"application/fhir+xml"}"#;
        assert_eq!(payload(xml), Some(Payload::Xml));
        assert_eq!(payload(r#"{"type":"rest-hook"}"#), None);
    }
}
