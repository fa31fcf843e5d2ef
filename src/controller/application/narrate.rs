//! The application's story as Kubernetes Events and counters, told when a write
//! has made it true.

use argosy_engine::sync::OperationPhase;
use argosy_home::events::{Reason, Severity};
use argosy_model::names;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{Application, ApplicationStatus, OperationState};

use super::destination::project_name;
use crate::context::Shared;

/// Stands for a person who has left no name.
const UNKNOWN: &str = "Unknown user";

/// Tells that an application is gone, unless the API did when it was asked to.
pub(crate) fn deleted(shared: &Shared, app: &Application) {
    if app.metadata().annotations.contains_key(names::ANNOTATION_DELETED_BY) {
        return;
    }
    tell_as(shared, app, Reason::ResourceDeleted, Severity::Normal, "Unknown user deleted application", UNKNOWN);
}

/// Tells what changed between two states of an application.
pub(super) fn transitions(shared: &Shared, before: &Application, after: &Application) {
    let (old, new) = (before.status.clone().unwrap_or_default(), after.status.clone().unwrap_or_default());
    // The API tells itself who made what through it.
    let by_api = after.metadata().managed_fields.iter().any(|entry| entry.manager == names::MANAGER_API);
    if before.status.is_none() && after.status.is_some() && !by_api {
        // Whoever makes an Application with kubectl leaves no name on it.
        tell_as(shared, after, Reason::ResourceCreated, Severity::Normal, "Unknown user created application", UNKNOWN);
    }
    started(shared, after, &old, &new);
    completed(shared, after, &old, &new);
    let sync = |s: &ApplicationStatus| s.sync.as_ref().map(|s| s.status.clone()).unwrap_or_default();
    if sync(&old) != sync(&new) {
        let message = format!("Updated sync status: {} -> {}", sync(&old), sync(&new));
        tell(shared, after, Reason::ResourceUpdated, Severity::Normal, &message);
    }
    let health = |s: &ApplicationStatus| s.health.as_ref().map(|h| h.status.clone()).unwrap_or_default();
    if health(&old) != health(&new) {
        let message = format!("Updated health status: {} -> {}", health(&old), health(&new));
        tell(shared, after, Reason::ResourceUpdated, Severity::Normal, &message);
    }
}

/// An operation that began with this write.
fn started(shared: &Shared, app: &Application, old: &ApplicationStatus, new: &ApplicationStatus) {
    let (was, is) = (old.operation_state.as_ref(), new.operation_state.as_ref());
    let Some(state) = is.filter(|s| s.phase == "Running") else { return };
    let over = |s: &OperationState| OperationPhase::parse(&s.phase).is_none_or(OperationPhase::is_completed);
    if was.is_some_and(|w| w.started_at == state.started_at && !over(w)) {
        return;
    }
    let operation = state.operation.clone().unwrap_or_default();
    let initiator = operation.initiated_by.unwrap_or_default();
    let asked = revision_of(state);
    let revision = if asked.is_empty() { target_revision(app) } else { asked };
    let user = if initiator.automated || !initiator.username.is_empty() { &*initiator.username } else { UNKNOWN };
    let message = if initiator.automated {
        format!("Initiated automated sync to '{revision}'")
    } else {
        let sync = operation.sync.unwrap_or_default();
        let partial = if sync.resources.is_empty() { "" } else { "partial " };
        let place = if sync.manifests.is_empty() { format!("to {revision}") } else { "locally".to_owned() };
        format!("{user} initiated {partial}sync {place}")
    };
    tell_as(shared, app, Reason::OperationStarted, Severity::Normal, &message, user);
}

/// An operation that ended with this write.
fn completed(shared: &Shared, app: &Application, old: &ApplicationStatus, new: &ApplicationStatus) {
    let over = |s: &OperationState| OperationPhase::parse(&s.phase).is_some_and(OperationPhase::is_completed);
    let (was, is) = (old.operation_state.as_ref(), new.operation_state.as_ref());
    let Some(state) = is.filter(|s| over(s)) else { return };
    if was.is_some_and(|w| over(w) && w.started_at == state.started_at && w.finished_at == state.finished_at) {
        return;
    }
    let partial = state.operation.as_ref().and_then(|o| o.sync.as_ref()).is_some_and(|s| !s.resources.is_empty());
    let subject = if partial { "Partial sync operation" } else { "Sync operation" };
    let revision = revision_of(state);
    let (severity, message) = if state.phase == OperationPhase::Succeeded.as_str() {
        (Severity::Normal, format!("{subject} to {revision} succeeded"))
    } else {
        (Severity::Warning, format!("{subject} to {revision} failed: {}", state.message))
    };
    tell(shared, app, Reason::OperationCompleted, severity, &message);
}

/// The revision of an operation: what it was resolved to, else what was asked for.
fn revision_of(state: &OperationState) -> String {
    let result = state.sync_result.clone().unwrap_or_default();
    let sync = state.operation.as_ref().and_then(|o| o.sync.clone()).unwrap_or_default();
    let candidates = [result.revisions.join(", "), result.revision, sync.revisions.join(", "), sync.revision];
    candidates.into_iter().find(|r| !r.is_empty()).unwrap_or_default()
}

/// What the application follows when nobody names a revision.
fn target_revision(app: &Application) -> String {
    let source = app.spec.as_ref().and_then(|s| s.sources.first().or(s.source.as_ref()));
    source.map(|s| s.target_revision.clone()).filter(|r| !r.is_empty()).unwrap_or_else(|| "HEAD".to_owned())
}

/// Something went wrong that no condition transition tells of.
pub(super) fn trouble(shared: &Shared, app: &Application, message: &str) {
    tell(shared, app, Reason::StatusRefreshed, Severity::Warning, message);
}

fn tell(shared: &Shared, app: &Application, reason: Reason, severity: Severity, message: &str) {
    tell_as(shared, app, reason, severity, message, "");
}

fn tell_as(shared: &Shared, app: &Application, reason: Reason, severity: Severity, message: &str, user: &str) {
    tracing::info!(application = %format_args!("{}/{}", app.metadata().namespace, app.metadata().name), "{message}");
    let spec = app.spec.clone().unwrap_or_default();
    let project = shared.home.project(project_name(&spec));
    shared.events.application(&shared.home.settings(), app, project.as_deref(), severity, reason, message, user);
}

/// Counts an operation that is over.
pub(super) fn sync_ended(app: &Application, state: &OperationState) {
    let spec = app.spec.clone().unwrap_or_default();
    let labels = [
        ("namespace", app.metadata().namespace.clone()),
        ("name", app.metadata().name.clone()),
        ("project", project_name(&spec).to_owned()),
        ("dest_server", spec.destination.map(|d| d.server).unwrap_or_default()),
    ];
    let dry_run = state.operation.as_ref().and_then(|o| o.sync.as_ref()).is_some_and(|s| s.dry_run);
    let mut counted = labels.to_vec();
    counted.push(("phase", state.phase.clone()));
    counted.push(("dry_run", dry_run.to_string()));
    metrics::counter!("argocd_app_sync_total", &counted).increment(1);
    if let (Some(started), Some(finished)) = (&state.started_at, &state.finished_at) {
        let seconds = (finished.seconds - started.seconds).max(0).cast_unsigned();
        metrics::counter!("argocd_app_sync_duration_seconds_total", &labels).increment(seconds);
    }
}
