//! The door to the sandbox: hands out machines, and keeps a few that are warm.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

use crate::ScriptError;
use crate::machine::{Input, Machine, Output};

/// Machines kept for the next script; a warm one saves its making, about a tenth
/// of a millisecond, and holds a few hundred kilobytes.
const KEPT: usize = 8;

/// Runs scripts. Cheap to share between threads; what is kept is only warmth.
#[derive(Debug, Default)]
pub struct Scripts {
    idle: Mutex<Vec<Machine>>,
}

// === impl Scripts ===

impl Scripts {
    /// With no machine yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs one script to its end in a world of its own.
    pub(crate) fn execute(&self, script: &str, input: &Input<'_>) -> Result<Output, ScriptError> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut machine = kept.map_or_else(Machine::new, Ok)?;
        let outcome = machine.run(script, input);
        if machine.is_reusable() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < KEPT {
                idle.push(machine);
            }
        }
        outcome
    }
}

impl<'a> Input<'a> {
    /// An object alone, in the narrow world.
    pub(crate) fn of(object: &'a Value, now: Timestamp) -> Self {
        Self { object, parameters: &[], open_libs: false, now }
    }
}
