//! FHIRPath, as far as the constraints of R4, of DSF and of its plugins need it (fhir-conformance
//! §2.9): parsed once, evaluated on typed elements, within a budget of steps.
//!
//! What is not known (a function, an operator) is an error when an expression is parsed, never
//! something that is passed over. Deviations from the standard are those of the HL7 validator:
//! `.value` leads from a FHIR primitive to its system value, an empty result is a violation.

mod ast;
mod compare;
mod eval;
mod function;
mod item;
mod lex;
mod parse;

pub use ast::Expression;
pub use compare::{is_before, order_of};
pub use eval::{Budget, Fault, Surroundings, holds, selects};
#[cfg(test)]
mod tests;
