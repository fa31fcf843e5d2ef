//! Running one wave: prunes first, then hooks of earlier runs out of the way,
//! then batches of one kind after another. A batch that fails ends the wave.

use argosy_model::{names, object};

use super::draft::missing_type;
use super::pass::{Asked, Flow, Pass, Stage};
use super::waiting::{Reason, and_more};
use super::{OperationPhase, Outcome, ResultCode, Served, Step, mode};
use crate::hook::DeletePolicy;

/// The wave that is being run.
#[derive(Clone, Debug, Default)]
pub(super) struct Wave {
    /// Its tasks, in order.
    pub(super) ids: Vec<usize>,
    /// Whether no wave follows.
    pub(super) is_last: bool,
    /// Whether it is the answer to a failure.
    pub(super) answers_failure: bool,
    /// Whether something could not be done.
    pub(super) failed: bool,
    /// Whether a create met an object, so that the wave must look once more.
    pub(super) again: bool,
    /// Whether discovery was read anew for it.
    pub(super) discovered: bool,
}

/// Where in the wave.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    Release,
    Confirmation,
    Prune,
    Delete,
    AwaitDeleted,
    Apply,
    End,
}

// === impl Pass ===

impl Pass {
    pub(super) fn run_wave(&mut self, at: At) -> Flow {
        if self.wave.failed {
            return self.end_wave();
        }
        match at {
            At::Release => self.release_in_the_way(),
            At::Confirmation => self.await_confirmation(),
            At::Prune => self.prune(),
            At::Delete => self.delete_in_the_way(),
            At::AwaitDeleted => self.await_deleted(),
            At::Apply => self.apply_batch(),
            At::End => self.end_wave(),
        }
    }

    fn of_wave(&self, test: impl Fn(&Self, usize) -> bool) -> Vec<usize> {
        self.wave.ids.iter().copied().filter(|id| self.is_pending(*id) && test(self, *id)).collect()
    }

    /// An earlier run's hook is let go, or its deletion would never end.
    fn release_in_the_way(&mut self) -> Flow {
        let held = self.of_wave(|pass, id| pass.tasks[id].is_hook && pass.is_held(&pass.tasks[id]));
        if held.is_empty() {
            return Flow::Go(Stage::Wave(At::Confirmation));
        }
        self.ask(Asked::ReleaseInTheWay, held, Step::ReleaseHooks)
    }

