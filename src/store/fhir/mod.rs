//! SQL of the mailbox.

pub mod search;
