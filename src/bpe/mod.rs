//! The control centre of an organisation: executes process plugins.
//!
//! `model`, `parse`, `expression`, `engine` and `scenario` are pure: no I/O, no clock, no
//! randomness. Everything that touches the world lies in the other modules.

pub mod engine;
pub mod expression;
pub mod model;
pub mod parse;
pub mod scenario;
