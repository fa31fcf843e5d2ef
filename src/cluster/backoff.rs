//! How long to wait before trying again: doubling, bounded, jittered.
//!
//! The jitter's seed is passed in, so that a fleet spreads its retries and a
//! test repeats them.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// One retry loop's waiting times.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    random: SmallRng,
}

// === impl Backoff ===

impl Backoff {
    /// Starts at `first`, doubles to `longest`.
    pub fn new(first: Duration, longest: Duration, seed: u64) -> Self {
        Self { first, longest, next: first, random: SmallRng::seed_from_u64(seed) }
    }

    /// The next wait: between half and the whole of the current step. A wait the
    /// server asked for is a floor, not a suggestion.
    pub fn wait(&mut self, asked: Option<Duration>) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.longest);
        let jittered = step.mul_f64(self.random.random_range(0.5..=1.0));
        asked.map_or(jittered, |floor| floor + jittered.min(floor))
    }

    /// Back to the first step, after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// A duration between zero and `longest`, to spread what would happen at once.
    pub fn spread(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.random.random_range(0.0..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_the_servers_wish_is_a_floor() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), 7);
        let waits: Vec<_> = (0..8).map(|_| backoff.wait(None)).collect();
        assert!(waits[0] <= Duration::from_millis(100));
        assert!(waits.iter().all(|w| *w <= Duration::from_secs(1)));
        assert!(waits[7] >= Duration::from_millis(500));
        assert!(backoff.wait(Some(Duration::from_secs(3))) >= Duration::from_secs(3));
    }
}
