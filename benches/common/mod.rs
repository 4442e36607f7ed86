//! What benchmarks of servers share: a client that costs next to nothing, measuring, printing.

pub mod copies;
pub mod figures;
pub mod wire;

#[allow(unused_imports, reason = "not every benchmark needs all of it")]
pub use figures::{Figures, measure, period};
