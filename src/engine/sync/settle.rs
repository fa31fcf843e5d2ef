//! Looking at what was started: adopting hooks of a pass that died, judging
//! what runs by what lives, letting go of what has ended.

use std::sync::Arc;
use std::time::Duration;

use argosy_model::{names, object};
use jiff::Timestamp;
use serde_json::Value;

use super::pass::{Asked, Flow, Pass, Stage};
use super::task::Task;
use super::waiting::Reason;
use super::{OperationPhase, Outcome, ResultCode, Step};
use crate::health::{self, Status};
use crate::hook::{self, DeletePolicy};

/// How long a hook that was deleted under way may take to reach an end of its
/// own (a pod stopping gracefully does) before it is given up.
const DELETED_HOOK_GRACE: Duration = Duration::from_secs(30);

/// How soon to look again at what could not be read or was only just written.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

// === impl Pass ===

impl Pass {
    /// Takes stock of what runs; waits if it must.
    pub(super) fn look(&mut self) -> Flow {
        self.adopt_hooks();
        for id in self.select(|pass, task| pass.is_running(task.id) && task.live.is_some()) {
            self.look_at(id);
        }
        let awaited = self.awaited_tasks();
        if awaited.is_empty() {
            return Flow::Go(Stage::PendingDeletion);
        }
        let lost: Vec<usize> = awaited
            .iter()
            .copied()
            .filter(|id| self.is_lost(&self.tasks[*id]) && !self.progress[*id].confirmed)
            .collect();
        if !lost.is_empty() {
            return self.ask(Asked::Confirm, lost, Step::Confirm);
        }
        let recheck = awaited.iter().filter_map(|id| self.recheck_after(*id)).min();
        self.wait_for(&awaited, Reason::Completion, recheck)
    }

    /// Whether the object that a task made is not there, or another in its place.
    fn is_lost(&self, task: &Task) -> bool {
        if task.is_hook { !self.has_own_object(task) } else { task.live.is_none() }
    }

    /// What must end before anything else is started. After a failure only
    /// hooks are: they run to their end, resources need not become healthy.
    fn awaited_tasks(&self) -> Vec<usize> {
        let all = self.is_multi_step() && !self.has_failed() && !self.apply_failed;
        self.select(|pass, task| pass.is_running(task.id) && (all || task.is_hook))
    }

    /// Whether there is more than one wave, counting those behind us.
    fn is_multi_step(&self) -> bool {
        let place = |task: &Task| (task.phase, task.wave);
        self.tasks.first().map(place) != self.tasks.last().map(place)
    }

    /// A hook that lives with this run's mark and has no result was started by
    /// a process that died before it could say so.
    pub(super) fn adopt_hooks(&mut self) {
        let orphans = self.select(|pass, task| {
            task.is_hook && pass.is_pending(task.id) && task.live.as_deref().is_some_and(|live| task.is_own(live))
        });
        orphans.into_iter().for_each(|id| self.adopt(id));
    }

    fn adopt(&mut self, id: usize) {
        let message = format!("{} created", self.tasks[id].key.name);
        self.set(id, Some(ResultCode::Synced), Some(OperationPhase::Running), &message);
    }

    fn look_at(&mut self, id: usize) {
        let task = &self.tasks[id];
        let Some(live) = task.live.clone() else { return };
        if task.is_hook {
            if task.may_be_own(&live) {
                let (phase, message) = self.hook_state(task, &live);
                self.set_phase(id, phase, &message);
            }
            return;
        }
        let overrides = self.destination.overrides();
        let overridden = || self.progress[id].fresh && overrides.assess(&live) != health::Verdict::NoRule;
        let Some(verdict) = health::assess(&live, overrides) else {
            // What has no health is done when it is applied.
            self.set_phase(id, OperationPhase::Succeeded, "");
            return;
        };
        match verdict.status {
            // Built-in rules see that a status is older than its spec. Rules of
            // users cannot be trusted to, so theirs count from the next pass on.
            Status::Healthy if is_unobserved_application(&live) || overridden() => {}
            Status::Healthy => self.set_phase(id, OperationPhase::Succeeded, &verdict.message),
            Status::Degraded if self.is_multi_step() && !self.progress[id].fresh => {
                self.set_phase(id, OperationPhase::Failed, &verdict.message);
            }
            _ => {}
        }
    }

