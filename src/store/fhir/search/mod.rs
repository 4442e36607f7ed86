//! Search over current resources: typed conditions in, exact total and one page out.
//!
//! Nothing of a client's text becomes SQL: `sql` writes fixed fragments and bind parameters.
//! `spec/fhir-api.md` §5; what parameters mean is `fhir::search`'s business.

mod audience;
mod condition;
mod list;
mod lookup;
mod page;
mod run;
mod sql;
#[cfg(test)]
pub(crate) mod testing;
mod totals;

pub use condition::{
    Compare, Condition, Edge, Field, IndexTerms, Moment, Order, Selection, SortKey, Target, Test,
    Visible,
};
pub use lookup::{Asked, find_settled, with_tokens};
pub use run::{Found, Hit, Memory, all, by_references, by_tokens, fetch, run, tokens_of};
pub use totals::Totals;
