//! What is wrong with an application in the light of its project.

use std::fmt;

use argosy_proto::v1alpha1::{ApplicationDestination, ApplicationSource, ApplicationSpec, SourceHydrator};

use crate::project::Rules;

/// One thing wrong with an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The condition's type.
    pub kind: ConditionKind,
    /// What is wrong, in words for the application's owner.
    pub message: String,
}

/// The types of condition found here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionKind {
    /// The specification asks for something that cannot be.
    InvalidSpecError,
    /// The application may not use its project.
    UnknownError,
}

/// A cluster by its two names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterName {
    /// Address of the cluster.
    pub server: String,
    /// Name of the cluster.
    pub name: String,
}

/// Why a destination is no cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Both names are given.
    #[error("application destination can't have both name and server defined: {name} {server}")]
    Both {
        /// The name given.
        name: String,
        /// The server given.
        server: String,
    },
    /// Neither name is given.
    #[error("Destination server missing from app spec")]
    Missing,
    /// No cluster has the name.
    #[error("there are no clusters with this name: {0}")]
    UnknownName(String),
    /// More than one cluster has the name.
    #[error("there are {} clusters with the same name: [{}]", .0.len(), .0.join(" "))]
    Ambiguous(Vec<String>),
    /// No cluster has the address.
    #[error("error getting cluster by server {0:?}: cluster {0:?} not found")]
    UnknownServer(String),
}

/// The cluster a destination means, among those that are known.
///
/// # Errors
/// Why it means none.
pub fn resolve_destination<'a>(
    destination: &ApplicationDestination,
    clusters: impl IntoIterator<Item = &'a ClusterName>,
) -> Result<&'a ClusterName, DestinationError> {
    let ApplicationDestination { server, name, .. } = destination;
    let mut clusters = clusters.into_iter();
    match (server.as_str(), name.as_str()) {
        ("", "") => Err(DestinationError::Missing),
        ("", _) => {
            let found: Vec<&ClusterName> = clusters.filter(|c| c.name == *name).collect();
            match found[..] {
                [] => Err(DestinationError::UnknownName(name.clone())),
                [cluster] => Ok(cluster),
                _ => Err(DestinationError::Ambiguous(found.iter().map(|c| c.server.clone()).collect())),
            }
        }
        (_, "") => {
            let address = server.trim_end_matches('/');
            let found = clusters.find(|c| c.server.trim_end_matches('/') == address);
            found.ok_or_else(|| DestinationError::UnknownServer(server.clone()))
        }
        _ => Err(DestinationError::Both { name: name.clone(), server: server.clone() }),
    }
}

/// What is wrong with an application's sources and destination. A source that
/// says too little hides everything after it.
pub fn validate_application(
    spec: &ApplicationSpec,
    rules: &Rules,
    destination: Result<&ClusterName, &DestinationError>,
) -> Vec<Condition> {
    let mut found = Vec::new();
    let sources = match (&spec.source_hydrator, spec.sources.as_slice()) {
        (Some(hydrator), _) => check_hydrator(hydrator, rules, &mut found),
        (None, []) => check_source(&spec.source.clone().unwrap_or_default(), false, rules, &mut found),
        (None, sources) => sources.iter().try_for_each(|source| check_source(source, true, rules, &mut found)),
    };
    if sources.is_ok() {
        check_destination(spec, rules, destination, &mut found);
    }
    found
}

/// The condition of an application whose project does not exist.
pub fn project_missing(project: &str) -> Condition {
    invalid(format!("Application referencing project {project} which does not exist"))
}

/// The condition of an application whose namespace may not use the project, if
/// that is so.
pub fn validate_namespace(name: &str, namespace: &str, rules: &Rules) -> Option<Condition> {
    let denied = !rules.permits_source_namespace(namespace).permitted;
    denied.then(|| Condition {
        kind: ConditionKind::UnknownError,
        message: format!(
            "application '{name}' in namespace '{namespace}' is not allowed to use project {}",
            rules.name()
        ),
    })
}

