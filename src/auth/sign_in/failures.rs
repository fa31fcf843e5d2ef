//! The failed attempts of one account, and the load of one source. Times are in
//! milliseconds since 1970.

/// The failed attempts of one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Failures {
    /// How many, since the last success or the last time they were forgotten.
    pub(super) count: u32,
    /// When the last was.
    pub(super) last: i64,
    /// When the account was signed in to last. Failures that another replica remembers
    /// from before are forgotten with it.
    pub(super) cleared: i64,
}

// === impl Failures ===

impl Failures {
    /// Forgets failures whose last is longer ago than the window; a window of zero
    /// forgets none.
    pub(super) fn forget_old(&mut self, now: i64, window: i64) {
        if window > 0 && now - self.last > window {
            self.forget();
        }
    }

    /// Adds one. It is later than the last success, also within one millisecond, for
    /// that is how other replicas know which came first.
    pub(super) fn charge(&mut self, now: i64) {
        self.count = self.count.saturating_add(1);
        self.last = now.max(self.cleared + 1);
    }

    /// Notes a success, which is later than every failure so far.
    pub(super) fn clear(&mut self, now: i64) {
        self.cleared = now.max(self.last);
        self.forget();
    }

    /// Forgets all of them.
    pub(super) fn forget(&mut self) {
        self.count = 0;
        self.last = 0;
    }

    /// Whether nothing is left to remember. `horizon` is how long a success matters.
    pub(super) fn is_over(&self, now: i64, horizon: i64) -> bool {
        self.count == 0 && now - self.cleared > horizon
    }

    /// What is known when another replica knows this: the higher count, of failures
    /// since the later success.
    pub(super) fn merge(self, other: Self) -> Self {
        let cleared = self.cleared.max(other.cleared);
        let since = |failures: Self| (failures.last > cleared).then_some((failures.count, failures.last));
        let (counts, lasts): (Vec<u32>, Vec<i64>) = [self, other].into_iter().filter_map(since).unzip();
        Self { count: counts.into_iter().max().unwrap_or(0), last: lasts.into_iter().max().unwrap_or(0), cleared }
    }
}

/// How much a source may do: a bucket that holds so many attempts and drains evenly
/// within the window. Its level is told by the moment it will be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    /// Milliseconds in which one attempt drains.
    pub(super) cost: i64,
    /// Milliseconds in which a full bucket drains.
    pub(super) size: i64,
}

// === impl Bucket ===

impl Bucket {
    /// When it will be empty after one more attempt; `Err` with the moment from which
    /// there is room again when it has none.
    pub(super) fn charge(self, empty_at: i64, now: i64) -> Result<i64, i64> {
        let after = empty_at.max(now) + self.cost;
        if after <= now + self.size { Ok(after) } else { Err(after - self.size) }
    }
}
