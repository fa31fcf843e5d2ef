//! A rendering under way, and those who wait for it.

use std::sync::{Condvar, Mutex, PoisonError};

use super::Outcome;

/// Lands once.
pub(super) struct Flight {
    state: Mutex<State>,
    landed: Condvar,
}

enum State {
    UnderWay,
    /// Without an outcome where the rendering panicked.
    Landed(Option<Outcome>),
}

// === impl Flight ===

impl Flight {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::UnderWay), landed: Condvar::new() }
    }

    pub(super) fn land(&self, outcome: Option<Outcome>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Landed(outcome);
        self.landed.notify_all();
    }

    /// Blocks until it has landed.
    pub(super) fn wait(&self) -> Option<Outcome> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*state {
                State::Landed(outcome) => return outcome.clone(),
                State::UnderWay => state = self.landed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}
