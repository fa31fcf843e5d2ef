//! Ending a sync that failed: hooks that ask for it are deleted, the answers to
//! failure (SyncFail hooks) run, then it is said why.

use super::pass::{Flow, Pass, Stage};
use super::wave::{self, Wave};
use super::{OperationPhase, ResultCode};
use crate::hook::{DeletePolicy, Phase};

// === impl Pass ===

impl Pass {
    pub(super) fn fail(&mut self) -> Flow {
        let hooks = self.deletable_hooks(DeletePolicy::HookFailed);
        if !hooks.is_empty() {
            return self.delete_done(hooks);
        }
        let answers = self.select(|pass, task| task.phase == Phase::SyncFail && pass.is_pending(task.id));
        if let Some(first) = answers.first().map(|id| self.tasks[*id].wave) {
            let ids = answers.into_iter().filter(|id| self.tasks[*id].wave == first).collect();
            self.wave = Wave { ids, answers_failure: true, ..Wave::default() };
            return Flow::Go(Stage::Wave(wave::At::Release));
        }
        let message = self.final_message();
        self.finish(OperationPhase::Failed, message)
    }

    fn final_message(&self) -> String {
        let what = if self.apply_failed {
            "one or more objects failed to apply"
        } else {
            "one or more synchronization tasks completed unsuccessfully"
        };
        let mut message = self.failure_message(what);
        let answers = self.select(|pass, task| task.phase == Phase::SyncFail && pass.is_unsuccessful(task.id));
        if !answers.is_empty() {
            let reasons = distinct(answers.iter().map(|id| self.progress[*id].message.as_str()));
            message = format!("{message}\n{}", with_reasons("one or more SyncFail hooks failed", &reasons));
        }
        message
    }

    /// `what`, followed by what the failed tasks say.
    pub(super) fn failure_message(&self, what: &str) -> String {
        let failed = self.select(|pass, task| {
            task.phase != Phase::SyncFail
                && (pass.is_unsuccessful(task.id) || pass.progress[task.id].code == Some(ResultCode::SyncFailed))
        });
        with_reasons(what, &distinct(failed.iter().map(|id| self.progress[*id].message.as_str())))
    }
}

/// Distinct, non-empty words in order, joined by commas.
pub(super) fn distinct<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for word in words {
        if !word.is_empty() && !seen.contains(&word) {
            seen.push(word);
        }
    }
    seen.join(",")
}

pub(super) fn with_reasons(what: &str, reasons: &str) -> String {
    if reasons.is_empty() { what.to_owned() } else { format!("{what}, reason: {reasons}") }
}
