//! The machine itself: its state, its loop, and what its moves are made of. The
//! moves are beside it: `opening` checks, `settle` looks at what runs, `wave`
//! runs the next wave, `failure` and `termination` end it.

use std::sync::Arc;

use argosy_model::object;
use serde_json::Value;

use super::draft::{Draft, draft};
use super::result::Results;
use super::task::Task;
use super::wave::{self, Wave};
use super::{
    Answer, Destination, OperationPhase, Outcome, Propagation, ResourceResult, ResultCode, Step, SyncInput, mode,
    termination,
};
use crate::hook::{DeletePolicy, Phase};

/// One pass of a sync operation. Drive it with [`Pass::next`].
pub struct Pass {
    pub(super) input: SyncInput,
    pub(super) destination: Arc<dyn Destination>,
    pub(super) tasks: Vec<Task>,
    pub(super) progress: Vec<Progress>,
    pub(super) message: String,
    pub(super) wave: Wave,
    pub(super) apply_failed: bool,
    pub(super) invalid: Vec<(usize, String)>,
    pub(super) skip_dry_run: Vec<bool>,
    pub(super) results: Results,
    pub(super) unrecorded: bool,
    pub(super) started: bool,
    pub(super) validated: bool,
    pub(super) stage: Stage,
    pub(super) asked: Asked,
    pub(super) awaited: Vec<usize>,
    pub(super) ended: Option<Step>,
}

/// How far a task is, beyond what [`Task`] says.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub(super) code: Option<ResultCode>,
    pub(super) phase: Option<OperationPhase>,
    pub(super) message: String,
    /// Applied in this very pass: its status may be that of before.
    pub(super) fresh: bool,
    /// Its deletion was asked for in this pass.
    pub(super) deleting: bool,
    /// Our finalizer was taken off in this pass.
    pub(super) released: bool,
    /// Its object was asked for from the server in this pass.
    pub(super) confirmed: bool,
    /// How often a create met an object of others.
    pub(super) collisions: u8,
}

/// Where the machine is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    Begin,
    NamespaceMade,
    Validate,
    Validated,
    Look,
    PendingDeletion,
    Release,
    Judge,
    Wave(wave::At),
    Fail,
    Clean(&'static str),
    Terminate(termination::At),
}

/// What the last step asked, so that answers are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    DryRun,
    Apply,
    Prune,
    DeleteDone,
    DeleteInTheWay,
    DeleteRunning,
    ReleaseDone,
    ReleaseInTheWay,
    ReleaseRunning,
    Confirm,
}

/// What a move comes to.
pub(super) enum Flow {
    Ask(Step),
    Go(Stage),
}

// === impl Pass ===

impl Pass {
    /// Builds a pass. Nothing is done before the first [`Pass::next`].
    pub fn new(input: SyncInput, destination: Arc<dyn Destination>) -> Self {
        let Draft { tasks, invalid, skip_dry_run } = draft(&input, destination.as_ref());
        let results = Results::new(input.recorded.clone());
        let progress = tasks.iter().map(|task| Progress::of(results.get(&task.key, task.phase))).collect();
        // The namespace is made before the dry run, so its result is no sign
        // that the dry run was passed.
        let started = results.as_slice().iter().any(|r| !is_destination_namespace(&input, &r.key));
        let validated = started || input.validated;
        Self {
            input,
            destination,
            tasks,
            progress,
            message: "one or more tasks are running".to_owned(),
            wave: Wave::default(),
            apply_failed: false,
            invalid,
            skip_dry_run,
            results,
            unrecorded: false,
            started,
            validated,
            stage: Stage::Begin,
            asked: Asked::Nothing,
            awaited: Vec::new(),
            ended: None,
        }
    }

    /// Takes the answers to the last step and says what to do next. Once it has
    /// said [`Step::Wait`] or [`Step::Finish`] it says only that.
    ///
    /// A task without an answer counts as failed.
    pub fn next(&mut self, answers: Vec<Answer>) -> Step {
        if let Some(step) = &self.ended {
            return step.clone();
        }
        self.absorb(answers);
        loop {
            match self.advance() {
                Flow::Ask(step) => {
                    if matches!(step, Step::Wait { .. } | Step::Finish { .. }) {
                        self.ended = Some(step.clone());
                    }
                    return step;
                }
                Flow::Go(stage) => self.stage = stage,
            }
        }
    }

