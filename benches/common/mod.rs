//! What benchmarks of servers share: a client that costs next to nothing, measuring, printing.

pub mod figures;
pub mod wire;

pub use figures::{Figures, measure, period};
