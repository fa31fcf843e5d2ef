//! Which operation a request for a sync or a rollback becomes, if any. Pure: what
//! revisions mean, and what the caller may do, is found out by others.

use argosy_model::glob;
use argosy_proto::application::{ApplicationRollbackRequest, ApplicationSyncRequest};
use argosy_proto::peer::ResolvedRevision;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{
    AppProject, Application, ApplicationSpec, Operation, OperationInitiator, SyncOperation, SyncStrategy,
    SyncStrategyApply,
};
use tonic::Status;

use super::spec::{has_several_sources, is_automated, source, sources};

/// The operation, and what to tell of it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) operation: Operation,
    /// Goes on after the caller's name; `None` where the controller tells all there is
    /// to tell when the operation starts.
    pub(super) announcement: Option<String>,
}

/// A request for a sync and what it is about.
pub(super) struct Question<'a> {
    pub(super) app: &'a Application,
    pub(super) project: &'a AppProject,
    pub(super) request: &'a ApplicationSyncRequest,
    pub(super) replace_allowed: bool,
    pub(super) by: OperationInitiator,
}

/// The revisions a request asks for, one per source; empty where it asks for none.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) revisions: Vec<String>,
    /// The first that is not the source's own: its source and the revision.
    pub(super) other: Option<(usize, String)>,
    pub(super) is_override: bool,
}

// === impl Question ===

impl Question<'_> {
    /// Whether the caller brings the manifests.
    pub(super) fn is_local(&self) -> bool {
        !self.request.manifests.is_empty()
    }

    fn spec(&self) -> ApplicationSpec {
        self.app.spec.clone().unwrap_or_default()
    }

    fn is_dry(&self) -> bool {
        self.request.dry_run.unwrap_or(false)
    }

    fn sync_options(&self) -> Vec<String> {
        match &self.request.sync_options {
            Some(options) => options.items.clone(),
            None => self.spec().sync_policy.map(|policy| policy.sync_options).unwrap_or_default(),
        }
    }

    /// What forbids the sync whatever its revision is.
    pub(super) fn check(&self) -> Result<(), Status> {
        if self.is_local() && is_automated(&self.spec()) && !self.is_dry() {
            return Err(Status::failed_precondition(
                "cannot use local sync when Automatic Sync Policy is enabled unless for dry run",
            ));
        }
        if self.app.metadata().deletion_timestamp.is_some() {
            return Err(Status::failed_precondition("application is deleting"));
        }
        let replaces = self.sync_options().iter().any(|option| option == "Replace=true");
        if replaces && !self.replace_allowed {
            return Err(Status::failed_precondition(
                "sync with replace was disabled on the API Server level via the server configuration",
            ));
        }
        if self.is_local() && checks_integrity(self.project, &self.spec()) {
            return Err(Status::failed_precondition("Cannot use local manifests when source integrity is enforced"));
        }
        Ok(())
    }

    /// What is synced by itself stays at its own revision.
    pub(super) fn check_revisions(&self, wanted: &Wanted) -> Result<(), Status> {
        let spec = self.spec();
        let Some((at, revision)) = &wanted.other else { return Ok(()) };
        if !is_automated(&spec) || self.is_dry() {
            return Ok(());
        }
        let own = sources(&spec).into_iter().nth(*at).unwrap_or_default();
        let what = if has_several_sources(&spec) { format!("source {} ", own.repo_url) } else { String::new() };
        Err(Status::failed_precondition(format!(
            "Cannot sync {what}to {revision}: auto-sync currently set to {}",
            own.target_revision
        )))
    }
}

/// Which revisions a request asks for.
///
/// # Errors
/// `InvalidArgument` where it names a source that is not there.
pub(super) fn revisions_to_resolve(app: &Application, request: &ApplicationSyncRequest) -> Result<Wanted, Status> {
    let spec = app.spec.clone().unwrap_or_default();
    let sources = sources(&spec);
    let mut revisions = vec![String::new(); sources.len().max(1)];
    if has_several_sources(&spec) {
        if request.source_positions.len() != request.revisions.len() {
            return Err(Status::invalid_argument("source positions and revisions must be the same in number"));
        }
        for (position, revision) in request.source_positions.iter().zip(&request.revisions) {
            let slot = usize::try_from(*position).ok().and_then(|p| revisions.get_mut(p.checked_sub(1)?));
            let slot = slot.ok_or_else(|| Status::invalid_argument("source position is out of range"))?;
            slot.clone_from(revision);
        }
    } else if let Some(revision) = &request.revision {
        revisions[0].clone_from(revision);
    }
    let differs = |(i, revision): (usize, &String)| {
        let own = sources.get(i).map_or("", |source| source.target_revision.as_str());
        let own = if own.is_empty() { "HEAD" } else { own };
        (!revision.is_empty() && revision != own).then(|| (i, revision.clone()))
    };
    let other = revisions.iter().enumerate().find_map(differs);
    Ok(Wanted { is_override: other.is_some(), other, revisions })
}

