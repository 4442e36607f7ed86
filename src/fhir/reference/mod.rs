//! References: where they stand, what they are, what they must point to, and what answers hide
//! (fhir-api §7, Appendix A).

pub mod extract;
pub mod kind;
pub mod location;
pub mod rewrite;

pub use extract::{Found, references, visit};
pub use kind::{Kind, Literal};
pub use location::{Carrier, Location};
pub use rewrite::{absolute_urls, clean, set};
