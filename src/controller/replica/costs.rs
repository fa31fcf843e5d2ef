//! What owning something costs: microseconds of work in a second, over minutes.

use std::time::Duration;

use argosy_fleet::Cost;

/// How often costs are measured.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// How much of a rate is the latest measure, in percent: a change has told most of its
/// story after two minutes, and what lasts for seconds moves nothing.
const LATEST: u64 = 10;

/// Measures that are left out at first: taking something over costs more than having
/// it.
const SETTLING: u32 = 3;

/// Turns a count that only grows into a smoothed rate.
#[derive(Debug, Default)]
pub(super) struct Meter {
    counted: Duration,
    measures: u32,
    rate: Option<u64>,
}

// === impl Meter ===

impl Meter {
    /// The rate now that so much was counted, so long after the last time; `None` at
    /// first. A count that has become smaller is another one and begins at nothing.
    pub(super) fn rate(&mut self, counted: Duration, elapsed: Duration) -> Option<Cost> {
        let more = counted.checked_sub(self.counted).unwrap_or(counted);
        self.counted = counted;
        self.measures = self.measures.saturating_add(1);
        if self.measures <= SETTLING {
            return None;
        }
        let seconds = elapsed.as_secs_f64().max(0.001);
        let latest = (more.as_secs_f64() * 1_000_000.0 / seconds).round() as u64;
        let rate = self.rate.map_or(latest, |rate| (rate * (100 - LATEST) + latest * LATEST) / 100);
        self.rate = Some(rate);
        Some(Cost(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_follows_what_lasts_and_little_of_what_does_not() {
        let (mut meter, mut counted) = (Meter::default(), Duration::ZERO);
        let mut after = |millis: u64| {
            counted += Duration::from_millis(millis);
            meter.rate(counted, INTERVAL).map(|cost| cost.0)
        };
        // Taking over is left out.
        assert_eq!([after(9_000), after(2_000), after(500)], [None; 3]);
        assert_eq!([after(100), after(100)], [Some(10_000); 2]);
        // One busy moment, ten times as much.
        assert_eq!(after(1_000), Some(19_000));
        let lasting = (0..24).filter_map(|_| after(1_000)).last().expect("there were some");
        assert!((90_000..=100_000).contains(&lasting), "{lasting}");
    }

    #[test]
    fn a_count_that_starts_anew_is_not_less_than_nothing() {
        let mut meter = Meter::default();
        for _ in 0..5 {
            meter.rate(Duration::from_secs(50), INTERVAL);
        }
        assert_eq!(meter.rate(Duration::from_secs(1), Duration::from_secs(1)), Some(Cost(100_000)));
    }
}