    /// How far a hook is, by its live object.
    pub(super) fn hook_state(&self, task: &Task, live: &Value) -> (OperationPhase, String) {
        let Some(verdict) = health::assess(live, self.destination.overrides()) else {
            return (OperationPhase::Succeeded, format!("{} created", task.key.name));
        };
        match verdict.status {
            Status::Healthy => (OperationPhase::Succeeded, verdict.message),
            Status::Degraded | Status::Unknown => (OperationPhase::Failed, verdict.message),
            Status::Suspended | Status::Progressing | Status::Missing => {
                // Our finalizer keeps the object, but nothing drives it any more.
                match deleted_for(live, self.input.now) {
                    Some(time) if time >= DELETED_HOOK_GRACE => {
                        (OperationPhase::Failed, format!("{} was deleted before it completed", task.title()))
                    }
                    _ => (OperationPhase::Running, verdict.message),
                }
            }
        }
    }

    fn recheck_after(&self, id: usize) -> Option<Duration> {
        let task = &self.tasks[id];
        let Some(live) = &task.live else { return Some(LOOK_AGAIN) };
        if self.progress[id].fresh && !task.is_hook {
            return Some(LOOK_AGAIN);
        }
        let deleted = task.is_hook.then(|| deleted_for(live, self.input.now)).flatten()?;
        Some(DELETED_HOOK_GRACE.saturating_sub(deleted).max(LOOK_AGAIN))
    }

    pub(super) fn on_confirmed(&mut self, id: usize, outcome: Outcome) {
        self.progress[id].confirmed = true;
        let task = &self.tasks[id];
        match outcome {
            Outcome::Found(live) if !task.is_hook || task.may_be_own(&live) => self.see(id, Some(live)),
            Outcome::Found(_) | Outcome::Absent if self.input.terminating => {
                self.set_phase(id, OperationPhase::Failed, "Terminated");
            }
            Outcome::Found(_) | Outcome::Absent => {
                self.see(id, None);
                let message = format!("Resource {} is missing, it might have been deleted", self.tasks[id].title());
                self.set(id, Some(ResultCode::SyncFailed), Some(OperationPhase::Error), &message);
            }
            // Not being able to look says nothing about the object: look again.
            _ => {}
        }
    }

    /// Waits for pruned objects to be gone before the next wave.
    pub(super) fn await_pruned(&mut self) -> Flow {
        let going = self.select(|pass, task| {
            pass.progress[task.id].code == Some(ResultCode::Pruned)
                && task.live.as_deref().is_some_and(|live| pass.progress[task.id].deleting || object::is_deleting(live))
        });
        if going.is_empty() { Flow::Go(Stage::Release) } else { self.wait_for(&going, Reason::Deletion, None) }
    }

    /// Takes our finalizer off hooks that have ended, once that is on record.
    pub(super) fn release_completed(&mut self) -> Flow {
        let held = self.select(|pass, task| {
            task.is_hook && pass.is_completed(task.id) && pass.is_held(task) && pass.has_own_object(task)
        });
        if held.is_empty() {
            return Flow::Go(Stage::Judge);
        }
        match self.record() {
            Some(flow) => flow,
            None => self.ask(Asked::ReleaseDone, held, Step::ReleaseHooks),
        }
    }

    pub(super) fn is_held(&self, task: &Task) -> bool {
        !self.progress[task.id].released && task.live.as_deref().is_some_and(hook::is_held)
    }

    /// Whether the live object is this task's and not another run's of the same
    /// name.
    pub(super) fn has_own_object(&self, task: &Task) -> bool {
        task.live.as_deref().is_some_and(|live| task.may_be_own(live))
    }

    pub(super) fn on_released(&mut self, id: usize, outcome: Outcome, asked: Asked) {
        self.progress[id].released = true;
        match outcome {
            Outcome::Absent => self.see(id, None),
            Outcome::Failed(reason) => {
                let message = format!("failed to remove hook finalizer: {reason}");
                self.set_phase(id, OperationPhase::Error, &message);
                self.wave.failed |= asked != Asked::ReleaseDone;
            }
            _ => {}
        }
    }