/// The operation that a sync becomes. `resolved` has an entry per source, and none
/// for manifests that the caller brings. The checks of [`Question`] come before.
pub(super) fn plan_sync(question: &Question<'_>, resolved: &[ResolvedRevision]) -> Plan {
    let (spec, request) = (question.spec(), question.request);
    let several = has_several_sources(&spec);
    let revisions: Vec<String> = resolved.iter().map(|item| item.revision.clone()).collect();
    let policy = spec.sync_policy.clone().unwrap_or_default();
    let sync = SyncOperation {
        source: (!several).then(|| source(&spec)),
        sources: if several { spec.sources.clone() } else { Vec::new() },
        revision: if several { String::new() } else { revisions.first().cloned().unwrap_or_default() },
        revisions: if several { revisions } else { Vec::new() },
        prune: request.prune.unwrap_or(false),
        dry_run: question.is_dry(),
        sync_options: question.sync_options(),
        sync_strategy: request.strategy,
        resources: request.resources.clone(),
        manifests: request.manifests.clone(),
        ..SyncOperation::default()
    };
    let operation = Operation {
        sync: Some(sync),
        initiated_by: Some(question.by.clone()),
        info: request.infos.clone(),
        retry: request.retry_strategy.clone().or(policy.retry),
    };
    Plan { operation, announcement: None }
}

/// The operation that a rollback becomes. `qualified` names the application.
///
/// # Errors
/// Why it cannot be rolled back.
pub(super) fn plan_rollback(
    app: &Application,
    qualified: &str,
    request: &ApplicationRollbackRequest,
    by: OperationInitiator,
) -> Result<Plan, Status> {
    let spec = app.spec.clone().unwrap_or_default();
    if app.metadata().deletion_timestamp.is_some() {
        return Err(Status::failed_precondition("application is deleting"));
    }
    if is_automated(&spec) {
        return Err(Status::failed_precondition("rollback cannot be initiated when auto-sync is enabled"));
    }
    let history = app.status.as_ref().map(|status| status.history.as_slice()).unwrap_or_default();
    let entry = history.iter().find(|entry| entry.id == request.id).ok_or_else(|| {
        Status::invalid_argument(format!("application {qualified} does not have deployment with id {}", request.id))
    })?;
    if entry.sources.is_empty() && entry.source.as_ref().is_none_or(|source| *source == Default::default()) {
        return Err(Status::failed_precondition(
            "cannot rollback to revision deployed with Argo CD v0.11 or lower. sync to revision instead.",
        ));
    }
    let sync = SyncOperation {
        revision: entry.revision.clone(),
        revisions: entry.revisions.clone(),
        source: entry.source.clone(),
        sources: entry.sources.clone(),
        dry_run: request.dry_run.unwrap_or(false),
        prune: request.prune.unwrap_or(false),
        sync_options: spec.sync_policy.map(|policy| policy.sync_options).unwrap_or_default(),
        sync_strategy: Some(SyncStrategy { apply: Some(SyncStrategyApply::default()), ..SyncStrategy::default() }),
        ..SyncOperation::default()
    };
    Ok(Plan {
        operation: Operation { sync: Some(sync), initiated_by: Some(by), ..Operation::default() },
        announcement: Some(format!("initiated rollback to {}", request.id)),
    })
}

/// Whether the project wants commits of any of the sources signed.
fn checks_integrity(project: &AppProject, spec: &ApplicationSpec) -> bool {
    let Some(project) = &project.spec else { return false };
    let policies = project.source_integrity.iter().filter_map(|integrity| integrity.git.as_ref());
    let strict = policies
        .flat_map(|git| &git.policies)
        .filter(|policy| policy.gpg.as_ref().is_some_and(|gpg| !gpg.mode.is_empty() && gpg.mode != "none"));
    let sources = sources(spec);
    let mut of_sources = strict.flat_map(|policy| &policy.repos).filter(|repo| !repo.url.starts_with('!'));
    let of_git = sources.iter().any(|source| source.chart.is_empty());
    !project.signature_keys.is_empty() && of_git
        || of_sources.any(|repo| sources.iter().any(|source| glob::matches(&repo.url, &source.repo_url, &[])))
}

#[cfg(test)]
#[path = "operation_tests.rs"]
mod tests;
