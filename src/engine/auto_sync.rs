//! Whether an out-of-sync application is synced by itself, and with what.

use std::time::Duration;

use argosy_proto::v1alpha1::{
    Application, Operation, OperationInitiator, RetryStrategy, SyncOperation, SyncOperationResource,
};
use jiff::Timestamp;

use crate::backoff::Backoff;
use crate::compare::Summary;
use crate::sync::OperationPhase;

/// Attempts of an automated sync whose application says nothing about retries.
const DEFAULT_RETRIES: i64 = 5;

/// What automated sync looks at besides the application.
#[derive(Clone, Debug)]
pub struct AutoSyncInput<'a> {
    /// The fresh comparison.
    pub summary: &'a Summary,
    /// Resolved revision of each source, in the order of the sources.
    pub revisions: &'a [String],
    /// Wait between self-heal attempts on one revision.
    pub heal_backoff: Backoff,
    /// Time of the pass.
    pub now: Timestamp,
}

/// What automated sync does.
#[derive(Clone, Debug, PartialEq)]
pub enum AutoSync {
    /// Nothing, for this reason.
    Nothing(&'static str),
    /// Nothing, and the owner should know: a `SyncError`.
    Refuse(String),
    /// Look again after this long.
    Wait(Duration),
    /// Start this operation.
    Start(Box<Operation>),
}

/// Decides whether to start a sync.
pub fn plan_auto_sync(app: &Application, input: &AutoSyncInput<'_>) -> AutoSync {
    let spec = app.spec.clone().unwrap_or_default();
    let policy = spec.sync_policy.clone().unwrap_or_default();
    let Some(automated) = policy.automated.as_ref().filter(|a| a.enabled != Some(false)) else {
        return AutoSync::Nothing("automated sync is off");
    };
    if app.operation.is_some() {
        return AutoSync::Nothing("another operation is in progress");
    }
    if app.metadata.as_ref().is_some_and(|m| m.deletion_timestamp.is_some()) {
        return AutoSync::Nothing("the application is being deleted");
    }
    if !input.summary.out_of_sync {
        return AutoSync::Nothing("the application is in sync");
    }
    let prune = automated.prune == Some(true);
    if !prune && input.summary.only_prunes {
        return AutoSync::Nothing("only pruning is needed, and automated pruning is off");
    }
    let mut operation = Operation {
        sync: Some(SyncOperation {
            source: if spec.sources.is_empty() { spec.source.clone() } else { None },
            sources: spec.sources.clone(),
            revision: if spec.sources.is_empty() {
                input.revisions.first().cloned().unwrap_or_default()
            } else {
                String::new()
            },
            revisions: if spec.sources.is_empty() { Vec::new() } else { input.revisions.to_vec() },
            prune,
            sync_options: policy.sync_options.clone(),
            ..SyncOperation::default()
        }),
        initiated_by: Some(OperationInitiator { automated: true, ..OperationInitiator::default() }),
        retry: Some(
            policy.retry.clone().unwrap_or(RetryStrategy { limit: DEFAULT_RETRIES, ..RetryStrategy::default() }),
        ),
        info: Vec::new(),
    };
    if let Some(attempted) = last_attempt(app, &operation) {
        match attempt_again(&attempted, automated.self_heal == Some(true), app, input, &mut operation) {
            None => {}
            Some(decision) => return decision,
        }
    }
    if prune && automated.allow_empty != Some(true) && wipes_out(input.summary) {
        return AutoSync::Refuse(format!(
            "Skipping sync attempt to {}: auto-sync will wipe out all resources",
            in_words(input.revisions)
        ));
    }
    AutoSync::Start(Box::new(operation))
}

/// How the last operation ended, when it was for the same sources and revisions.
fn last_attempt(app: &Application, operation: &Operation) -> Option<OperationPhase> {
    let state = app.status.as_ref()?.operation_state.as_ref()?;
    let phase = OperationPhase::parse(&state.phase)?;
    let sync = operation.sync.as_ref()?;
    let Some(result) = state.sync_result.as_ref() else {
        return phase.is_completed().then_some(phase);
    };
    let same_revision = result.revision == sync.revision && result.revisions == sync.revisions;
    let same_source = result.source.clone().unwrap_or_default() == sync.source.clone().unwrap_or_default()
        && result.sources == sync.sources;
    (same_revision && same_source).then_some(phase)
}

/// What to do when this very state was synced before. `None` goes on with the
/// operation, narrowed down to what drifted.
fn attempt_again(
    phase: &OperationPhase,
    self_heal: bool,
    app: &Application,
    input: &AutoSyncInput<'_>,
    operation: &mut Operation,
) -> Option<AutoSync> {
    let state = app.status.as_ref()?.operation_state.as_ref()?;
    if !matches!(phase, OperationPhase::Succeeded) {
        return Some(AutoSync::Refuse(format!(
            "Failed last sync attempt to {}: {}",
            in_words(input.revisions),
            state.message
        )));
    }
    if !self_heal {
        return Some(AutoSync::Nothing("this revision was synced already, and self-heal is off"));
    }
    let attempts =
        state.operation.as_ref().and_then(|o| o.sync.as_ref()).map(|s| s.auto_heal_attempts_count).unwrap_or_default();
    let finished = state.finished_at.map_or(input.now, |at| at.timestamp());
    let ready = input.heal_backoff.after(u32::try_from(attempts).unwrap_or(u32::MAX));
    let elapsed = Duration::try_from(input.now.duration_since(finished)).unwrap_or_default();
    if let Some(rest) = ready.checked_sub(elapsed).filter(|rest| !rest.is_zero()) {
        return Some(AutoSync::Wait(rest));
    }
    let sync = operation.sync.as_mut()?;
    sync.auto_heal_attempts_count = attempts + 1;
    sync.resources = input
        .summary
        .resources
        .iter()
        .filter(|r| !r.status.is_empty() && r.status != "Synced")
        .map(|r| SyncOperationResource {
            group: r.group.clone(),
            kind: r.kind.clone(),
            name: r.name.clone(),
            namespace: r.namespace.clone(),
        })
        .collect();
    None
}

fn wipes_out(summary: &Summary) -> bool {
    let mut managed = summary.resources.iter().filter(|r| !r.hook).peekable();
    managed.peek().is_some() && managed.all(|r| r.requires_pruning)
}

/// Revisions as messages show them: in brackets, separated by spaces.
fn in_words(revisions: &[String]) -> String {
    format!("[{}]", revisions.join(" "))
}

#[cfg(test)]
mod tests;
