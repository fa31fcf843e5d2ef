//! The first moves of a pass: tasks that must not be tried, the namespace that
//! everything else needs, and the dry run, once per attempt.

use super::pass::{Asked, Flow, Pass, Stage};
use super::wave::Wave;
use super::{ApplyMode, OperationPhase, Outcome, ResultCode, Step, Task, failure, mode, termination};
use crate::hook::DeletePolicy;

// === impl Pass ===

impl Pass {
    pub(super) fn begin(&mut self) -> Flow {
        if self.input.terminating {
            return Flow::Go(Stage::Terminate(termination::At::Confirm));
        }
        if !self.invalid.is_empty() {
            let invalid = std::mem::take(&mut self.invalid);
            let reasons = failure::distinct(invalid.iter().map(|(_, reason)| reason.as_str()));
            for (id, reason) in &invalid {
                self.set(*id, Some(ResultCode::SyncFailed), None, reason);
            }
            let message = format!("one or more synchronization tasks are not valid: {reasons}");
            return self.finish(OperationPhase::Failed, message);
        }
        let makes_namespace = |task: &&Task| {
            task.live.is_none()
                && task.target.as_deref().is_some_and(mode::is_namespace)
                && *task.key.name == *self.input.namespace
        };
        match self.tasks.iter().find(makes_namespace).map(|task| task.id) {
            // Much of the dry run fails in a namespace that does not exist.
            Some(id) if !self.started && !self.input.dry_run && self.is_pending(id) => {
                self.go_to(Stage::NamespaceMade);
                self.wave = Wave { ids: vec![id], ..Wave::default() };
                self.ask(Asked::Apply, vec![id], Step::Apply)
            }
            _ => Flow::Go(Stage::Validate),
        }
    }

    pub(super) fn namespace_made(&mut self) -> Flow {
        if self.wave.failed {
            let message = self.failure_message("the namespace failed to apply");
            return self.finish(OperationPhase::Failed, message);
        }
        Flow::Go(Stage::Validate)
    }

    pub(super) fn validate(&mut self) -> Flow {
        if self.validated {
            return Flow::Go(Stage::Look);
        }
        let ids = self.select(|pass, task| {
            !task.is_prune() && pass.is_pending(task.id) && !pass.skip_dry_run[task.id] && pass.is_wanted(task)
        });
        self.go_to(Stage::Validated);
        if ids.is_empty() || self.is_single_write() {
            Flow::Go(Stage::Validated)
        } else {
            self.ask(Asked::DryRun, ids, |tasks| Step::DryRun(tasks.into_iter().map(as_it_will_be_written).collect()))
        }
    }

    /// A dry run keeps one bad object from leaving the others half applied. Where
    /// one object is all there is, applying it says the same with one request less;
    /// unless a failure would come after a deletion.
    fn is_single_write(&self) -> bool {
        let keeps = |task: &Task| {
            matches!(
                task.mode,
                ApplyMode::Create | ApplyMode::ClientSide { force: false } | ApplyMode::ServerSide { force: false, .. }
            )
        };
        !self.input.dry_run && matches!(self.tasks.as_slice(), [task] if keeps(task))
    }

    pub(super) fn on_dry_run(&mut self, id: usize, outcome: Outcome) {
        match outcome {
            Outcome::Failed(reason) => {
                self.set(id, Some(ResultCode::SyncFailed), Some(OperationPhase::Failed), &reason);
            }
            Outcome::Applied { message, .. } if self.input.dry_run => {
                self.set(id, Some(ResultCode::Synced), Some(OperationPhase::Succeeded), &message);
            }
            _ => {}
        }
    }

    pub(super) fn on_validated(&mut self) -> Flow {
        if self.progress.iter().any(|p| p.code == Some(ResultCode::SyncFailed)) {
            let refused = self.progress.iter().filter(|p| p.code == Some(ResultCode::SyncFailed));
            let reasons = failure::distinct(refused.map(|p| p.message.as_str()));
            let message = failure::with_reasons("one or more objects failed to apply (dry run)", &reasons);
            return self.finish(OperationPhase::Failed, message);
        }
        self.validated = true;
        if !self.input.dry_run {
            return Flow::Go(Stage::Look);
        }
        for id in self.select(|pass, task| task.is_prune() && pass.is_pending(task.id)) {
            let (code, message) = match self.prune_refusal(id) {
                Some(refusal) => (ResultCode::PruneSkipped, refusal),
                None => (ResultCode::Pruned, "pruned (dry run)"),
            };
            self.set(id, Some(code), Some(OperationPhase::Succeeded), message);
        }
        self.finish(OperationPhase::Succeeded, "successfully synced (no more tasks)".to_owned())
    }
}

/// A hook that goes before it is made again is checked as a new object: what it
/// cannot change of the old one does not matter.
fn as_it_will_be_written(task: Task) -> Task {
    let anew = task.live.is_some() && task.has_policy(DeletePolicy::BeforeHookCreation);
    if anew { Task { mode: ApplyMode::Replace { force: true }, ..task } } else { task }
}
