//! Results by what they depend on, bounded by bytes; one rendering at a time for
//! each; and failures that are not tried for ever.
//!
//! The lock is held for look-ups only, never while rendering. Nothing here reads a
//! clock. A rendering that panics wakes those who wait for it, and one of them
//! renders instead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::error::Error;
use crate::rendered::Rendered;

mod failures;
mod flight;
mod lru;

pub use failures::FailurePolicy;
use failures::Failures;
use flight::Flight;
pub(crate) use lru::Lru;

/// Sources whose failures are remembered; about 300 bytes each.
const FAILURES_KEPT: u64 = 16_384;

/// Hash of all a result depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub [u8; 32]);

/// What a rendering gave. Errors are shared, for all who waited get the same.
pub type Outcome = Result<Arc<Rendered>, Arc<Error>>;

/// Counters since the start, and what is held now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Answers from memory.
    pub hits: u64,
    /// Answers that had to be rendered.
    pub misses: u64,
    /// Answers shared with a rendering already under way.
    pub joins: u64,
    /// Renderings begun.
    pub renders: u64,
    /// Renderings that failed.
    pub failures: u64,
    /// Failures answered from memory.
    pub cached_failures: u64,
    /// Results dropped for want of room.
    pub evictions: u64,
    /// Results held.
    pub entries: u64,
    /// Bytes held.
    pub bytes: u64,
}

/// See the module.
pub struct Cache {
    state: Mutex<State>,
    policy: FailurePolicy,
}

struct State {
    results: Lru<Key, Arc<Rendered>>,
    failures: Lru<Key, Failures>,
    flights: HashMap<Key, Arc<Flight>>,
    stats: Stats,
}

// === impl Cache ===

impl Cache {
    /// An empty cache that keeps `capacity` bytes of results.
    pub fn new(capacity: u64, policy: FailurePolicy) -> Self {
        let state = State {
            results: Lru::new(capacity),
            failures: Lru::new(FAILURES_KEPT),
            flights: HashMap::new(),
            stats: Stats::default(),
        };
        Self { state: Mutex::new(state), policy }
    }

    /// What is remembered under `key`, or what `render` gives. Blocks while another
    /// caller renders the same. With `no_cache` only what is under way counts.
    ///
    /// # Errors
    /// The rendering's, or [`Error::Cached`] around an earlier one's.
    pub fn get_or_render(
        &self,
        key: Key,
        no_cache: bool,
        now: Timestamp,
        render: impl FnOnce() -> Result<Rendered, Error>,
    ) -> Outcome {
        loop {
            let flight = {
                let mut state = self.lock();
                if !no_cache && let Some(outcome) = state.recall(&key, now, &self.policy) {
                    return outcome;
                }
                match state.flights.get(&key).map(Arc::clone) {
                    Some(flight) => {
                        state.stats.joins += 1;
                        flight
                    }
                    None => {
                        let flight = Arc::new(Flight::new());
                        state.flights.insert(key, Arc::clone(&flight));
                        state.stats.misses += 1;
                        state.stats.renders += 1;
                        drop(state);
                        return self.fly(key, flight, now, render);
                    }
                }
            };
            if let Some(outcome) = flight.wait() {
                return outcome;
            }
        }
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        let state = self.lock();
        Stats { entries: state.results.len() as u64, bytes: state.results.weight(), ..state.stats }
    }

    fn fly(
        &self,
        key: Key,
        flight: Arc<Flight>,
        now: Timestamp,
        render: impl FnOnce() -> Result<Rendered, Error>,
    ) -> Outcome {
        // Lands the flight without an outcome should `render` panic.
        let mut landing = Landing { cache: self, key, flight, outcome: None };
        let outcome = render().map(Arc::new).map_err(Arc::new);
        self.lock().remember(key, &outcome, now);
        landing.outcome = Some(outcome.clone());
        outcome
    }

    /// The state is whole after every statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn recall(&mut self, key: &Key, now: Timestamp, policy: &FailurePolicy) -> Option<Outcome> {
        if let Some(rendered) = self.results.get(key) {
            self.stats.hits += 1;
            return Some(Ok(Arc::clone(rendered)));
        }
        let error = self.failures.get_mut(key)?.recall(now, policy)?;
        self.stats.cached_failures += 1;
        Some(Err(Arc::new(Error::Cached(error))))
    }

    fn remember(&mut self, key: Key, outcome: &Outcome, now: Timestamp) {
        match outcome {
            Ok(rendered) => {
                self.failures.remove(&key);
                self.stats.evictions += self.results.insert(key, Arc::clone(rendered), rendered.bytes);
            }
            Err(error) => {
                self.stats.failures += 1;
                if error.is_about_content() {
                    match self.failures.get_mut(&key) {
                        Some(failures) => failures.add(now, Arc::clone(error)),
                        None => {
                            self.failures.insert(key, Failures::new(now, Arc::clone(error)), 1);
                        }
                    }
                }
            }
        }
    }
}

/// Ends a flight on every way out.
struct Landing<'a> {
    cache: &'a Cache,
    key: Key,
    flight: Arc<Flight>,
    outcome: Option<Outcome>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.cache.lock().flights.remove(&self.key);
        self.flight.land(self.outcome.take());
    }
}
