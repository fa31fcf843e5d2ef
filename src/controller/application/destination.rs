//! Where an application may go and what it may do there: project, cluster,
//! permission.

use std::sync::Arc;

use argosy_auth::application::{
    ClusterName, ConditionKind, DestinationError as Unresolved, project_missing, validate_application,
    validate_namespace,
};
use argosy_cluster::Applier;
use argosy_engine::condition::{Finding, Kind};
use argosy_home::clusters::ClusterSecret;
use argosy_model::{AppKey, names};
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{Application, ApplicationSpec};

use crate::cluster::Target;
use crate::context::Shared;
use crate::projects::Project;

/// An application's project and destination, found and permitted.
pub(crate) struct Grounds {
    pub(crate) project: Arc<Project>,
    pub(crate) cluster: Arc<ClusterSecret>,
}

/// The name of an application's project.
pub(crate) fn project_name(spec: &ApplicationSpec) -> &str {
    if spec.project.is_empty() { names::DEFAULT_PROJECT } else { &spec.project }
}

/// The cluster an application goes to.
pub(crate) fn cluster_of(
    shared: &Shared,
    spec: &ApplicationSpec,
) -> Result<Arc<ClusterSecret>, argosy_home::clusters::DestinationError> {
    let destination = spec.destination.clone().unwrap_or_default();
    shared.home.clusters().resolve(&destination.server, &destination.name)
}

/// The cluster whose owner works on an application. One that goes nowhere is with
/// Argosy's own cluster, so that somebody says what is wrong with it.
pub(crate) fn server_of(shared: &Shared, app: &Application) -> String {
    let cluster = app.spec.as_ref().and_then(|spec| cluster_of(shared, spec).ok());
    cluster.map_or_else(|| names::IN_CLUSTER_SERVER.to_owned(), |cluster| cluster.server.clone())
}

/// Finds project and destination, or what is wrong with them.
pub(crate) fn find(shared: &Shared, key: &AppKey, app: &Application) -> Result<Grounds, Vec<Finding>> {
    let spec = app.spec.clone().unwrap_or_default();
    let name = project_name(&spec);
    let Some(project) = shared.projects.get(&shared.home, &shared.options.namespace, name) else {
        return Err(vec![finding(project_missing(name))]);
    };
    if let Some(condition) = validate_namespace(&key.name, &key.namespace, &project.rules) {
        return Err(vec![finding(condition)]);
    }
    let cluster = cluster_of(shared, &spec);
    let named = cluster.as_ref().map(|c| ClusterName { server: c.server.clone(), name: c.name.clone() });
    // The home crate has the words; here only whether there is a cluster matters.
    let unresolved = Unresolved::Missing;
    let mut findings: Vec<Finding> =
        validate_application(&spec, &project.rules, named.as_ref().map_err(|_| &unresolved))
            .into_iter()
            .filter(|c| cluster.is_ok() || c.message != unresolved.to_string())
            .map(finding)
            .collect();
    match cluster {
        Ok(cluster) if findings.is_empty() => Ok(Grounds { project, cluster }),
        Ok(_) => Err(findings),
        Err(error) => {
            findings.push(Finding::new(Kind::InvalidSpecError, error.to_string()));
            Err(findings)
        }
    }
}

/// Whether the application's project is there and permits its namespace.
pub(crate) fn find_project(shared: &Shared, key: &AppKey, spec: &ApplicationSpec) -> bool {
    let project = shared.projects.get(&shared.home, &shared.options.namespace, project_name(spec));
    project.is_some_and(|project| validate_namespace(&key.name, &key.namespace, &project.rules).is_none())
}

/// Who changes the cluster for an application: the cluster's identity, or the
/// project's service account for the destination where impersonation is on.
///
/// # Errors
/// Why there is nobody, in words for users.
pub(crate) fn acting_applier(
    shared: &Shared,
    app: &Application,
    grounds: &Grounds,
    target: &Target,
) -> Result<Applier, String> {
    let settings = shared.home.settings();
    if !settings.general.impersonation_enabled {
        return Ok(target.applier.clone());
    }
    let destination = app.spec.as_ref().and_then(|s| s.destination.as_ref());
    let namespace = destination.map(|d| d.namespace.as_str()).unwrap_or_default();
    let server = &grounds.cluster.server;
    let account = grounds.project.rules.service_account(server, namespace, &app.metadata().namespace);
    match account.map_err(|error| error.to_string())? {
        Some(account) => {
            // `system:serviceaccount:<namespace>:<name>`, made by the rules themselves.
            let mut parts = account.rsplitn(3, ':');
            let (name, namespace) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            Ok(target.applier.acting_as_service_account(namespace, name))
        }
        None if settings.general.impersonation_enforced => Err(format!(
            "no matching service account found for destination server {server} and namespace {namespace}; add one to destinationServiceAccounts of the project"
        )),
        None => Ok(target.applier.clone()),
    }
}

fn finding(condition: argosy_auth::application::Condition) -> Finding {
    let kind = match condition.kind {
        ConditionKind::InvalidSpecError => Kind::InvalidSpecError,
        ConditionKind::UnknownError => Kind::UnknownError,
    };
    Finding::new(kind, condition.message)
}