    /// Why a live object is not to be pruned, if so.
    pub(super) fn prune_refusal(&self, id: usize) -> Option<&'static str> {
        if !self.input.prune {
            return Some("ignored (requires pruning)");
        }
        let live = self.tasks[id].live.as_deref();
        let keeps = live.is_some_and(|live| object::annotation(live, names::HELM_RESOURCE_POLICY) == Some("keep"));
        let refuses = mode::option(&self.input.options, None, live, "Prune") == Some("false");
        (keeps || refuses).then_some("ignored (no prune)")
    }

    fn await_confirmation(&mut self) -> Flow {
        let unconfirmed = self.of_wave(|pass, id| {
            let task = &pass.tasks[id];
            task.is_prune()
                && !pass.input.deletion_confirmed()
                && pass.prune_refusal(id).is_none()
                && mode::option(&pass.input.options, None, task.live.as_deref(), "Prune") == Some("confirm")
        });
        let Some(first) = unconfirmed.first().map(|id| &self.tasks[*id]) else {
            return Flow::Go(Stage::Wave(At::Prune));
        };
        let message = format!(
            "waiting for pruning confirmation of {}/{}/{}{}",
            first.gvk.api_version(),
            first.gvk.kind,
            first.key.name,
            and_more(unconfirmed.len(), "resources")
        );
        self.wait(message, None)
    }

    fn prune(&mut self) -> Flow {
        let mut doomed = Vec::new();
        for id in self.of_wave(|pass, id| pass.tasks[id].is_prune()) {
            if let Some(refusal) = self.prune_refusal(id) {
                self.set(id, Some(ResultCode::PruneSkipped), Some(OperationPhase::Succeeded), refusal);
            } else if self.tasks[id].live.as_deref().is_some_and(object::is_deleting) {
                // Asking again would only make another event out of it.
                self.on_pruned(id, Outcome::Deleted { gone: false });
            } else {
                doomed.push(id);
            }
        }
        self.go_to(Stage::Wave(At::Delete));
        if doomed.is_empty() {
            return Flow::Go(Stage::Wave(At::Delete));
        }
        let propagation = self.propagation();
        self.ask(Asked::Prune, doomed, |tasks| Step::Prune(tasks, propagation))
    }

    pub(super) fn on_pruned(&mut self, id: usize, outcome: Outcome) {
        match outcome {
            Outcome::Deleted { .. } | Outcome::Absent => {
                self.set(id, Some(ResultCode::Pruned), Some(OperationPhase::Succeeded), "pruned");
                self.progress[id].deleting = true;
                if !matches!(outcome, Outcome::Deleted { gone: false }) {
                    self.see(id, None);
                }
            }
            Outcome::Failed(reason) => self.fail_task(id, &reason),
            _ => self.fail_task(id, "the outcome does not fit a deletion"),
        }
    }

    fn delete_in_the_way(&mut self) -> Flow {
        let is_in_the_way = |pass: &Self, id: usize| {
            let task = &pass.tasks[id];
            task.live.is_some() && task.has_policy(DeletePolicy::BeforeHookCreation) && !pass.progress[id].deleting
        };
        let mut doomed = self.of_wave(is_in_the_way);
        doomed.retain(|id| {
            let going = self.tasks[*id].live.as_deref().is_some_and(object::is_deleting);
            self.progress[*id].deleting |= going;
            !going
        });
        self.go_to(Stage::Wave(At::AwaitDeleted));
        if doomed.is_empty() {
            return Flow::Go(Stage::Wave(At::AwaitDeleted));
        }
        let propagation = self.propagation();
        self.ask(Asked::DeleteInTheWay, doomed, |tasks| Step::DeleteHooks(tasks, propagation))
    }

    pub(super) fn on_in_the_way_deleted(&mut self, id: usize, outcome: Outcome) {
        match outcome {
            Outcome::Deleted { gone: true } | Outcome::Absent => self.see(id, None),
            Outcome::Failed(reason) => {
                self.set_phase(id, OperationPhase::Error, &format!("failed to delete resource: {reason}"));
                self.wave.failed = true;
            }
            _ => self.progress[id].deleting = true,
        }
    }

    fn await_deleted(&mut self) -> Flow {
        let going = self
            .of_wave(|pass, id| pass.tasks[id].is_hook && pass.tasks[id].live.is_some() && pass.progress[id].deleting);
        if going.is_empty() { Flow::Go(Stage::Wave(At::Apply)) } else { self.wait_for(&going, Reason::Deletion, None) }
    }

    /// Applies the next run of tasks of one kind.
    fn apply_batch(&mut self) -> Flow {
        if std::mem::take(&mut self.wave.again) {
            return Flow::Go(Stage::Wave(At::Release));
        }
        let mut batch = self.of_wave(|pass, id| !pass.tasks[id].is_prune());
        let Some(kind) = batch.first().map(|id| self.tasks[*id].gvk.group_kind()) else {
            return Flow::Go(Stage::Wave(At::End));
        };
        let end = batch.iter().position(|id| self.tasks[*id].gvk.group_kind() != kind).unwrap_or(batch.len());
        batch.truncate(end);
        if let Some(flow) = self.check_served(&batch) {
            return flow;
        }
        self.ask(Asked::Apply, batch, Step::Apply)
    }

    /// Types that were missing when the pass began must be there by now. Then
    /// their scope is known too, and the project has its say.
    fn check_served(&mut self, batch: &[usize]) -> Option<Flow> {
        for id in batch.iter().copied() {
            let namespaced = match self.destination.served(&self.tasks[id].gvk) {
                Served::Namespaced => true,
                Served::Cluster => false,
                _ if !self.wave.discovered => {
                    self.wave.discovered = true;
                    return Some(Flow::Ask(Step::Discover));
                }
                missing => {
                    let reason = missing_type(&self.tasks[id], &missing);
                    self.fail_task(id, &reason);
                    return Some(Flow::Go(Stage::Wave(At::End)));
                }
            };
            if self.tasks[id].namespaced == Some(namespaced) {
                continue;
            }
            if let Err(reason) = self.destination.permitted(self.tasks[id].object(), namespaced) {
                self.fail_task(id, &reason);
                return Some(Flow::Go(Stage::Wave(At::End)));
            }
            self.tasks[id].namespaced = Some(namespaced);
        }
        None
    }

    fn end_wave(&mut self) -> Flow {
        let has_hooks = self.wave.ids.iter().any(|id| self.tasks[*id].is_hook);
        let only_prunes = self.wave.ids.iter().all(|id| self.tasks[*id].is_prune());
        self.go_to(Stage::Look);
        if self.wave.answers_failure {
            return Flow::Go(Stage::Look);
        }
        if self.wave.failed {
            self.apply_failed = true;
        } else if self.wave.is_last && !has_hooks {
            // Nothing waits for what was applied last, healthy or not.
            return Flow::Go(Stage::Clean("successfully synced (all tasks run)"));
        } else if !self.wave.is_last && !only_prunes && !self.input.wave_delay.is_zero() {
            return self.pause();
        }
        Flow::Go(Stage::Look)
    }

    fn pause(&mut self) -> Flow {
        self.go_to(Stage::Wave(At::End));
        if let Some(flow) = self.record() {
            return flow;
        }
        self.go_to(Stage::Look);
        Flow::Ask(Step::Pause(self.input.wave_delay))
    }
}
