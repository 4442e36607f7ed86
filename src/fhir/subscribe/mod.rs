//! Subscriptions: tells sockets what was written (`spec/bpe.md` §1).
//!
//! [`Feed`] reads the event log by a cursor, on every node all of it; NOTIFY only says when to look.
//! The `catalog` holds the active Subscriptions, whose criteria are the conditions of a search and
//! are tried on an event's resource in memory. A [`Session`] is one socket: what it is bound to and
//! a bounded queue of frames; `socket` moves them onto the wire.
//!
//! A bind takes effect at its place in the log: whatever is committed after the client has `bound`
//! in hand is delivered, once per socket and Subscription, in the order of the log. What happened
//! before is found by a search, as Java and our own BPE do after each bind.

mod catalog;
mod feed;
mod session;
pub mod socket;
#[cfg(test)]
mod tests;

pub use catalog::Payload;
pub use feed::{Feed, Mailbox};
pub use session::{Closing, Frame, Session};
