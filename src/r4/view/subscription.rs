//! A Subscription: which resources a client wants to hear of over its WebSocket.

use crate::r4::{Node, Resource};

/// A Subscription, read.
#[derive(Clone, Copy, Debug)]
pub struct Subscription<'a>(pub &'a Resource);

impl<'a> Subscription<'a> {
    #[must_use]
    pub fn is_active(self) -> bool {
        self.0.str("status") == Some("active")
    }

    /// For example `Task?status=requested`.
    #[must_use]
    pub fn criteria(self) -> Option<&'a str> {
        self.0.str("criteria")
    }

    /// `websocket` for those that can be bound.
    #[must_use]
    pub fn channel_type(self) -> Option<&'a str> {
        self.0.get("channel")?.text("type")
    }

    /// The media type of the resources sent; absent: only a ping is sent.
    #[must_use]
    pub fn payload(self) -> Option<&'a str> {
        self.0.get("channel")?.text("payload")
    }
}
