//! How often the provider may be asked what it says of itself.

use std::time::Duration;

use tokio::time::Instant;

/// Readings in quick succession: a rotation of keys, and a few strangers.
const MOST: u32 = 8;
/// After which one more is granted.
const PAUSE: Duration = Duration::from_secs(5);

/// Readings that are left, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ration {
    left: u32,
    since: Instant,
}

// === impl Ration ===

impl Ration {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: MOST, since: now }
    }

    /// Takes one, if one is left.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.since).as_secs() / PAUSE.as_secs();
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(MOST);
            self.left = self.left.saturating_add(earned).min(MOST);
            self.since = now;
        }
        let granted = self.left > 0;
        self.left -= u32::from(granted);
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_granted_a_few_readings_and_then_one_at_a_time() {
        let start = Instant::now();
        let mut ration = Ration::new(start);
        assert_eq!((0..100).filter(|_| ration.take(start)).count(), 8);
        assert!(!ration.take(start + Duration::from_secs(4)));
        assert!(ration.take(start + Duration::from_secs(5)));
        assert!(!ration.take(start + Duration::from_secs(6)));
        let late = start + Duration::from_secs(3600);
        assert_eq!((0..100).filter(|_| ration.take(late)).count(), 8);
    }
}
