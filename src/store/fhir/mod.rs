//! SQL of the mailbox.

pub mod event;
pub mod search;
