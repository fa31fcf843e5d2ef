//! Running the operation an application asks for, one pass of the sync engine
//! after another, until it waits or is over.
//!
//! What has to survive is written before what follows from it is done: the start
//! before the first write to the cluster, results before finished hooks are let
//! go. A process killed at any point leaves a state from which another goes on.

mod input;

use std::sync::Arc;
use std::time::Duration;

use argosy_engine::condition::Kind;
use argosy_engine::operation::{
    NextStep, PassEnd, append_history, end_pass, is_deployment, plan_operation, sync_result, time_left, to_wire,
};
use argosy_engine::refresh::{Level, Refresh};
use argosy_engine::sync::{Answer, OperationPhase, Pass, Step};
use argosy_engine::windows::Subject;
use argosy_model::options::SyncOptions;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{OperationState, SyncOperation};

use super::compare::{self, Compared, Failure};
use super::execute::Executor;
use super::memory::Memory;
use super::pass::{self, Verdict};
use super::record::Draft;
use super::tally::Tally;
use super::{comparison_status, narrate};
use crate::context::Shared;

/// A sync blocked by a window without an end is looked at again after this long.
const BLOCKED: Duration = Duration::from_secs(60);

/// What a pass leaves behind.
enum Left {
    /// Still running; look again when something happens, or after this long.
    Running(Option<Duration>),
    /// Ended in this way.
    Ended(PassEnd),
}

/// Runs the operation in the draft as far as it goes now. `before` is what the
/// comparison before it asked for.
pub(super) async fn run(
    shared: &Arc<Shared>,
    memory: &mut Memory,
    mut draft: Draft,
    before: Verdict,
) -> Result<Verdict, argosy_home::Error> {
    loop {
        let now = (shared.clock)();
        let settings = shared.home.settings();
        let timeout = settings.controller.sync_timeout;
        let state = match plan_operation(&draft.app, timeout, now) {
            NextStep::Idle => return Ok(before),
            NextStep::Wait(wait) => return Ok(Verdict::Again(wait, Level::Recorded)),
            NextStep::Start(state) | NextStep::Resume(state) => *state,
        };
        let timed_out = state.message == "operation is terminating due to timeout";
        set_state(&mut draft, state);
        // The first write of an operation is its start; later ones say only what is new.
        draft.persist().await?;
        match run_pass(shared, memory, &mut draft).await? {
            Left::Running(recheck) => {
                let left = time_left(&state_of(&draft), timeout, (shared.clock)());
                let wait = recheck.into_iter().chain(left).min();
                return Ok(wait.map_or(before, |wait| Verdict::Again(wait, Level::Recorded)));
            }
            Left::Ended(end) => {
                if let Some(verdict) = finish(shared, memory, &mut draft, end, timed_out).await? {
                    return Ok(verdict);
                }
            }
        }
    }
}

fn state_of(draft: &Draft) -> OperationState {
    draft.app.status.as_ref().and_then(|s| s.operation_state.clone()).unwrap_or_default()
}

fn set_state(draft: &mut Draft, state: OperationState) {
    draft.app.status.get_or_insert_default().operation_state = Some(state);
}