    /// Hooks that have run in this operation and go, now that its outcome is known.
    pub(super) fn deletable_hooks(&self, policy: DeletePolicy) -> Vec<usize> {
        self.select(|pass, task| {
            pass.is_completed(task.id)
                && !pass.progress[task.id].deleting
                && task.has_policy(policy)
                && pass.has_own_object(task)
        })
    }

    /// Deletes hooks that have ended, once that is on record.
    pub(super) fn delete_done(&mut self, ids: Vec<usize>) -> Flow {
        match self.record() {
            Some(flow) => flow,
            None => {
                let propagation = self.propagation();
                self.ask(Asked::DeleteDone, ids, |tasks| Step::DeleteHooks(tasks, propagation))
            }
        }
    }

    pub(super) fn on_done_deleted(&mut self, id: usize, outcome: Outcome) {
        self.progress[id].deleting = true;
        if let Outcome::Failed(reason) = outcome {
            self.set_phase(id, OperationPhase::Error, &format!("failed to delete resource: {reason}"));
        }
    }

    pub(super) fn on_applied(&mut self, id: usize, outcome: Outcome) {
        match outcome {
            Outcome::Applied { message, live } => {
                // What was there before says nothing of what is there now.
                self.see(id, live);
                self.progress[id].fresh = true;
                // A finalizer taken off an earlier object says nothing of this one.
                self.progress[id].released = false;
                self.progress[id].deleting = false;
                self.set(id, Some(ResultCode::Synced), Some(OperationPhase::Running), &message);
            }
            Outcome::Exists(live) => self.on_collision(id, live),
            Outcome::Failed(reason) => self.fail_task(id, &reason),
            _ => self.fail_task(id, "the outcome does not fit an apply"),
        }
    }

    pub(super) fn fail_task(&mut self, id: usize, reason: &str) {
        self.set(id, Some(ResultCode::SyncFailed), Some(OperationPhase::Failed), reason);
        self.wave.failed = true;
    }

    /// A create met an object that nobody had seen.
    fn on_collision(&mut self, id: usize, live: Arc<Value>) {
        /// Somebody who recreates the object faster than we can is not outrun.
        const MAX_COLLISIONS: u8 = 3;
        let is_own = self.tasks[id].is_hook && self.tasks[id].is_own(&live);
        self.see(id, Some(live));
        if is_own {
            return self.adopt(id);
        }
        let progress = &mut self.progress[id];
        progress.collisions += 1;
        (progress.released, progress.deleting) = (false, false);
        if progress.collisions > MAX_COLLISIONS {
            self.fail_task(id, "the object is created over and over by somebody else");
        } else {
            self.wave.again = true;
        }
    }
}

/// How long ago the object should have been gone, `None` when it is not being
/// deleted. A deletion time in the future (graceful deletion) counts as now.
fn deleted_for(live: &Value, now: Timestamp) -> Option<Duration> {
    let text = object::get(live, &["metadata", "deletionTimestamp"])?.as_str()?;
    let at: Timestamp = text.parse().ok()?;
    Some(Duration::from_secs(u64::try_from(now.as_second() - at.as_second()).unwrap_or(0)))
}

/// Whether a child application still speaks of an earlier spec. Without this a
/// parent's waves would run past children that have yet to look.
fn is_unobserved_application(live: &Value) -> bool {
    let gvk = argosy_model::Gvk::of(live);
    if &*gvk.group != names::GROUP || &*gvk.kind != "Application" {
        return false;
    }
    let Some(compared) = object::get(live, &["status", "sync", "comparedTo"]).filter(|c| c.is_object()) else {
        return false;
    };
    let differs = |path: &[&str]| {
        let word = |object: Option<&Value>| {
            object.and_then(|o| object::get(o, path)).and_then(Value::as_str).unwrap_or("").to_owned()
        };
        word(live.get("spec")) != word(Some(compared))
    };
    [["source", "repoURL"], ["source", "targetRevision"], ["source", "path"], ["source", "chart"]]
        .iter()
        .any(|path| differs(path))
}
