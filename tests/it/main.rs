//! The behaviour of whole nodes: the built program, real PostgreSQL, real TLS. One file per
//! behaviour; [`harness`] holds the world they live in.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot set its stage fails by panicking"
)]

#[cfg(feature = "bpe")]
mod acceptance;
#[cfg(feature = "bpe")]
mod allow_list;
mod audit;
mod backup;
mod binary;
mod bundle;
mod certificate;
mod condition;
mod coverage;
mod database;
#[cfg(feature = "bpe")]
mod download;
mod edit;
mod effect;
mod event;
mod explain;
mod format;
mod greedy;
mod handshake;
mod harness;
mod identity;
#[cfg(feature = "bpe")]
mod letter;
mod load;
mod malformed;
mod membership;
#[cfg(feature = "bpe")]
mod neighbour;
#[cfg(feature = "bpe")]
mod network;
mod node;
#[cfg(feature = "bpe")]
mod outage;
#[cfg(feature = "bpe")]
mod process;
mod proxy;
mod refusal;
#[cfg(feature = "bpe")]
mod research;
mod resource;
mod slow;
mod snapshot;
mod socket;
#[cfg(feature = "bpe")]
mod task;
#[cfg(feature = "bpe")]
mod user_task;
mod validate;
mod wire;