/// Writes the end of a pass. `None` when the operation goes on at once.
async fn finish(
    shared: &Arc<Shared>,
    memory: &mut Memory,
    draft: &mut Draft,
    end: PassEnd,
    timed_out: bool,
) -> Result<Option<Verdict>, argosy_home::Error> {
    let now = (shared.clock)();
    adopt_termination(shared, draft);
    let state = end_pass(state_of(draft), end, timed_out, now);
    set_state(draft, state.clone());
    let over = OperationPhase::parse(&state.phase).is_some_and(OperationPhase::is_completed);
    if !over {
        draft.persist().await?;
        return Ok(None);
    }
    draft.app.operation = None;
    if is_deployment(&state) {
        let limit = draft.app.spec.as_ref().and_then(|s| s.revision_history_limit);
        let status = draft.app.status.get_or_insert_default();
        status.history = append_history(&status.history, &state, limit, now);
    }
    memory.validated = None;
    narrate::sync_ended(&draft.app, &state);
    // The outcome and the comparison after it are one write, so that whoever sees
    // the end sees a status that is no older.
    let refresh = Refresh { level: Level::Latest, hard: false, reason: "an operation ended" };
    let verdict = pass::refresh(shared, memory, draft, &refresh).await?;
    if draft.app.operation.is_some() {
        return Ok(None);
    }
    // The deletion has waited for this end, and nobody else tells it.
    let deleting = draft.app.metadata().deletion_timestamp.is_some();
    Ok(Some(if deleting { Verdict::Again(Duration::ZERO, Level::Recorded) } else { verdict }))
}

/// Somebody may have asked for the end while the pass ran.
fn adopt_termination(shared: &Shared, draft: &mut Draft) {
    let Some(fresh) = shared.home.apps().get(&draft.key) else { return };
    let asked =
        fresh.status.as_ref().and_then(|s| s.operation_state.as_ref()).is_some_and(|s| s.phase == "Terminating");
    if asked && let Some(state) = draft.app.status.as_mut().and_then(|s| s.operation_state.as_mut()) {
        state.phase = OperationPhase::Terminating.as_str().to_owned();
    }
}

async fn run_pass(shared: &Arc<Shared>, memory: &mut Memory, draft: &mut Draft) -> Result<Left, argosy_home::Error> {
    let now = (shared.clock)();
    let mut state = state_of(draft);
    let terminating = state.phase == OperationPhase::Terminating.as_str();
    let Some(sync) = state.operation.as_ref().and_then(|o| o.sync.clone()) else {
        return Ok(ended(OperationPhase::Failed, "Invalid operation request: no operation specified"));
    };
    let request = input::comparison(draft.app.spec.as_ref(), &sync, state.sync_result.as_ref());
    let request = match request {
        Ok(request) => request,
        Err(message) => return Ok(ended(OperationPhase::Error, &message)),
    };
    let compared = match compare::run(shared, memory, &draft.key, &draft.app, &request).await {
        Ok(compared) => compared,
        Err(failure) => return Ok(ended(OperationPhase::Error, &words(failure))),
    };
    if !terminating && let Some(wait) = blocked_by_window(&compared, draft, &state, now) {
        "Sync operation blocked by sync window".clone_into(&mut state.message);
        set_state(draft, state);
        draft.persist().await?;
        return Ok(Left::Running(Some(wait)));
    }
    if let Some(end) = refused(&compared, &sync, terminating) {
        return Ok(Left::Ended(end));
    }
    if state.sync_result.is_none() {
        let spec = draft.app.spec.clone().unwrap_or_default();
        let (source, sources) = input::sources(&spec, &sync);
        let namespace = spec.sync_policy.and_then(|p| p.managed_namespace_metadata);
        state.sync_result = Some(sync_result(source, sources, &compared.revisions, namespace));
        set_state(draft, state.clone());
    }
    let applier = match input::applier(shared, &draft.app, &compared) {
        Ok(applier) => applier,
        Err(message) => return Ok(ended(OperationPhase::Error, &message)),
    };
    let executor =
        Executor { target: compared.target.clone(), applier, tally: Tally::new(&draft.app, &compared.target.server) };
    let input = input::sync(shared, memory, &draft.app, &compared, &state, &sync, now).await;
    let mut pass = Pass::new(input, Arc::new(input::Permits::new(shared, &compared)));
    let left = drive(shared, draft, &mut pass, &executor).await?;
    if pass.validated() {
        memory.validated = state.started_at.map(|at| (at.timestamp(), state.retry_count));
    }
    Ok(left)
}

