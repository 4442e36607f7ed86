//! Who is asking: from a peer certificate to an identity with rights.
//!
//! Everything here is pure. The caller looks up organisations and hands them in; nothing is
//! cached, so a change of the allow list or of the role rules counts from the next request on
//! (auth-config §2.1). What an identity may do is decided in `fhir::authorize`.

pub mod certificate;
pub mod identify;
pub mod identity;
pub mod right;
pub mod roles;
#[cfg(test)]
mod tests;

pub use certificate::Certificate;
pub use identify::{Allowed, Refusal, claims, identify};
pub use identity::{Coding, Credential, HumanName, Identity, Member, Person, Subject};
pub use right::{Operation, Rights, Scope};
pub use roles::{Claims, Granted, Roles};
