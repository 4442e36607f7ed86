//! The SQL of the BPE role: definitions, instances, jobs, the inbox and the outbox.
//!
//! Functions take a connection and do one thing; what must happen together is one statement
//! ([`flush`]). Times are compared with the clock of the database only, so nodes with different
//! clocks agree on leases and due dates.

pub mod blob;
pub mod control;
pub mod definition;
pub mod deployment;
pub mod flush;
pub mod history;
pub mod inbox;
pub mod instance;
pub mod job;
pub mod outbox;
pub mod snapshot;
pub mod user_task;

/// The epoch of a lease: counts up whenever somebody takes it, so that a former holder's
/// statements match no row.
pub type Epoch = i64;

/// A condition that is always true and makes its statement return before the disk has it. Only for
/// what may be forgotten in a crash of the database, and only outside of a longer transaction.
const FORGETTABLE: &str = "(select set_config('synchronous_commit', 'off', true)) is not null";

#[cfg(test)]
mod tests;
