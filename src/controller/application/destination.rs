//! Where an application may go and what it may do there: project, cluster,
//! permission.

use std::sync::Arc;

use argosy_auth::application::{
    ClusterName, ConditionKind, DestinationError as Unresolved, project_missing, validate_application,
    validate_namespace,
};
use argosy_engine::condition::{Finding, Kind};
use argosy_home::clusters::ClusterSecret;
use argosy_model::{AppKey, names};
use argosy_proto::v1alpha1::{Application, ApplicationSpec};

use crate::context::Shared;
use crate::projects::Project;

/// An application's project and destination, found and permitted.
pub(super) struct Grounds {
    pub(super) project: Arc<Project>,
    pub(super) cluster: Arc<ClusterSecret>,
}

/// The name of an application's project.
pub(crate) fn project_name(spec: &ApplicationSpec) -> &str {
    if spec.project.is_empty() { names::DEFAULT_PROJECT } else { &spec.project }
}

/// The cluster an application goes to.
pub(super) fn cluster_of(
    shared: &Shared,
    spec: &ApplicationSpec,
) -> Result<Arc<ClusterSecret>, argosy_home::clusters::DestinationError> {
    let destination = spec.destination.clone().unwrap_or_default();
    shared.home.clusters().resolve(&destination.server, &destination.name)
}

/// Finds project and destination, or what is wrong with them.
pub(super) fn find(shared: &Shared, key: &AppKey, app: &Application) -> Result<Grounds, Vec<Finding>> {
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

fn finding(condition: argosy_auth::application::Condition) -> Finding {
    let kind = match condition.kind {
        ConditionKind::InvalidSpecError => Kind::InvalidSpecError,
        ConditionKind::UnknownError => Kind::UnknownError,
    };
    Finding::new(kind, condition.message)
}