/// Executes the steps of a pass until it waits or is over.
async fn drive(
    shared: &Shared,
    draft: &mut Draft,
    pass: &mut Pass,
    executor: &Executor,
) -> Result<Left, argosy_home::Error> {
    let mut answers: Vec<Answer> = Vec::new();
    loop {
        answers = match pass.next(std::mem::take(&mut answers)) {
            Step::Record { message } => {
                take_results(draft, pass, &message);
                draft.persist().await?;
                Vec::new()
            }
            Step::Discover => {
                executor.discover().await;
                Vec::new()
            }
            Step::DryRun(tasks) => executor.apply(&tasks, true).await,
            Step::Apply(tasks) => executor.apply(&tasks, false).await,
            Step::Prune(tasks, propagation) | Step::DeleteHooks(tasks, propagation) => {
                executor.delete(&tasks, propagation).await
            }
            Step::ReleaseHooks(tasks) => executor.release(&tasks).await,
            Step::Confirm(tasks) => executor.confirm(&tasks).await,
            Step::Pause(wait) => {
                shared.turns.aside(tokio::time::sleep(wait)).await;
                Vec::new()
            }
            Step::Wait { message, recheck_after } => {
                take_results(draft, pass, &message);
                draft.persist().await?;
                return Ok(Left::Running(recheck_after));
            }
            Step::Finish { phase, message } => {
                take_results(draft, pass, &message);
                return Ok(Left::Ended(PassEnd { phase, message }));
            }
        };
    }
}

fn take_results(draft: &mut Draft, pass: &Pass, message: &str) {
    let mut state = state_of(draft);
    message.clone_into(&mut state.message);
    if let Some(result) = &mut state.sync_result {
        result.resources = pass.results().iter().map(to_wire).collect();
    }
    set_state(draft, state);
}

fn ended(phase: OperationPhase, message: &str) -> Left {
    Left::Ended(PassEnd { phase, message: message.to_owned() })
}

fn words(failure: Failure) -> String {
    match failure {
        Failure::Spec(findings) => {
            findings.iter().map(|f| format!("{}: {}", f.kind.as_str(), f.message)).collect::<Vec<_>>().join("; ")
        }
        Failure::Source { finding, .. } | Failure::Live(finding) => {
            format!("{}: {}", finding.kind.as_str(), finding.message)
        }
    }
}

/// How long the operation is kept waiting by its project's windows, if it is.
fn blocked_by_window(
    compared: &Compared,
    draft: &Draft,
    state: &OperationState,
    now: jiff::Timestamp,
) -> Option<Duration> {
    let windows = compared.grounds.project.windows.matching(&Subject::of(&draft.app));
    let manual = !state.operation.as_ref().and_then(|o| o.initiated_by.as_ref()).is_some_and(|i| i.automated);
    let started = state.started_at.map(|at| at.timestamp());
    if windows.can_sync(manual, now, started).allowed {
        return None;
    }
    Some(comparison_status::until(windows.next_change(now), now).unwrap_or(BLOCKED))
}

/// Why this comparison must not be synced.
fn refused(compared: &Compared, sync: &SyncOperation, terminating: bool) -> Option<PassEnd> {
    if terminating {
        return None;
    }
    let options = SyncOptions::new(sync.sync_options.iter().cloned());
    let shared = compared.findings.iter().find(|f| f.kind == Kind::SharedResourceWarning);
    if let Some(finding) = shared.filter(|_| options.has("FailOnSharedResource=true")) {
        let message = format!("Shared resource found: {}", finding.message);
        return Some(PassEnd { phase: OperationPhase::Failed, message });
    }
    let errors: Vec<String> = compared
        .findings
        .iter()
        .filter(|f| f.kind.is_error())
        .map(|f| format!("{}: {}", f.kind.as_str(), f.message))
        .collect();
    (!errors.is_empty()).then(|| PassEnd { phase: OperationPhase::Error, message: errors.join("; ") })
}
