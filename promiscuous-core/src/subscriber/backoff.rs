//! How long to wait before the next attempt.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Exponential backoff with jitter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    /// The first pause.
    pub(crate) first: Duration,
    /// The longest pause.
    pub(crate) longest: Duration,
}

impl Backoff {
    /// The pause after `failures` failures in a row (from 1), between half and all of `first * 2^(failures - 1)`.
    pub(crate) fn pause(self, failures: u32) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        let full = doubled.min(self.longest);
        // The standard library's random keys are all the randomness that jitter needs.
        let random = RandomState::new().hash_one(failures) % 512;
        full / 2 + full.mul_f64(random as f64 / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_never_leave_their_bounds() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(60) };
        for (failures, full) in [(1, 100), (2, 200), (4, 800), (30, 60_000), (u32::MAX, 60_000)] {
            let pause = backoff.pause(failures);
            assert!(pause >= Duration::from_millis(full / 2) && pause <= Duration::from_millis(full));
        }
    }
}
