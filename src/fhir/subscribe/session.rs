//! One socket without its wire: its bindings and its queue.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::auth::Identity;
use crate::fhir::service::Peer;

/// Frames that may wait for a slow reader.
const FRAMES: usize = 1024;
/// Bytes that may wait. One frame may always wait, whatever its size.
const BYTES: usize = 64 * 1024 * 1024;

/// What goes to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Text(Arc<str>),
    Close(Closing),
}

/// Why a socket is closed by us, with the codes and texts of the DSF (`spec/bpe.md` §1.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The identity may not use the socket at all.
    Forbidden,
    /// The certificate or token has run out.
    CredentialsExpired,
    /// The wanted Subscription is not there or not active.
    NotFound(String),
    /// A message of the client is longer than any it could mean.
    TooLong,
    /// Events cannot be delivered, mostly to a slow reader. The code makes a Java BPE connect again and catch up.
    Interrupted,
}

impl Closing {
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::Forbidden | Self::CredentialsExpired => 1008,
            Self::NotFound(_) | Self::Interrupted => 1003,
            Self::TooLong => 1009,
        }
    }

    /// At most the 123 bytes that a close frame holds.
    #[must_use]
    pub fn reason(&self) -> String {
        let text = match self {
            Self::Forbidden => "Forbidden".to_owned(),
            Self::CredentialsExpired => "Credentials expired".to_owned(),
            Self::NotFound(id) => format!("Subscription with {id} not found"),
            Self::TooLong => "Message too long".to_owned(),
            Self::Interrupted => "Events were interrupted".to_owned(),
        };
        let end = (0..=123)
            .rev()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(0);
        text.get(..end).unwrap_or(&text).to_owned()
    }
}

/// The side of a socket that the feed sees.
#[derive(Debug)]
pub struct Session {
    peer: Peer,
    identity: Arc<Identity>,
    queue: mpsc::Sender<Frame>,
    waiting: Arc<AtomicUsize>,
    bound: Mutex<HashSet<Uuid>>,
    /// Set when the socket must end and the queue cannot say so.
    cut: CancellationToken,
}

/// The side of a socket that the wire sees.
#[derive(Debug)]
pub struct Outlet {
    queue: mpsc::Receiver<Frame>,
    waiting: Arc<AtomicUsize>,
    pub cut: CancellationToken,
}

impl Session {
    #[must_use]
    pub fn new(peer: Peer, identity: Arc<Identity>) -> (Arc<Self>, Outlet) {
        let (sender, receiver) = mpsc::channel(FRAMES);
        let waiting = Arc::new(AtomicUsize::new(0));
        let cut = CancellationToken::new();
        let outlet = Outlet {
            queue: receiver,
            waiting: Arc::clone(&waiting),
            cut: cut.clone(),
        };
        let bound = Mutex::default();
        (
            Arc::new(Self { peer, identity,
                queue: sender,
                waiting,
                bound,
                cut,
            }),
            outlet,
        )
    }

    /// Who the client proved to be; what it may do is asked again and again.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Queues a frame, or gives the socket up when its queue is full.
    pub fn send(&self, frame: Frame) {
        let size = frame.size();
        let before = self.waiting.fetch_add(size, Ordering::AcqRel);
        let full = before > 0 && before + size > BYTES;
        if full || self.queue.try_send(frame).is_err() {
            self.give_up();
        }
    }

    /// Ends the socket without waiting for its queue.
    pub fn give_up(&self) {
        self.cut.cancel();
    }

    /// `bound` goes into the queue before any event can.
    pub(super) fn bind(&self, subscription: Uuid) {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        self.send(Frame::Text(format!("bound {subscription}").into()));
        bound.insert(subscription);
    }

    pub(super) fn is_bound(&self, subscription: Uuid) -> bool {
        self.bound
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&subscription)
    }
}

impl Outlet {
    /// The next frame; `None` when the session is gone.
    pub async fn next(&mut self) -> Option<Frame> {
        let frame = self.queue.recv().await?;
        self.waiting.fetch_sub(frame.size(), Ordering::AcqRel);
        Some(frame)
    }
}

impl Frame {
    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Close(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> (Arc<Session>, Outlet) {
        Session::new(Peer::Loader, Arc::new(Identity::initial_loader()))
    }

    #[tokio::test]
    async fn bound_is_said_before_any_event() {
        let (session, mut outlet) = session();
        let id = Uuid::from_u128(1);
        assert!(!session.is_bound(id));
        session.bind(id);
        assert!(session.is_bound(id));
        session.send(Frame::Text("event".into()));
        assert_eq!(
            outlet.next().await,
            Some(Frame::Text(format!("bound {id}").into()))
        );
        assert_eq!(outlet.next().await, Some(Frame::Text("event".into())));
    }

    #[tokio::test]
    async fn a_reader_that_lets_too_much_pile_up_is_cut_off() {
        let (session, outlet) = session();
        let large: Arc<str> = "x".repeat(BYTES + 1).into();
        session.send(Frame::Text(large));
        assert!(!outlet.cut.is_cancelled(), "one frame may have any size");
        session.send(Frame::Text("x".into()));
        assert!(outlet.cut.is_cancelled());

        let (session, outlet) = self::session();
        for _ in 0..=FRAMES {
            session.send(Frame::Text("".into()));
        }
        assert!(outlet.cut.is_cancelled());
    }

    #[test]
    fn a_reason_fits_into_a_close_frame() {
        assert_eq!(
            Closing::NotFound("x".to_owned()).reason(),
            "Subscription with x not found"
        );
        assert!(Closing::NotFound("ä".repeat(200)).reason().len() <= 123);
    }
}
