//! The life of an operation: requested, running, waiting for a retry, being
//! terminated, done. Pure: from the state that is recorded to the next one.

use std::time::Duration;

use argosy_proto::meta::Time;
use argosy_proto::v1alpha1::{
    Application, ManagedNamespaceMetadata, Operation, OperationState, ResourceResult as WireResult, RevisionHistory,
    SyncOperationResult,
};
use jiff::{Timestamp, tz::TimeZone};

use crate::backoff::Backoff;
use crate::hook::{HookType, Phase};
use crate::sync::{OperationPhase, ResourceResult, ResultCode};

/// History entries kept when the application does not say how many.
const DEFAULT_HISTORY: i64 = 10;

/// What is to be done about an application's operation.
#[derive(Clone, Debug, PartialEq)]
pub enum NextStep {
    /// No operation is requested.
    Idle,
    /// A new operation: record this state, then run it.
    Start(Box<OperationState>),
    /// Run the next pass of this state. It may be terminating.
    Resume(Box<OperationState>),
    /// A retry is due after this long.
    Wait(Duration),
}

/// How a pass ended.
#[derive(Clone, Debug, PartialEq)]
pub struct PassEnd {
    /// Running, or a final phase.
    pub phase: OperationPhase,
    /// In words.
    pub message: String,
}

/// Decides what to do about the operation an application asks for.
/// `timeout` of zero lets operations take as long as they need.
pub fn plan_operation(app: &Application, timeout: Duration, now: Timestamp) -> NextStep {
    let Some(operation) = &app.operation else { return NextStep::Idle };
    let state = app.status.as_ref().and_then(|s| s.operation_state.as_ref());
    let phase = state.and_then(|s| OperationPhase::parse(&s.phase));
    let (Some(state), Some(phase)) = (state, phase) else {
        return NextStep::Start(Box::new(started(operation, now)));
    };
    if phase.is_completed() {
        // Times have whole seconds, and an operation is told from the one before
        // by when it started: its hooks are marked with that.
        if state.started_at.is_some_and(|at| at.seconds == now.as_second()) {
            return NextStep::Wait(until_next_second(now));
        }
        return NextStep::Start(Box::new(started(operation, now)));
    }
    let mut state = state.clone();
    if phase == OperationPhase::Terminating {
        return NextStep::Resume(Box::new(state));
    }
    if timeout > Duration::ZERO && elapsed(state.started_at.as_ref(), now) >= timeout {
        state.phase = OperationPhase::Terminating.as_str().to_owned();
        state.message = "operation is terminating due to timeout".to_owned();
        return NextStep::Resume(Box::new(state));
    }
    let Some(finished) = state.finished_at else { return NextStep::Resume(Box::new(state)) };
    let wait = retry_wait(&state).saturating_sub(elapsed(Some(&finished), now));
    if wait > Duration::ZERO {
        return NextStep::Wait(time_left(&state, timeout, now).map_or(wait, |left| wait.min(left)));
    }
    NextStep::Resume(Box::new(retried(state)))
}

/// How much longer an operation may run before it is ended for its length, to be
/// looked at again then; `None` where it may take as long as it needs.
pub fn time_left(state: &OperationState, timeout: Duration, now: Timestamp) -> Option<Duration> {
    let limited = timeout > Duration::ZERO && state.phase == OperationPhase::Running.as_str();
    limited.then(|| timeout.saturating_sub(elapsed(state.started_at.as_ref(), now)))
}

fn until_next_second(now: Timestamp) -> Duration {
    let passed = Duration::from_nanos(u64::try_from(now.subsec_nanosecond()).unwrap_or_default());
    Duration::from_secs(1).saturating_sub(passed).max(Duration::from_millis(1))
}

/// The state of an operation that begins now.
fn started(operation: &Operation, now: Timestamp) -> OperationState {
    OperationState {
        operation: Some(operation.clone()),
        phase: OperationPhase::Running.as_str().to_owned(),
        started_at: Some(Time::from(now)),
        ..OperationState::default()
    }
}

/// The state of an operation that is tried once more.
fn retried(mut state: OperationState) -> OperationState {
    let refresh = retry(&state).is_some_and(|r| r.refresh);
    let latest = if refresh { " with latest revisions" } else { "" };
    state.message = format!("Retrying operation{latest}. Attempt #{}", state.retry_count);
    if let Some(sync) = state.operation.as_mut().and_then(|o| o.sync.as_mut()).filter(|_| refresh) {
        sync.revision.clear();
        sync.revisions.clear();
    }
    state.finished_at = None;
    state.sync_result = None;
    state
}