    /// Results so far, in the order of execution.
    pub fn results(&self) -> &[ResourceResult] {
        self.results.as_slice()
    }

    /// The operation's message so far.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the dry run is behind us; to be passed to the next pass.
    pub fn validated(&self) -> bool {
        self.validated
    }

    fn advance(&mut self) -> Flow {
        match self.stage {
            Stage::Begin => self.begin(),
            Stage::NamespaceMade => self.namespace_made(),
            Stage::Validate => self.validate(),
            Stage::Validated => self.on_validated(),
            Stage::Look => self.look(),
            Stage::PendingDeletion => self.await_pruned(),
            Stage::Release => self.release_completed(),
            Stage::Judge => self.judge(),
            Stage::Wave(at) => self.run_wave(at),
            Stage::Fail => self.fail(),
            Stage::Clean(message) => self.clean(message),
            Stage::Terminate(at) => self.terminate(at),
        }
    }

    fn absorb(&mut self, answers: Vec<Answer>) {
        let asked = std::mem::replace(&mut self.asked, Asked::Nothing);
        let mut outcomes: std::collections::HashMap<usize, Outcome> =
            answers.into_iter().map(|answer| (answer.id, answer.outcome)).collect();
        for id in std::mem::take(&mut self.awaited) {
            let outcome = outcomes.remove(&id).unwrap_or_else(|| Outcome::Failed("no outcome was reported".to_owned()));
            match asked {
                Asked::Nothing => {}
                Asked::DryRun => self.on_dry_run(id, outcome),
                Asked::Apply => self.on_applied(id, outcome),
                Asked::Prune => self.on_pruned(id, outcome),
                Asked::DeleteDone => self.on_done_deleted(id, outcome),
                Asked::DeleteInTheWay => self.on_in_the_way_deleted(id, outcome),
                Asked::DeleteRunning => self.on_running_deleted(id, outcome),
                Asked::ReleaseDone | Asked::ReleaseInTheWay | Asked::ReleaseRunning => {
                    self.on_released(id, outcome, asked);
                }
                Asked::Confirm => self.on_confirmed(id, outcome),
            }
        }
    }

    /// Decides what comes after everything started so far has ended.
    fn judge(&mut self) -> Flow {
        if self.has_failed() {
            return Flow::Go(Stage::Fail);
        }
        let pending = self.select(|pass, t| t.phase != Phase::SyncFail && pass.is_pending(t.id) && pass.is_wanted(t));
        let Some(first) = pending.first().map(|id| &self.tasks[*id]) else {
            return Flow::Go(Stage::Clean("successfully synced (no more tasks)"));
        };
        let place = (first.phase, first.wave);
        let (ids, later): (Vec<usize>, Vec<usize>) =
            pending.into_iter().partition(|id| (self.tasks[*id].phase, self.tasks[*id].wave) == place);
        self.wave = Wave { ids, is_last: later.is_empty(), ..Wave::default() };
        Flow::Go(Stage::Wave(wave::At::Release))
    }

    /// Success: hooks that ask for it are deleted, then it is said.
    fn clean(&mut self, message: &'static str) -> Flow {
        let ids = self.deletable_hooks(DeletePolicy::HookSucceeded);
        if ids.is_empty() {
            return self.finish(OperationPhase::Succeeded, message.to_owned());
        }
        self.delete_done(ids)
    }

    // --- What the moves are made of --------------------------------------

    pub(super) fn ask(&mut self, asked: Asked, ids: Vec<usize>, step: impl Fn(Vec<Task>) -> Step) -> Flow {
        let tasks = ids.iter().map(|id| self.tasks[*id].clone()).collect();
        self.asked = asked;
        self.awaited = ids;
        Flow::Ask(step(tasks))
    }

    pub(super) fn finish(&mut self, phase: OperationPhase, message: String) -> Flow {
        self.message.clone_from(&message);
        Flow::Ask(Step::Finish { phase, message })
    }

