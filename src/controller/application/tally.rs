//! Counting the requests an application's syncs make, under Argo CD's name.

use argosy_cluster::Error;
use argosy_engine::sync::Task;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::Application;

use super::destination::project_name;

/// On whose behalf requests are made.
pub(super) struct Tally {
    namespace: String,
    name: String,
    project: String,
    server: String,
}

// === impl Tally ===

impl Tally {
    pub(super) fn new(app: &Application, server: &str) -> Self {
        let spec = app.spec.clone().unwrap_or_default();
        Self {
            namespace: app.metadata().namespace.clone(),
            name: app.metadata().name.clone(),
            project: project_name(&spec).to_owned(),
            server: server.to_owned(),
        }
    }

    /// Counts one request and what came of it; no answer at all has the code 0.
    pub(super) fn count<T>(&self, verb: &'static str, task: &Task, dry_run: bool, result: &Result<T, Error>) {
        let code = result.as_ref().map_or_else(|error| error.code().unwrap_or(0), |_| 200);
        let labels = [
            ("namespace", self.namespace.clone()),
            ("name", self.name.clone()),
            ("project", self.project.clone()),
            ("server", self.server.clone()),
            ("response_code", code.to_string()),
            ("verb", verb.to_owned()),
            ("resource_kind", task.key.kind.to_string()),
            ("resource_namespace", task.key.namespace.to_string()),
            ("dry_run", dry_run.to_string()),
        ];
        metrics::counter!("argocd_app_k8s_request_total", &labels).increment(1);
    }
}

/// The verb of applying a task.
pub(super) fn verb_of(task: &Task) -> &'static str {
    use argosy_engine::sync::ApplyMode;
    match (&task.mode, &task.live) {
        (ApplyMode::Create, _) | (_, None) => "create",
        (ApplyMode::Replace { .. } | ApplyMode::Update, Some(_)) => "update",
        (ApplyMode::ClientSide { .. } | ApplyMode::ServerSide { .. }, Some(_)) => "patch",
    }
}
