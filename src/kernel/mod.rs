//! Floor 0 without FHIR: time, retry, shutdown, telemetry.

pub mod clock;

pub use clock::Clock;
