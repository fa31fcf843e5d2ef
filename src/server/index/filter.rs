//! Which applications a list or a watch is about.

use argosy_model::names;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{Application, ApplicationSpec};

use super::selector::Selector;

/// See the module's page; what is not set does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Exactly this name.
    pub name: Option<String>,
    /// Only in this namespace.
    pub namespace: Option<String>,
    /// Only of one of these projects; empty for any.
    pub projects: Vec<String>,
    /// Only those whose first source is this repository, letter for letter;
    /// empty for any.
    pub repository: String,
    /// Only with these labels.
    pub selector: Selector,
    /// Only in this version or a later one.
    pub since: u64,
}

// === impl Filter ===

impl Filter {
    /// Whether the application is wanted in this version.
    pub fn matches(&self, app: &Application) -> bool {
        (self.since == 0 || version(app) >= self.since) && self.wants(app)
    }

    /// Whether it is wanted in some version.
    pub fn wants(&self, app: &Application) -> bool {
        let metadata = app.metadata();
        self.name.as_ref().is_none_or(|name| *name == metadata.name)
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == metadata.namespace)
            && (self.projects.is_empty() || self.projects.iter().any(|p| p == project(app)))
            && (self.repository.is_empty() || self.repository == repository(app))
            && self.selector.matches(&metadata.labels)
    }
}

/// The application's project: the default one where it names none.
pub fn project(app: &Application) -> &str {
    let project = app.spec.as_ref().map_or("", |spec| spec.project.as_str());
    if project.is_empty() { names::DEFAULT_PROJECT } else { project }
}

/// The application's version as a number; 0 where it has none.
pub fn version(app: &Application) -> u64 {
    app.metadata().resource_version.parse().unwrap_or(0)
}

fn repository(app: &Application) -> &str {
    app.spec.as_ref().map_or("", first_repository)
}

/// Address of the repository an application is synced from, of several the first.
fn first_repository(spec: &ApplicationSpec) -> &str {
    if let Some(hydrator) = &spec.source_hydrator {
        let own = hydrator.sync_source.as_ref().map_or("", |source| source.repo_url.as_str());
        let dry = hydrator.dry_source.as_ref().map_or("", |source| source.repo_url.as_str());
        return if own.is_empty() { dry } else { own };
    }
    spec.sources.first().or(spec.source.as_ref()).map_or("", |source| source.repo_url.as_str())
}
