//! The wire of a socket: actix-ws on one side, a [`Session`] on the other (`spec/bpe.md` §1.4).

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseReason, ProtocolError};
use rand::Rng;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::auth::{Identity, Operation};
use crate::fhir::service::Peer;
use crate::kernel::Shutdown;
use crate::r4::ResourceType;

use super::feed::Feed;
use super::session::{Closing, Frame, Outlet, Session};

/// Keeps proxies and Java's idle time-out of 30 s away.
const HEARTBEAT: Duration = Duration::from_secs(28);
/// The longest message of a client: `bind` and an id, with room for what is ignored.
const LONGEST: usize = 4096;
/// Bytes that may be under way before the client has shown, by a pong, that it reads them. What lies
/// between us and the client holds any number of bytes, and must not hold what belongs in the
/// queue of the session, where it is counted.
const WINDOW: usize = 1 << 20;
/// How often it is asked whether the client may still listen.
const LOOK: Duration = Duration::from_secs(5);
/// How long a client may take to accept a close frame.
const FAREWELL: Duration = Duration::from_secs(5);

/// Who asks for a socket.
#[derive(Clone)]
pub struct Client {
    pub peer: Peer,
    pub identity: Arc<Identity>,
    /// Whether the connection would still be let in.
    pub is_trusted: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Answers the upgrade request of an identified client and serves its socket until it ends.
///
/// # Errors
/// When the request is no WebSocket handshake.
pub fn open(
    request: &HttpRequest,
    body: web::Payload,
    client: Client,
    feed: Arc<Feed>,
    shutdown: Shutdown,
) -> Result<HttpResponse, actix_web::Error> {
    let (response, wire, messages) = actix_ws::handle(request, body)?;
    let messages = messages
        .max_frame_size(LONGEST)
        .aggregate_continuations()
        .max_continuation_size(LONGEST);
    actix_web::rt::spawn(async move {
        if !may_listen(&client.identity) {
            bid_farewell(wire, &Closing::Forbidden).await;
            return;
        }
        let (session, outlet) = Session::new(client.peer, client.identity);
        feed.join(&session);
        let link = Link {
            feed,
            session,
            wire,
            messages,
            outlet,
            is_trusted: client.is_trusted,
            under_way: 0,
            probe: None,
        };
        tokio::select! {
            // Without a close frame, as Java does: its BPE then catches up with what it missed.
            () = shutdown.begun() => {}
            () = link.serve() => {}
        }
    });
    Ok(response)
}

/// The right counts whatever its type; that of the type is looked at with each event.
#[must_use]
pub fn may_listen(identity: &Identity) -> bool {
    let allows = |kind: &ResourceType| identity.rights.allow(Operation::Websocket, *kind);
    identity.is_local() && ResourceType::ALL.iter().any(allows)
}

async fn bid_farewell(wire: actix_ws::Session, closing: &Closing) {
    let reason = CloseReason {
        code: closing.code().into(),
        description: Some(closing.reason()),
    };
    // Whether the client hears it or is gone: the socket ends.
    let _ = timeout(FAREWELL, wire.close(Some(reason))).await;
}

struct Link {
    feed: Arc<Feed>,
    session: Arc<Session>,
    wire: actix_ws::Session,
    messages: AggregatedMessageStream,
    outlet: Outlet,
    is_trusted: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Bytes of frames since the last sign that the client reads.
    under_way: usize,
    /// The ping whose pong is that sign.
    probe: Option<[u8; 16]>,
}

/// What ends a socket.
enum End {
    /// The connection broke.
    Gone,
    /// The client said good-bye.
    Left,
    Closing(Closing),
}

impl Link {
    async fn serve(mut self) {
        let cut = self.outlet.cut.clone();
        let end = tokio::select! {
            end = self.exchange() => end,
            // A write that waits for a slow reader is given up as well.
            () = cut.cancelled() => End::Closing(Closing::Interrupted),
        };
        match end {
            End::Gone => {}
            End::Left => {
                let _ = timeout(FAREWELL, self.wire.close(None)).await;
            }
            End::Closing(closing) => {
                tracing::info!(
                    identity = self.session.identity().name(),
                    code = closing.code(),
                    reason = closing.reason(),
                    "socket closed"
                );
                bid_farewell(self.wire, &closing).await;
            }
        }
    }

    async fn exchange(&mut self) -> End {
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = interval_at(Instant::now() + LOOK, LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let going_on = tokio::select! {
                message = self.messages.recv() => match message {
                    Some(Ok(message)) => self.hear(message).await,
                    Some(Err(ProtocolError::Overflow)) => Err(End::Closing(Closing::TooLong)),
                    Some(Err(_)) | None => Err(End::Gone),
                },
                frame = self.outlet.next(), if self.probe.is_none() => match frame {
                    Some(frame) => self.tell(frame).await,
                    None => Err(End::Gone),
                },
                _ = look.tick() => self.keeps_its_right().await,
                _ = heartbeat.tick() => {
                    let mut bytes = [0_u8; 32];
                    rand::rng().fill(&mut bytes);
                    self.wire.ping(&bytes).await.map_err(|_| End::Gone)
                }
            };
            if let Err(end) = going_on {
                return end;
            }
        }
    }

    /// Certificate, allow list, role rules and CAs may have changed since the socket was opened.
    async fn keeps_its_right(&self) -> Result<(), End> {
        if self.session.identity().is_expired(self.feed.clock().now()) {
            return Err(End::Closing(Closing::CredentialsExpired));
        }
        if (self.is_trusted)() && self.feed.upholds(&self.session).await {
            return Ok(());
        }
        Err(End::Closing(Closing::Forbidden))
    }

    async fn hear(&mut self, message: AggregatedMessage) -> Result<(), End> {
        match message {
            AggregatedMessage::Text(text) => {
                self.feed.hear(&self.session, &text).await.map_err(|error| {
                    tracing::warn!(%error, "cannot bind");
                    End::Gone
                })
            }
            AggregatedMessage::Ping(bytes) => self.wire.pong(&bytes).await.map_err(|_| End::Gone),
            AggregatedMessage::Close(_) => Err(End::Left),
            AggregatedMessage::Pong(bytes) => {
                if self.probe.is_some_and(|probe| bytes[..] == probe) {
                    (self.under_way, self.probe) = (0, None);
                }
                Ok(())
            }
            AggregatedMessage::Binary(_) => Ok(()),
        }
    }

    /// Credentials are looked at once more: a frame may have waited.
    async fn tell(&mut self, frame: Frame) -> Result<(), End> {
        if self.session.identity().is_expired(self.feed.clock().now()) {
            return Err(End::Closing(Closing::CredentialsExpired));
        }
        match frame {
            Frame::Text(text) => {
                self.wire.text(&*text).await.map_err(|_| End::Gone)?;
                self.under_way += text.len();
                if self.under_way < WINDOW {
                    return Ok(());
                }
                let probe: [u8; 16] = rand::rng().random();
                self.probe = Some(probe);
                self.wire.ping(&probe).await.map_err(|_| End::Gone)
            }
            Frame::Close(closing) => Err(End::Closing(closing)),
        }
    }
}
