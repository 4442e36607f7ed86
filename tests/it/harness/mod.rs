//! A world to test in: certificates, an allow list, running nodes and clients with the identities
//! that matter.
//!
//! ```ignore
//! let server = Server::start().await;
//! let task = server.client("external").create(&process.task()).await;
//! ```
//! Nodes are processes of the built program with a database of their own, so a test sees exactly
//! what an operator gets. They end with their [`Server`].

#![allow(
    dead_code,
    unused_imports,
    reason = "tests and benches share this module, and neither needs all of it"
)]

pub mod allow_list;
pub mod client;
mod disk;
pub mod line;
pub mod material;
pub mod memory;
pub mod organization;
pub mod package;
mod postgres;
pub mod process;
pub mod raw;
pub mod sample;
mod server;
pub mod socket;
pub mod store;
pub mod world;

pub use client::Client;
pub use disk::Disk;
pub use line::Line;
pub use organization::Organization;
pub use package::Package;
pub use postgres::Postgres;
pub use process::Process;
pub use server::{Launch, Server, until};
pub use socket::Listener;
pub use store::Store;
pub use world::World;

pub const ORGANIZATION: &str = "http://dsf.dev/sid/organization-identifier";
pub const ENDPOINT: &str = "http://dsf.dev/sid/endpoint-identifier";
pub const JSON: &str = "application/fhir+json";
pub const XML: &str = "application/fhir+xml";
