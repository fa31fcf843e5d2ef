//! The fuel of one run.
//!
//! One unit is one instruction of Lua, or as much work inside a library. A
//! deadline on the monotonic clock stands behind it, for work that is not seen.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Units per run: some 50 ms of plain Lua, a hundred times what the largest
/// script of Argo CD's library takes on a large object.
const FUEL: u64 = 5_000_000;

/// As long as Argo CD lets a script run.
const DEADLINE: Duration = Duration::from_secs(1);

/// How often scripts and functions of ours may call each other in turn; bounds the
/// stack of the thread, of which each such call takes some kilobytes.
const NESTED: usize = 40;

/// See the module's page. Belongs to one machine, thus to one thread at a time.
#[derive(Debug, Default)]
pub(super) struct Meter {
    left: AtomicU64,
    nested: AtomicUsize,
    until: Mutex<Option<Instant>>,
}

// === impl Meter ===

impl Meter {
    /// Starts a run.
    pub(super) fn refill(&self) {
        self.left.store(FUEL, Ordering::Relaxed);
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + DEADLINE);
    }

    /// Runs a function of ours that calls back into the script.
    ///
    /// # Errors
    /// Its own, or that there are too many such calls within each other.
    pub(super) fn nested<T>(&self, work: impl FnOnce() -> mlua::Result<T>) -> mlua::Result<T> {
        if self.nested.load(Ordering::Relaxed) >= NESTED {
            return Err(mlua::Error::runtime("C stack overflow"));
        }
        self.nested.fetch_add(1, Ordering::Relaxed);
        let outcome = work();
        self.nested.fetch_sub(1, Ordering::Relaxed);
        outcome
    }

    /// Whether the run is over.
    pub(super) fn is_empty(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// Takes fuel for work about to be done.
    ///
    /// # Errors
    /// When there is not as much; the run is over then.
    pub(super) fn charge(&self, units: u64) -> mlua::Result<()> {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let left = self.left.load(Ordering::Relaxed).saturating_sub(units);
        let left = if until.is_some_and(|until| Instant::now() >= until) { 0 } else { left };
        self.left.store(left, Ordering::Relaxed);
        if left == 0 { Err(exhausted()) } else { Ok(()) }
    }
}

/// The error a script gets when its run is over.
pub(super) fn exhausted() -> mlua::Error {
    mlua::Error::runtime("the script takes too long")
}
