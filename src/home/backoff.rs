//! How long to wait before trying again: doubling, bounded, jittered. The seed is
//! passed in, so that replicas spread their retries and a test repeats them.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The waiting times of one retry loop.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    random: SmallRng,
}

// === impl Backoff ===

impl Backoff {
    /// Starts at `first` and doubles up to `longest`.
    pub(crate) fn new(first: Duration, longest: Duration, seed: u64) -> Self {
        Self { first, longest, next: first, random: SmallRng::seed_from_u64(seed) }
    }

    /// The next wait, between half and the whole of the current step, and never
    /// shorter than what the server asked for.
    pub(crate) fn wait(&mut self, asked: Option<Duration>) -> Duration {
        let jittered = self.next.mul_f64(self.random.random_range(0.5..=1.0));
        self.next = (self.next * 2).min(self.longest);
        asked.map_or(jittered, |floor| floor + jittered.min(floor))
    }

    /// Back to the first step, after a success.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// A whole number of seconds between `least` and twice as many.
    pub(crate) fn spread_seconds(&mut self, least: u64) -> u64 {
        self.random.random_range(least..=least * 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_the_servers_wish_is_a_floor() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), 7);
        let waits: Vec<_> = (0..8).map(|_| backoff.wait(None)).collect();
        assert!(waits[0] <= Duration::from_millis(100));
        assert!(waits.iter().all(|w| *w <= Duration::from_secs(1)));
        assert!(waits[7] >= Duration::from_millis(500));
        assert!(backoff.wait(Some(Duration::from_secs(3))) >= Duration::from_secs(3));
        backoff.reset();
        assert!(backoff.wait(None) <= Duration::from_millis(100));
    }
}
