//! Floor 0 without FHIR: time, chance, retry, shutdown, telemetry, secrets, health.
//!
//! Everything here is handed around as a value, so that tests can replace it; nothing here
//! knows what the rest of the program does with it.

pub mod alarm;
pub mod clock;
pub mod health;
pub mod random;
pub mod retry;
pub mod secret;
pub mod shutdown;
pub mod telemetry;
#[cfg(test)]
pub mod testing;

pub use alarm::Alarm;
pub use clock::Clock;
pub use health::Health;
pub use random::Random;
pub use retry::{Backoff, retry};
pub use secret::Secret;
pub use shutdown::Shutdown;
