//! Search: what parameters exist, what they find, and how a page is answered (`spec/fhir-api.md` §5).
//!
//! `registry` is the one table of parameters. [`terms()`] writes what a resource is found by,
//! [`parse`] reads what a client asks for, both by that table; `matching` evaluates the same
//! conditions in memory for Subscriptions. The SQL is in `crate::store::fhir::search`.

mod criteria;
mod date;
mod fault;
mod gram;
mod include;
mod link;
mod matching;
mod parameter;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod property;
mod query;
pub mod registry;
mod run;
mod term;
mod terms;
#[cfg(test)]
mod tests;
mod token;

pub use criteria::Criteria;
pub use fault::{Fault, Faults};
pub use include::{Include, includes, reverse_includes};
pub use matching::Candidate;
pub use query::{Handling, Query, conditions, parse};
pub use run::{Page, run};
pub use terms::{RULES, terms};

pub use crate::store::fhir::search::{Condition, Hit, IndexTerms, Totals, Visible, fetch};
