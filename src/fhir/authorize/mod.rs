//! Who may do what: the authorisation rules of `auth-config.md` §4 and §5 as pure functions.
//!
//! [`admit`] answers what identity, operation and type alone decide, before a body is read.
//! [`decide()`] judges one [`Request`] against old and new resource and the [`Facts`]; it either
//! decides or names the [`Lookup`]s it still needs. [`access_keys`] and [`AccessFilter`] are the
//! two sides of visibility: the keys a resource version opens itself to, and the keys an identity
//! holds. A row is visible if they meet; the store applies that in SQL (`access && keys`).

mod access;
mod content;
mod decide;
mod decision;
mod fact;
mod json;
mod outline;
mod process;
mod questionnaire_response;
mod read_tag;
mod reference;
mod request;
mod task;
#[cfg(test)]
mod tests;
mod unique;

pub use access::{AccessFilter, access_filter, access_keys};
pub use decide::decide;
pub use decision::{Decision, Reason};
pub use fact::{Answer, Facts, Lookup, Membership, Target};
pub use outline::{Outline, outline};
pub use request::{Request, admit};
pub use unique::unique_keys;

pub use crate::auth::Operation;
