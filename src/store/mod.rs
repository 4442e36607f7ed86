//! (to be written)

#[cfg(feature = "bpe")]
pub mod bpe;
#[cfg(feature = "fhir")]
pub mod fhir;
