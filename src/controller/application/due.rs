//! What the next pass of an application is for.

use std::sync::{Mutex, PoisonError};

use argosy_engine::refresh::Level;

use crate::turns::Haste;

/// Why a pass runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// A comparison of at least this level is asked for. With none the object itself
    /// changed, and the pass finds out what that means.
    pub(super) level: Option<Level>,
    /// It is for its own sake, not one of a round.
    pub(super) is_urgent: bool,
}

/// A pass that waits for its turn: until that begins, whatever else happens is a reason
/// for it too, and for no other pass.
pub(super) struct Ticket {
    due: Mutex<Option<Due>>,
    pub(super) haste: Haste,
}

// === impl Due ===

impl Due {
    /// Both of them in one pass.
    pub(super) fn and(self, other: Self) -> Self {
        Self { level: self.level.max(other.level), is_urgent: self.is_urgent || other.is_urgent }
    }
}

// === impl Ticket ===

impl Ticket {
    pub(super) fn new(due: Due) -> Self {
        let haste = if due.is_urgent { Haste::urgent() } else { Haste::default() };
        Self { due: Mutex::new(Some(due)), haste }
    }

    /// One more reason; `false` when the pass has begun without it. Then it only makes
    /// haste, so that the next one can begin.
    pub(super) fn add(&self, due: Due) -> bool {
        if due.is_urgent {
            self.haste.hurry();
        }
        let mut known = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = known.as_mut() else { return false };
        *known = known.and(due);
        true
    }

    /// The pass begins: how thorough a comparison is asked for.
    pub(super) fn begin(&self) -> Option<Level> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).take().and_then(|due| due.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_gathered_until_the_pass_begins() {
        let due = |level, is_urgent| Due { level, is_urgent };
        let ticket = Ticket::new(due(Some(Level::Recorded), false));
        assert!(ticket.add(due(None, true)) && ticket.add(due(Some(Level::Latest), false)));
        assert!(ticket.add(due(Some(Level::Tree), false)));
        assert_eq!(ticket.begin(), Some(Level::Latest));
        assert!(!ticket.add(due(Some(Level::Remote), true)));
    }
}
