//! Saying what a sync waits for, in the words its users know.

use std::time::Duration;

use super::Step;
use super::pass::{Flow, Pass};

/// What is awaited of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// That a hook ends, that a resource becomes healthy.
    Completion,
    /// That an object is gone.
    Deletion,
}

// === impl Pass ===

impl Pass {
    /// Ends the pass, waiting for these tasks.
    pub(super) fn wait_for(&mut self, ids: &[usize], reason: Reason, recheck_after: Option<Duration>) -> Flow {
        let message = self.waiting_message(ids, reason);
        self.wait(message, recheck_after)
    }

    /// Ends the pass with this message, results first.
    pub(super) fn wait(&mut self, message: String, recheck_after: Option<Duration>) -> Flow {
        self.message.clone_from(&message);
        self.record().unwrap_or(Flow::Ask(Step::Wait { message, recheck_after }))
    }

    fn waiting_message(&self, ids: &[usize], reason: Reason) -> String {
        let is_hook = |id: &&usize| self.tasks[**id].is_hook;
        let hooks = ids.iter().filter(is_hook).count();
        let what = match (reason, hooks > 0) {
            (Reason::Completion, true) => "completion of hook",
            (Reason::Completion, false) => "healthy state of",
            (Reason::Deletion, true) => "deletion of hook",
            (Reason::Deletion, false) => "deletion of",
        };
        // A hook is named first: it is what people look for.
        let Some(first) = ids.iter().find(is_hook).or(ids.first()) else { return String::new() };
        let others = if hooks == ids.len() { "hooks" } else { "resources" };
        format!("waiting for {what} {}{}", self.tasks[*first].title(), and_more(ids.len(), others))
    }
}

/// ` and N more things`, or nothing for a single one.
pub(super) fn and_more(count: usize, things: &str) -> String {
    if count > 1 { format!(" and {} more {things}", count - 1) } else { String::new() }
}
