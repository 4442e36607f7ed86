//! Floor 1, the database: PostgreSQL and nothing else. All SQL of the project lives below here.
//!
//! [`Database::open`] yields the server to talk to: the one of `database.url`, or a private
//! [`Cluster`] that this process starts, owns and stops. [`Store`] is the pool of one role in its
//! own schema; `read` and `write` are the only ways to a connection, and a connection is held only
//! while SQL runs. [`notify::Hub`] tells what other nodes changed; it is a hint, tables are the truth.

pub mod backup;
#[cfg(feature = "bpe")]
pub mod bpe;
mod changes;
pub mod cluster;
mod connect;
mod database;
mod error;
#[cfg(test)]
pub(crate) mod faults;
#[cfg(feature = "fhir")]
pub mod fhir;
mod gather;
pub mod migrate;
pub mod notify;
mod pool;
mod settings;
mod statement;
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;

pub use backup::BackupError;
pub use changes::{Changes, Moment};
pub use cluster::{Cluster, Refusal};
pub use database::Database;
pub use diesel_async::AsyncPgConnection;
pub use error::Error;
pub use pool::{Statements, Store};
pub use settings::{Schema, Settings};
