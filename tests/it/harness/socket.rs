//! A socket of an engine.

use std::time::Duration;

use dsf::net::http::Url;
use dsf::net::websocket::{self, Event, Socket};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::sample::tag;
use super::{Client, JSON};

const PATIENCE: Duration = Duration::from_secs(20);

pub struct Listener(Socket);

impl Listener {
    /// Opens a socket at the node the client talks to.
    pub async fn open(client: &Client) -> Result<Self, websocket::Error> {
        let url = format!("{}/ws", client.base_url().replacen("https", "wss", 1));
        websocket::connect(client.http(), &Url::parse(&url).unwrap())
            .await
            .map(Self)
    }

    /// Opens a socket and binds it to a Subscription.
    pub async fn bound(client: &Client, subscription: &str) -> Self {
        let mut listener = Self::open(client).await.expect("a socket");
        listener.say(&format!("bind {subscription}")).await;
        assert_eq!(
            listener.hear().await,
            Event::Text(format!("bound {subscription}"))
        );
        listener
    }

    pub async fn say(&mut self, text: &str) {
        self.0
            .send_text(text)
            .await
            .expect("a socket that takes text");
    }

    /// What arrives next.
    pub async fn hear(&mut self) -> Event {
        let heard = timeout(PATIENCE, self.0.next()).await;
        heard
            .expect("something to arrive")
            .expect("a socket that lives")
    }

    /// The next frame as a resource.
    pub async fn event(&mut self) -> Value {
        match self.hear().await {
            Event::Text(text) => serde_json::from_str(&text).expect("a resource"),
            other => panic!("no frame but {other:?}"),
        }
    }

    /// Whether nothing more arrives for a moment.
    pub async fn is_silent(&mut self) -> bool {
        timeout(Duration::from_millis(500), self.0.next())
            .await
            .is_err()
    }

    /// Reads on until the socket ends, however it does; the number of frames.
    pub async fn drain(&mut self) -> usize {
        let mut frames = 0;
        while let Ok(Ok(Event::Text(_))) = timeout(PATIENCE, self.0.next()).await {
            frames += 1;
        }
        frames
    }

    pub async fn close(self) {
        self.0.close().await;
    }
}

/// A new Subscription with the given criteria; its id.
pub async fn subscribe(client: &Client, criteria: &str) -> String {
    let stored = client
        .create(&json!({
            "resourceType": "Subscription",
            "meta": {"tag": [tag("LOCAL")]},
            "status": "active",
            "reason": "test",
            "criteria": criteria,
            "channel": {"type": "websocket", "payload": JSON},
        }))
        .await;
    stored["id"].as_str().unwrap().to_owned()
}

/// The id of one of the two Subscriptions that engines use.
pub async fn built_in(client: &Client, criteria: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(criteria.as_bytes()).collect();
    let query = format!("Subscription?criteria:exact={encoded}&status=active");
    client.search(&query).await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}
