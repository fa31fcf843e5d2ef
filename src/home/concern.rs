//! Whom a change of what surrounds applications concerns: nobody is compared anew
//! because somebody else's credentials were rotated.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{AppProject, Application, ApplicationSpec};

use crate::clusters::{ClusterChange, ClusterSecret, Clusters};
use crate::repositories::{RepoCredentials, Repositories};
use crate::settings::Settings;
use crate::store::Change;

/// What applications rely on besides their objects and their projects, at one moment.
pub struct Moment {
    settings: Arc<Settings>,
    clusters: Arc<Clusters>,
    repositories: Arc<Repositories>,
}

/// What is different from one moment to another.
pub struct Difference<'a> {
    /// Settings that decide about every application.
    everybody: bool,
    /// Names and addresses of clusters that are declared otherwise.
    destinations: HashSet<String>,
    before: &'a Repositories,
    after: &'a Repositories,
    /// Whether a repository is read otherwise, by address and project.
    known: HashMap<(String, String), bool>,
}

// === impl Moment ===

impl Moment {
    /// Of what is read together.
    pub(crate) fn new(settings: Arc<Settings>, clusters: Arc<Clusters>, repositories: Arc<Repositories>) -> Self {
        Self { settings, clusters, repositories }
    }

    /// What has changed since an earlier moment.
    pub fn since<'a>(&'a self, earlier: &'a Self) -> Difference<'a> {
        let destinations = self.clusters.changes_since(&earlier.clusters).into_iter().flat_map(names_of);
        Difference {
            everybody: !same_for_applications(&self.settings, &earlier.settings),
            destinations: destinations.collect(),
            before: &earlier.repositories,
            after: &self.repositories,
            known: HashMap::new(),
        }
    }

    /// Whether a change of a project may change what is said of an application.
    pub fn is_concerned(&self, app: &Application, change: &Change<AppProject>) -> bool {
        let key = match change {
            Change::Applied { old: Some(old), new, .. }
                if old.spec == new.spec && old.metadata().labels == new.metadata().labels =>
            {
                return false;
            }
            Change::Applied { key, .. } | Change::Deleted { key, .. } | Change::Malformed { key, .. } => key,
        };
        // With global projects the rules of one count for others.
        !self.settings.global_projects.is_empty() || app.spec.as_ref().is_some_and(|spec| spec.project == *key.name)
    }
}

// === impl Difference ===

impl Difference<'_> {
    /// Whether an application may be judged otherwise now.
    pub fn concerns(&mut self, app: &Application) -> bool {
        if self.everybody {
            return true;
        }
        let Some(spec) = &app.spec else { return false };
        let destination = spec.destination.as_ref();
        let named = destination.map_or(["", ""], |to| [&*to.name, address(&to.server)]);
        if named.iter().any(|name| self.destinations.contains(*name)) {
            return true;
        }
        self.before != self.after && urls(spec).any(|url| self.is_read_otherwise(url, &spec.project))
    }

    fn is_read_otherwise(&mut self, url: &str, project: &str) -> bool {
        let (before, after) = (self.before, self.after);
        let resolved = |all: &Repositories| -> RepoCredentials { all.resolve(url, project) };
        *self.known.entry((url.to_owned(), project.to_owned())).or_insert_with(|| resolved(before) != resolved(after))
    }
}

/// Settings of the API and of sign-in change what no comparison looks at; repositories
/// and clusters are compared one by one.
fn same_for_applications(a: &Settings, b: &Settings) -> bool {
    a.tracking == b.tracking
        && a.filter == b.filter
        && a.compare == b.compare
        && a.overrides == b.overrides
        && a.global_projects == b.global_projects
        && a.kustomize == b.kustomize
        && a.general == b.general
        && a.timeouts == b.timeouts
        && a.controller == b.controller
        && a.repo_server == b.repo_server
}

fn names_of(change: ClusterChange) -> Vec<String> {
    let of = |cluster: &ClusterSecret| [cluster.name.clone(), address(&cluster.server).to_owned()];
    match change {
        ClusterChange::Added(one) | ClusterChange::Removed(one) | ClusterChange::Misconfigured { last: one, .. } => {
            of(&one).to_vec()
        }
        ClusterChange::Changed { old, new } => [of(&old), of(&new)].concat(),
    }
}

/// An address as clusters are declared with; an absent one is no cluster's.
fn address(server: &str) -> &str {
    server.trim_end_matches('/')
}

fn urls(spec: &ApplicationSpec) -> impl Iterator<Item = &str> {
    let hydrated = spec.source_hydrator.iter().filter_map(|hydrator| hydrator.dry_source.as_ref());
    let hydrated = hydrated.map(|dry| dry.repo_url.as_str());
    spec.sources.iter().chain(&spec.source).map(|source| source.repo_url.as_str()).chain(hydrated)
}

#[cfg(test)]
#[path = "concern/tests.rs"]
mod tests;
