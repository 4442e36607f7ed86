//! Bodies that are sent while they are made.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Pieces on their way at a time; whoever makes more waits.
const UNDERWAY: usize = 2;

/// The end that is written. Dropped without [`Pieces::finish`], the request breaks, and the server
/// does not take what came so far for the whole.
#[derive(Debug)]
pub struct Pieces(Sender<Option<Bytes>>);

/// The end that is sent.
#[derive(Debug)]
pub struct Body(Receiver<Option<Bytes>>);

/// Nobody listens any more: the request has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

/// A body in two ends.
#[must_use]
pub fn pieces() -> (Pieces, Body) {
    let (sender, receiver) = mpsc::channel(UNDERWAY);
    (Pieces(sender), Body(receiver))
}

impl Pieces {
    /// # Errors
    /// When the request has ended.
    pub async fn send(&self, piece: Bytes) -> Result<(), Ended> {
        self.0.send(Some(piece)).await.map_err(|_| Ended)
    }

    /// # Errors
    /// When the request has ended.
    pub async fn finish(self) -> Result<(), Ended> {
        self.0.send(None).await.map_err(|_| Ended)
    }
}

impl From<Body> for reqwest::Body {
    fn from(body: Body) -> Self {
        let pieces = stream::unfold(Some(body.0), async |receiver| {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Some(piece)) => Some((Ok(piece), Some(receiver))),
                Some(None) => None,
                None => Some((Err(io::Error::other("the content was not finished")), None)),
            }
        });
        Self::wrap_stream(pieces)
    }
}