/// What a caller of the API is told where [`validate_namespace`] finds something.
pub fn project_not_permitted(name: &str, namespace: &str, project: &str) -> String {
    format!("application '{name}' in namespace '{namespace}' is not permitted to use project '{project}'")
}

// === impl ConditionKind ===

impl ConditionKind {
    /// The condition's `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSpecError => "InvalidSpecError",
            Self::UnknownError => "UnknownError",
        }
    }
}

impl fmt::Display for ConditionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === checks ===

/// The specification says too little to go on checking.
struct Incomplete;

fn invalid(message: impl Into<String>) -> Condition {
    Condition { kind: ConditionKind::InvalidSpecError, message: message.into() }
}

fn check_source(
    source: &ApplicationSource,
    one_of_several: bool,
    rules: &Rules,
    found: &mut Vec<Condition>,
) -> Result<(), Incomplete> {
    let url = &source.repo_url;
    let nothing_to_read = source.path.is_empty() && source.chart.is_empty();
    let missing = if one_of_several && (url.is_empty() || nothing_to_read && source.r#ref.is_empty()) {
        Some(format!(
            "spec.source.repoURL and either source.path, source.chart, or source.ref are required for source {url}"
        ))
    } else if !one_of_several && (url.is_empty() || nothing_to_read) {
        Some("spec.source.repoURL and either spec.source.path or spec.source.chart are required".to_owned())
    } else if !source.chart.is_empty() && source.target_revision.is_empty() {
        Some("spec.source.targetRevision is required if the manifest source is a helm chart".to_owned())
    } else {
        None
    };
    if let Some(message) = missing {
        found.push(invalid(message));
        return Err(Incomplete);
    }
    check_repository("application repo", url, rules, found);
    Ok(())
}

fn check_repository(what: &str, url: &str, rules: &Rules, found: &mut Vec<Condition>) {
    if !rules.permits_source(url).permitted {
        found.push(invalid(format!("{what} {url} is not permitted in project '{}'", rules.name())));
    }
}

fn check_hydrator(hydrator: &SourceHydrator, rules: &Rules, found: &mut Vec<Condition>) -> Result<(), Incomplete> {
    let dry = hydrator.dry_source.as_ref().map_or("", |source| &source.repo_url);
    let (branch, own) = hydrator.sync_source.as_ref().map_or(("", ""), |s| (&s.target_branch, &s.repo_url));
    let before = found.len();
    if dry.is_empty() {
        found.push(invalid("spec.sourceHydrator.drySource.repoURL is required"));
    }
    if branch.is_empty() {
        found.push(invalid("spec.sourceHydrator.syncSource.targetBranch is required"));
    }
    if hydrator.hydrate_to.as_ref().is_some_and(|to| to.target_branch.is_empty()) {
        found.push(invalid(
            "when spec.sourceHydrator.hydrateTo is set, spec.sourceHydrator.hydrateTo.targetBranch is required",
        ));
    }
    if found.len() > before {
        return Err(Incomplete);
    }
    check_repository("application repo", dry, rules, found);
    if !own.is_empty() && own != dry {
        check_repository("sync source repo", own, rules, found);
    }
    Ok(())
}

fn check_destination(
    spec: &ApplicationSpec,
    rules: &Rules,
    destination: Result<&ClusterName, &DestinationError>,
    found: &mut Vec<Condition>,
) {
    let cluster = match destination {
        Ok(cluster) => cluster,
        Err(error) => return found.push(invalid(error.to_string())),
    };
    let (namespace, by_name) =
        spec.destination.as_ref().map_or(("", false), |d| (d.namespace.as_str(), !d.name.is_empty()));
    if !rules.permits_destination(&cluster.server, &cluster.name, namespace).permitted {
        let shown = if by_name { &cluster.name } else { &cluster.server };
        found.push(invalid(format!(
            "application destination server '{shown}' and namespace '{namespace}' do not match any of the allowed \
             destinations in project '{}'",
            rules.name()
        )));
    }
}
