//! Runs plugin code in QuickJS. The only place that knows the JavaScript engine.
//!
//! Every call gets a runtime of its own, so nothing survives a call but what the code gave to the
//! host: no variable of the module, no changed prototype, no timer. To keep calls fast, prelude and
//! modules are compiled once and each runtime loads their bytecode; a worker thread prepares the
//! next runtime as soon as the last call is over and then waits for work. Memory and time are
//! limited per runtime and call; when a limit is met the runtime is thrown away with everything in
//! it.

mod bridge;
mod bytecode;
mod pool;
mod prelude;
mod program;
mod raw;
mod sandbox;
mod source_map;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(in crate::bpe::plugin) mod types_tests;

/// What plugin code sees of the host, for the editors of its authors.
pub const TYPES: &str = include_str!("dsf.d.ts");

pub use pool::Pool;
pub use program::{Program, offer};
pub use source_map::SourceMap;
