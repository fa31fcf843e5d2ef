//! When a credential is exchanged: the decision, pure.

use std::time::Duration;

/// Part of its life after which a credential is exchanged, at the earliest and at
/// the latest: early enough to try for a while before it ends, spread so that a
/// thousand clusters connected at once do not all come at once.
const SHARE: (f64, f64) = (0.5, 0.7);

/// First and longest wait after a failed exchange.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Least time between exchanges because the cluster refuses a credential: one
/// that is refused at once must not be made over and over.
const REFUSED: Duration = Duration::from_secs(5);

/// How long to work with a credential that lives for `given`, of which a life of
/// `wanted` was asked for. `chance` is in `0.0..1.0`.
pub(super) fn plan_exchange(given: Duration, wanted: Duration, chance: f64) -> Duration {
    given.min(wanted).mul_f64(SHARE.0 + (SHARE.1 - SHARE.0) * chance.clamp(0.0, 1.0))
}

/// How long to wait after the so-many-th failure in a row.
pub(super) fn plan_retry(failures: u32) -> Duration {
    BACKOFF.0.saturating_mul(1 << failures.min(7)).min(BACKOFF.1)
}

/// How long to wait with a new credential when the cluster refuses one that is
/// this old.
pub(super) fn plan_replacement(age: Duration) -> Duration {
    REFUSED.saturating_sub(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_exchanged_within_its_share_whatever_the_server_gives() {
        let hour = Duration::from_secs(3600);
        assert_eq!(plan_exchange(hour, hour, 0.0), Duration::from_secs(1800));
        assert_eq!(plan_exchange(hour, hour, 1.0), Duration::from_secs(2520));
        // A server that gives less, or more.
        assert_eq!(plan_exchange(hour / 6, hour, 0.0), Duration::from_secs(300));
        assert_eq!(plan_exchange(24 * hour, hour, 0.0), Duration::from_secs(1800));
    }

    #[test]
    fn attempts_are_spaced_out() {
        assert_eq!(plan_retry(1), Duration::from_secs(2));
        assert_eq!(plan_retry(1000), Duration::from_secs(60));
        assert_eq!(plan_replacement(Duration::from_secs(60)), Duration::ZERO);
        assert_eq!(plan_replacement(Duration::ZERO), REFUSED);
    }
}
