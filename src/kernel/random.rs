//! Chance as a value: jitter comes from a [`Random`], tests hand it a seeded one.
//!
//! Not for keys or tokens: those come from OpenSSL.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Where a component draws its random numbers. Cloning shares the same source.
#[derive(Clone, Debug)]
pub struct Random(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Seeded(Arc<Mutex<StdRng>>),
}

impl Random {
    /// The generator of the operating system, per thread.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A generator that draws the same numbers for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(
            seed,
        )))))
    }

    /// A number in `0.0..1.0`.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        match &self.0 {
            Source::System => rand::rng().random(),
            Source::Seeded(rng) => rng.lock().unwrap_or_else(PoisonError::into_inner).random(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_numbers() {
        let (one, other) = (Random::seeded(7), Random::seeded(7));
        let draws = |random: &Random| (0..5).map(|_| random.fraction()).collect::<Vec<_>>();
        assert_eq!(draws(&one), draws(&other));
    }
}
