//! Terminating an operation: running hooks are let go and deleted, whatever
//! their policies; what is applied stays. Nothing is awaited.

use super::pass::{Asked, Flow, Pass, Stage};
use super::{OperationPhase, Outcome, Step};
use crate::hook::DeletePolicy;

/// Where in the termination.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    Confirm,
    Release,
    Delete,
    End,
}

// === impl Pass ===

impl Pass {
    pub(super) fn terminate(&mut self, at: At) -> Flow {
        match at {
            At::Confirm => self.confirm_running(),
            At::Release => self.release_all(),
            At::Delete => self.delete_running(),
            At::End => self.say_terminated(),
        }
    }

    fn confirm_running(&mut self) -> Flow {
        self.adopt_hooks();
        let lost = self.select(|pass, task| {
            task.is_hook && pass.is_running(task.id) && task.live.is_none() && !pass.progress[task.id].confirmed
        });
        if lost.is_empty() {
            return Flow::Go(Stage::Terminate(At::Release));
        }
        self.ask(Asked::Confirm, lost, Step::Confirm)
    }

    /// All hooks of this operation are let go, ended or not. Those that have
    /// ended since the last look keep their true outcome.
    fn release_all(&mut self) -> Flow {
        for id in self.running_hooks() {
            let task = &self.tasks[id];
            let Some(live) = task.live.clone() else { continue };
            let (phase, message) = self.hook_state(task, &live);
            if phase.is_completed() {
                self.set_phase(id, phase, &message);
            }
        }
        let held = self.select(|pass, task| {
            task.is_hook && !pass.is_pending(task.id) && pass.is_held(task) && pass.has_own_object(task)
        });
        self.go_to(Stage::Terminate(At::Delete));
        if held.is_empty() {
            return Flow::Go(Stage::Terminate(At::Delete));
        }
        if let Some(flow) = self.record() {
            self.go_to(Stage::Terminate(At::Release));
            return flow;
        }
        self.ask(Asked::ReleaseRunning, held, Step::ReleaseHooks)
    }

    fn delete_running(&mut self) -> Flow {
        let mut doomed = self.running_hooks();
        doomed.extend(self.deletable_hooks(DeletePolicy::HookFailed));
        doomed.retain(|id| self.tasks[*id].live.is_some());
        self.go_to(Stage::Terminate(At::End));
        if doomed.is_empty() {
            return Flow::Go(Stage::Terminate(At::End));
        }
        let propagation = self.propagation();
        self.ask(Asked::DeleteRunning, doomed, |tasks| Step::DeleteHooks(tasks, propagation))
    }

    pub(super) fn on_running_deleted(&mut self, id: usize, outcome: Outcome) {
        match outcome {
            Outcome::Failed(reason) => {
                self.wave.failed = true;
                self.set_phase(id, OperationPhase::Error, &format!("failed to delete resource: {reason}"));
            }
            _ if self.is_running(id) => self.set_phase(id, OperationPhase::Failed, "Terminated"),
            _ => {}
        }
    }

    fn say_terminated(&mut self) -> Flow {
        // What could not even be looked at may still be running.
        for id in self.running_hooks() {
            self.wave.failed = true;
            self.set_phase(id, OperationPhase::Error, "the hook could not be found out about");
        }
        if self.wave.failed {
            self.finish(OperationPhase::Error, "Operation termination had errors".to_owned())
        } else {
            self.finish(OperationPhase::Failed, "Operation terminated".to_owned())
        }
    }

    fn running_hooks(&self) -> Vec<usize> {
        self.select(|pass, task| task.is_hook && pass.is_running(task.id))
    }
}
