//! How an application is woken: a bell that rings once however often it is
//! pulled.
//!
//! Whoever wakes leaves a level and no data. The mailbox holds at most one
//! [`Rung`] per application, so its bound is one by construction and nothing can
//! be lost by a full one.

use std::sync::{Mutex, PoisonError};

use actix::{Addr, Message};
use argosy_engine::refresh::Level;

use crate::application::Application;

/// Why an application is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Its own object changed.
    Object,
    /// Something happened to it: compare at least this thoroughly.
    Refresh(Level),
    /// The same as one of many, of which nothing of their own is known: it can wait.
    Round(Level),
    /// The destination serves other kinds than before.
    KindsChanged,
    /// The object is gone.
    Gone,
}

/// What has been asked since the bell was answered last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// The object changed.
    pub(crate) object: bool,
    /// The highest level asked for.
    pub(crate) level: Option<Level>,
    /// The highest level asked for in a round.
    pub(crate) round: Option<Level>,
    /// The destination serves other kinds.
    pub(crate) kinds: bool,
    /// The object is gone.
    pub(crate) gone: bool,
}

/// Look at the bell.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Rung;

/// See the module's page.
#[derive(Default)]
pub(crate) struct Bell {
    calls: Mutex<Option<Calls>>,
}

// === impl Bell ===

impl Bell {
    /// Leaves a call and rings, unless it rings already.
    pub(crate) fn ring(&self, application: &Addr<Application>, wake: Wake) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let rings = calls.is_some();
        calls.get_or_insert_default().add(wake);
        if !rings {
            #[expect(clippy::disallowed_methods, reason = "at most one of these is in the mailbox at any time")]
            application.do_send(Rung);
        }
    }

    /// Answers the bell.
    pub(crate) fn answer(&self) -> Calls {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}

// === impl Calls ===

impl Calls {
    fn add(&mut self, wake: Wake) {
        match wake {
            Wake::Object => self.object = true,
            Wake::Refresh(level) => self.level = self.level.max(Some(level)),
            Wake::Round(level) => self.round = self.round.max(Some(level)),
            Wake::KindsChanged => self.kinds = true,
            Wake::Gone => self.gone = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_gathered_and_the_highest_level_stays() {
        let mut calls = Calls::default();
        let wakes =
            [Wake::Refresh(Level::Recorded), Wake::Object, Wake::Refresh(Level::Tree), Wake::Round(Level::Latest)];
        wakes.into_iter().for_each(|wake| calls.add(wake));
        let (level, round) = (Some(Level::Recorded), Some(Level::Latest));
        assert_eq!(calls, Calls { object: true, level, round, kinds: false, gone: false });
    }
}
