//! Failures in a row: after a few, the last is the answer for a while, so that a
//! broken source does not cost a rendering at every refresh.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::error::Error;

/// When failures are answered from memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailurePolicy {
    /// Failures in a row before that begins; 0 for never.
    pub attempts: u32,
    /// How long after the first failure it lasts; zero for without end.
    pub pause: Duration,
    /// How many answers it lasts; 0 for any number.
    pub answers: u32,
}

/// Failures of one source since its last success.
#[derive(Debug)]
pub(super) struct Failures {
    count: u32,
    since: Timestamp,
    answered: u32,
    last: Arc<Error>,
}

// === impl FailurePolicy ===

impl Default for FailurePolicy {
    fn default() -> Self {
        Self { attempts: 3, pause: Duration::from_secs(60 * 60), answers: 0 }
    }
}

// === impl Failures ===

impl Failures {
    pub(super) fn new(now: Timestamp, error: Arc<Error>) -> Self {
        Self { count: 1, since: now, answered: 0, last: error }
    }

    pub(super) fn add(&mut self, now: Timestamp, error: Arc<Error>) {
        if self.count == 0 {
            self.since = now;
        }
        self.count = self.count.saturating_add(1);
        self.last = error;
    }

    /// The error to answer with, or none when it is time to try.
    pub(super) fn recall(&mut self, now: Timestamp, policy: &FailurePolicy) -> Option<Arc<Error>> {
        if policy.attempts == 0 || self.count < policy.attempts {
            return None;
        }
        let is_over = !policy.pause.is_zero() && now.duration_since(self.since).unsigned_abs() >= policy.pause;
        let is_used_up = policy.answers > 0 && self.answered >= policy.answers;
        if is_over || is_used_up {
            self.count = 0;
            self.answered = 0;
            return None;
        }
        self.answered = self.answered.saturating_add(1);
        Some(Arc::clone(&self.last))
    }
}
