//! Waits that grow: between retries of an operation and between self-heals.

use std::time::Duration;

use argosy_model::duration;
use argosy_proto::v1alpha1::RetryStrategy;

/// A wait that grows by a factor with each step, up to a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// What each further wait is multiplied by.
    pub factor: f64,
    /// The longest wait.
    pub limit: Duration,
}

/// Argo CD's defaults for retried operations.
pub const RETRY: Backoff = Backoff { first: Duration::from_secs(5), factor: 2.0, limit: Duration::from_secs(180) };

// === impl Backoff ===

impl Backoff {
    /// The backoff an application asks for; what is absent is the default.
    ///
    /// # Errors
    /// The field that is not a duration, in words for its owner.
    pub fn of_retry(strategy: &RetryStrategy) -> Result<Self, String> {
        let Some(given) = &strategy.backoff else { return Ok(RETRY) };
        let read = |text: &str, field: &str, default| match text {
            "" => Ok(default),
            text => duration::parse(text).map_err(|e| format!("retry.backoff.{field}: {e}")),
        };
        #[expect(clippy::cast_precision_loss, reason = "factors are small numbers")]
        let factor = given.factor.map_or(RETRY.factor, |f| f as f64);
        Ok(Self {
            first: read(&given.duration, "duration", RETRY.first)?,
            factor,
            limit: read(&given.max_duration, "maxDuration", RETRY.limit)?,
        })
    }

    /// The wait after so many steps.
    pub fn after(&self, steps: u32) -> Duration {
        let steps = i32::try_from(steps).unwrap_or(i32::MAX);
        let seconds = self.first.as_secs_f64() * self.factor.powi(steps);
        // Also catches an overflow to infinity.
        if seconds < self.limit.as_secs_f64() {
            Duration::try_from_secs_f64(seconds).unwrap_or(self.limit)
        } else {
            self.limit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_never_overflow() {
        assert_eq!(RETRY.after(0), Duration::from_secs(5));
        assert_eq!(RETRY.after(3), Duration::from_secs(40));
        assert_eq!(RETRY.after(u32::MAX), Duration::from_secs(180));
    }

    #[test]
    fn a_malformed_duration_names_its_field() {
        let strategy: RetryStrategy =
            serde_json::from_value(serde_json::json!({"backoff": {"duration": "soon"}})).expect("a strategy");
        assert!(Backoff::of_retry(&strategy).expect_err("malformed").starts_with("retry.backoff.duration"));
    }
}
