//! WebSocket as a client, over the connection of the HTTP client: same identity, same trust, same
//! proxy. Pings keep proxies from cutting an idle connection and find one that is dead.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use reqwest::{StatusCode, Upgraded, Url};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as Protocol, Message};

use super::http::{self, Client, Request};

/// Largest message that is accepted.
const MESSAGE_LIMIT: usize = 64 << 20;
/// After this much silence the other side is pinged; after twice as much it is given up.
const PING_AFTER: Duration = Duration::from_secs(30);
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Why there is no WebSocket, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Http(#[from] http::Error),
    #[error("{0} is not a ws: or wss: address")]
    Address(Url),
    /// The server answered, but with no upgrade.
    #[error("{url} is no WebSocket: it answered {status}")]
    Refused { url: Url, status: StatusCode },
    #[error("{url} is no WebSocket: {problem}")]
    Handshake { url: Url, problem: String },
    #[error("no sign of life from the server for {0:?}")]
    Silent(Duration),
    #[error("the WebSocket broke: {0}")]
    Broken(#[source] Box<Protocol>),
}

/// What arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Text(String),
    Binary(Vec<u8>),
    /// The server closed; 1008 says that it does not let us in.
    Closed {
        code: Option<u16>,
        reason: String,
    },
}

/// An open WebSocket.
pub struct Socket {
    stream: WebSocketStream<Upgraded>,
    heard: Instant,
    pinged: bool,
}

/// Opens a WebSocket at a `ws:` or `wss:` address.
pub async fn connect(client: &Client, url: &Url) -> Result<Socket, Error> {
    let key = generate_key();
    let request = handshake(url, &key)?;
    let response = client.start(&request).await?;
    let status = response.status();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::Refused {
            url: url.clone(),
            status,
        });
    }
    let accepted = response
        .headers()
        .get(SEC_WEBSOCKET_ACCEPT)
        .map(HeaderValue::as_bytes);
    if accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        let problem = "its Sec-WebSocket-Accept does not fit our key".to_owned();
        return Err(Error::Handshake {
            url: url.clone(),
            problem,
        });
    }
    let upgraded = response.upgrade().await.map_err(|error| Error::Handshake {
        url: url.clone(),
        problem: error.to_string(),
    })?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_LIMIT))
        .max_frame_size(Some(MESSAGE_LIMIT));
    let stream = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
    Ok(Socket {
        stream,
        heard: Instant::now(),
        pinged: false,
    })
}

fn handshake(url: &Url, key: &str) -> Result<Request, Error> {
    let mut address = url.clone();
    let scheme = match url.scheme() {
        "wss" => "https",
        "ws" => "http",
        _ => return Err(Error::Address(url.clone())),
    };
    // `Url::set_scheme` refuses to make a special scheme of another kind; ws and http are alike.
    address
        .set_scheme(scheme)
        .map_err(|()| Error::Address(url.clone()))?;
    let key = HeaderValue::from_str(key).map_err(|_| Error::Address(url.clone()))?;
    Ok(Request::get(address)
        .header(CONNECTION, HeaderValue::from_static("Upgrade"))
        .header(UPGRADE, HeaderValue::from_static("websocket"))
        .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
        .header(SEC_WEBSOCKET_KEY, key))
}

impl Socket {
    pub async fn send_text(&mut self, text: impl Into<String>) -> Result<(), Error> {
        self.stream
            .send(Message::text(text.into()))
            .await
            .map_err(broken)
    }

    /// The next event; answers and sends pings meanwhile. Safe to drop and call again. After
    /// [`Event::Closed`] or an error the socket is of no more use.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            let patience = if self.pinged {
                PING_AFTER * 2
            } else {
                PING_AFTER
            };
            let Ok(arrived) = timeout_at(self.heard + patience, self.stream.next()).await else {
                if self.pinged {
                    return Err(Error::Silent(patience));
                }
                self.pinged = true;
                self.stream
                    .send(Message::Ping(Vec::new().into()))
                    .await
                    .map_err(broken)?;
                continue;
            };
            (self.heard, self.pinged) = (Instant::now(), false);
            match arrived {
                Some(Ok(Message::Text(text))) => return Ok(Event::Text(text.to_string())),
                Some(Ok(Message::Binary(bytes))) => return Ok(Event::Binary(bytes.to_vec())),
                Some(Ok(Message::Close(frame))) => return Ok(closed(frame)),
                Some(Ok(_)) => {
                    // Pongs are queued by the protocol and go out with a flush.
                    self.stream.flush().await.map_err(broken)?;
                }
                None | Some(Err(Protocol::ConnectionClosed | Protocol::AlreadyClosed)) => {
                    return Ok(closed(None));
                }
                Some(Err(error)) => return Err(broken(error)),
            }
        }
    }

    /// Says goodbye (1000) and waits a moment for the answer.
    pub async fn close(mut self) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        // The connection goes away in any case.
        let _ = timeout(CLOSE_PATIENCE, async {
            self.stream.close(Some(frame)).await?;
            while self
                .stream
                .next()
                .await
                .is_some_and(|arrived| arrived.is_ok())
            {}
            Ok::<(), Protocol>(())
        })
        .await;
    }
}

fn closed(frame: Option<CloseFrame>) -> Event {
    let code = frame.as_ref().map(|frame| u16::from(frame.code));
    Event::Closed {
        code,
        reason: frame
            .map(|frame| frame.reason.to_string())
            .unwrap_or_default(),
    }
}

fn broken(error: Protocol) -> Error {
    Error::Broken(Box::new(error))
}