/// The state after a pass: still running, waiting to be retried, or finished.
/// `timed_out` says that the controller's own limit ended the operation.
pub fn end_pass(mut state: OperationState, end: PassEnd, timed_out: bool, now: Timestamp) -> OperationState {
    let terminating = state.phase == OperationPhase::Terminating.as_str();
    state.message = end.message;
    if !end.phase.is_completed() {
        if !terminating {
            state.phase = end.phase.as_str().to_owned();
        }
        return state;
    }
    let limit = retry(&state).map_or(0, |r| r.limit);
    let unsuccessful = matches!(end.phase, OperationPhase::Failed | OperationPhase::Error);
    state.finished_at = Some(Time::from(now));
    if unsuccessful && !terminating && (limit < 0 || state.retry_count < limit) {
        state.phase = OperationPhase::Running.as_str().to_owned();
        state.retry_count += 1;
        let at = now.checked_add(retry_wait(&state)).unwrap_or(Timestamp::MAX).to_zoned(TimeZone::UTC);
        state.message =
            format!("{}. Retrying attempt #{} at {}.", state.message, state.retry_count, at.strftime("%-I:%M%p"));
        return state;
    }
    state.phase = end.phase.as_str().to_owned();
    if state.retry_count > 0 && unsuccessful {
        state.message = format!("{} (retried {} times).", state.message, state.retry_count);
    }
    if timed_out {
        state.message.push_str(", triggered by controller sync timeout");
    }
    state
}

fn retry(state: &OperationState) -> Option<&argosy_proto::v1alpha1::RetryStrategy> {
    state.operation.as_ref()?.retry.as_ref()
}

/// The wait before the attempt that `retry_count` counts. A malformed backoff
/// must not stop the retries; the application's validation reports it.
fn retry_wait(state: &OperationState) -> Duration {
    let backoff = retry(state).and_then(|r| Backoff::of_retry(r).ok()).unwrap_or(crate::backoff::RETRY);
    backoff.after(u32::try_from(state.retry_count).unwrap_or_default())
}

fn elapsed(since: Option<&Time>, now: Timestamp) -> Duration {
    let since = since.map_or(now, Time::timestamp);
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// Whether a finished operation deployed the whole application, which is what
/// history records.
pub fn is_deployment(state: &OperationState) -> bool {
    let sync = state.operation.as_ref().and_then(|o| o.sync.as_ref());
    state.phase == OperationPhase::Succeeded.as_str() && sync.is_some_and(|s| !s.dry_run && s.resources.is_empty())
}

/// The history with a deployment added and cut to its limit.
pub fn append_history(
    history: &[RevisionHistory],
    state: &OperationState,
    limit: Option<i64>,
    now: Timestamp,
) -> Vec<RevisionHistory> {
    let mut history = history.to_vec();
    let result = state.sync_result.clone().unwrap_or_default();
    history.push(RevisionHistory {
        id: history.last().map_or(0, |last| last.id + 1),
        revision: result.revision,
        revisions: result.revisions,
        source: result.source,
        sources: result.sources,
        deployed_at: Some(Time::from(now)),
        deploy_started_at: state.started_at,
        initiated_by: state.operation.as_ref().and_then(|o| o.initiated_by.clone()),
    });
    let limit = usize::try_from(limit.unwrap_or(DEFAULT_HISTORY)).unwrap_or_default();
    history.drain(..history.len().saturating_sub(limit));
    history
}

/// The result of a sync before its first pass.
pub fn sync_result(
    source: Option<argosy_proto::v1alpha1::ApplicationSource>,
    sources: Vec<argosy_proto::v1alpha1::ApplicationSource>,
    revisions: &[String],
    namespace: Option<ManagedNamespaceMetadata>,
) -> SyncOperationResult {
    let several = !sources.is_empty();
    SyncOperationResult {
        revision: if several { String::new() } else { revisions.first().cloned().unwrap_or_default() },
        revisions: if several { revisions.to_vec() } else { Vec::new() },
        source: if several { None } else { source },
        sources,
        managed_namespace_metadata: namespace,
        resources: Vec::new(),
    }
}

/// What a sync engine's result looks like on the wire.
pub fn to_wire(result: &ResourceResult) -> WireResult {
    WireResult {
        group: result.key.group.to_string(),
        version: result.version.clone(),
        kind: result.key.kind.to_string(),
        namespace: result.key.namespace.to_string(),
        name: result.key.name.to_string(),
        status: result.status.map_or("", ResultCode::as_str).to_owned(),
        message: result.message.clone(),
        hook_type: result.hook_type.map_or("", HookType::as_str).to_owned(),
        hook_phase: result.hook_phase.map_or("", OperationPhase::as_str).to_owned(),
        sync_phase: result.sync_phase.as_str().to_owned(),
        images: result.images.clone(),
    }
}

/// A recorded result as the sync engine reads it; `None` when its phase is not
/// one of ours, as in a status written by something else.
pub fn from_wire(result: &WireResult) -> Option<ResourceResult> {
    Some(ResourceResult {
        key: argosy_model::ResourceKey::new(&result.group, &result.kind, &result.namespace, &result.name),
        version: result.version.clone(),
        status: ResultCode::parse(&result.status),
        message: result.message.clone(),
        hook_type: HookType::parse(&result.hook_type),
        hook_phase: OperationPhase::parse(&result.hook_phase),
        sync_phase: Phase::parse(&result.sync_phase)?,
        images: result.images.clone(),
    })
}

#[cfg(test)]
mod tests;
