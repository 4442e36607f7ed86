//! Trying again, later and later, never all at once.
//!
//! The wait doubles with every attempt up to a cap; half of it is chance, so that nodes which
//! failed together do not come back together.

use std::time::Duration;

use crate::kernel::Random;

/// How long to wait before which attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
}

impl Backoff {
    /// Waits about `first` after the first failure, twice that after the second, at most `cap`.
    #[must_use]
    pub const fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap }
    }

    /// The wait after failure number `failures` (the first is 1): between half of the nominal
    /// wait and all of it.
    #[must_use]
    pub fn delay(&self, failures: u32, random: &Random) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let nominal = self.first.saturating_mul(1 << doublings).min(self.cap);
        nominal.mul_f64(0.5 + random.fraction() / 2.0)
    }
}

/// Runs `attempt` up to `attempts` times, waiting by `backoff` in between, as long as `worth_it`
/// says that an error may pass by itself. Answers the last error otherwise.
pub async fn retry<T, E>(
    attempts: u32,
    backoff: Backoff,
    random: &Random,
    worth_it: impl Fn(&E) -> bool,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut failures = 0;
    loop {
        match attempt().await {
            Err(error) if failures + 1 < attempts && worth_it(&error) => {
                failures += 1;
                tokio::time::sleep(backoff.delay(failures, random)).await;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_half_of_each_is_chance() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let random = Random::seeded(1);
        for (failures, nominal) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 800),
            (5, 1000),
            (99, 1000),
        ] {
            let delay = backoff.delay(failures, &random).as_millis();
            assert!(
                (nominal / 2..=nominal).contains(&delay),
                "{failures}: {delay} ms"
            );
        }
    }

    #[tokio::test]
    async fn only_errors_worth_it_are_tried_again_and_not_for_ever() {
        let backoff = Backoff::new(Duration::from_micros(1), Duration::from_micros(1));
        let run = async |final_after: u32| {
            let mut calls = 0;
            let outcome: Result<(), bool> = retry(
                3,
                backoff,
                &Random::seeded(1),
                |passes| *passes,
                async || {
                    calls += 1;
                    Err(calls < final_after)
                },
            )
            .await;
            (calls, outcome)
        };
        assert_eq!(run(1).await, (1, Err(false)));
        assert_eq!(run(2).await, (2, Err(false)));
        assert_eq!(run(9).await, (3, Err(true)));
    }
}