    /// Asks for the results to be written, unless they are.
    pub(super) fn record(&mut self) -> Option<Flow> {
        if !std::mem::take(&mut self.unrecorded) {
            return None;
        }
        Some(Flow::Ask(Step::Record { message: self.message.clone() }))
    }

    pub(super) fn go_to(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// Sets a task's result. An empty message keeps the one there is.
    pub(super) fn set(&mut self, id: usize, code: Option<ResultCode>, phase: Option<OperationPhase>, message: &str) {
        let (task, progress) = (&self.tasks[id], &mut self.progress[id]);
        progress.code = code;
        progress.phase = phase;
        if !message.is_empty() {
            message.clone_into(&mut progress.message);
        }
        self.unrecorded |= self.results.put(ResourceResult {
            key: task.key.clone(),
            version: task.gvk.version.to_string(),
            status: code,
            message: progress.message.clone(),
            hook_type: task.is_hook.then(|| task.phase.hook_type()),
            hook_phase: phase,
            sync_phase: task.phase,
            images: images(task.object()),
        });
    }

    /// Sets the phase of a task, keeping what was done with it.
    pub(super) fn set_phase(&mut self, id: usize, phase: OperationPhase, message: &str) {
        self.set(id, self.progress[id].code, Some(phase), message);
    }

    /// Places of the tasks that pass the test, in order.
    pub(super) fn select(&self, test: impl Fn(&Self, &Task) -> bool) -> Vec<usize> {
        self.tasks.iter().filter(|task| test(self, task)).map(|task| task.id).collect()
    }

    pub(super) fn is_pending(&self, id: usize) -> bool {
        self.progress[id].phase.is_none()
    }

    pub(super) fn is_running(&self, id: usize) -> bool {
        self.progress[id].phase.is_some_and(|phase| !phase.is_completed())
    }

    pub(super) fn is_completed(&self, id: usize) -> bool {
        self.progress[id].phase.is_some_and(OperationPhase::is_completed)
    }

    pub(super) fn is_unsuccessful(&self, id: usize) -> bool {
        self.is_completed(id) && self.progress[id].phase != Some(OperationPhase::Succeeded)
    }

    /// Whether anything but the answer to failure has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.tasks.iter().any(|task| task.phase != Phase::SyncFail && self.is_unsuccessful(task.id))
    }

    /// `ApplyOutOfSyncOnly` leaves out what is as it should be.
    pub(super) fn is_wanted(&self, task: &Task) -> bool {
        task.is_hook
            || task.modified
            || task.target.is_none()
            || task.live.is_none()
            || !self.input.options.has("ApplyOutOfSyncOnly=true")
    }

    pub(super) fn propagation(&self) -> Propagation {
        match self.input.options.value("PrunePropagationPolicy") {
            Some("background") => Propagation::Background,
            Some("orphan") => Propagation::Orphan,
            _ => Propagation::Foreground,
        }
    }

    /// Replaces what is known to live, and what follows from it.
    pub(super) fn see(&mut self, id: usize, live: Option<Arc<Value>>) {
        let task = &mut self.tasks[id];
        if let Some(target) = &task.target {
            task.mode = mode::choose(&self.input, target, live.as_deref(), task.is_hook);
        }
        task.live = live;
    }
}

// === impl Progress ===

impl Progress {
    fn of(result: Option<&ResourceResult>) -> Self {
        let Some(result) = result else { return Self::default() };
        Self { code: result.status, phase: result.hook_phase, message: result.message.clone(), ..Self::default() }
    }
}

fn is_destination_namespace(input: &SyncInput, key: &argosy_model::ResourceKey) -> bool {
    key.group.is_empty() && &*key.kind == "Namespace" && *key.name == *input.namespace
}

/// Images of the containers an object runs, directly or by its template.
fn images(object: &Value) -> Vec<String> {
    let specs: [&[&str]; 3] =
        [&["spec"], &["spec", "template", "spec"], &["spec", "jobTemplate", "spec", "template", "spec"]];
    specs
        .iter()
        .filter_map(|path| object::get(object, path))
        .flat_map(|spec| ["initContainers", "containers"].map(|field| spec.get(field)))
        .flatten()
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(|container| container.get("image").and_then(Value::as_str))
        .map(str::to_owned)
        .collect()
}
