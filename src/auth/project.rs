//! What a project permits its applications.
//!
//! [`Rules`] is a project compiled once, with what it inherits from global
//! projects and what belongs to it (its own repositories and clusters) merged
//! in, and asked at each point of effect: before a source is read, before an
//! object is shown, applied or deleted.
//!
//! An entry `!x` denies what matches `x`. As in Argo CD, such an entry also
//! counts as permission for what it does not deny, so a project whose only
//! source is `!https://a/b` permits every other source. Entries that cannot be
//! read permit nothing; as denials they deny everything.

mod account;
mod destination;
mod global;
mod kinds;
mod namespaces;
mod pattern;
mod source;
mod validate;
mod window;

use argosy_model::{GroupKind, ResourceKey, names};
use argosy_proto::resource::CustomResource;
use argosy_proto::v1alpha1::{AppProject, AppProjectSpec, ApplicationDestination};

use crate::decision::{Decision, Reason};

pub use account::InvalidAccount;
pub use global::{GlobalProject, inherit, select_globals};
pub use validate::{Violation, ViolationKind, validate_project};

use destination::DestinationRule;
use kinds::KindRules;
use namespaces::NamespaceRule;
use source::SourceRule;

/// A cluster that belongs to a project (its Secret names the project).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopedCluster {
    /// Address of the cluster.
    pub server: String,
    /// Name of the cluster.
    pub name: String,
    /// The only namespaces the credential reaches; empty means all.
    pub namespaces: Vec<String>,
}

/// What a project's rules depend on besides the project.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a> {
    /// The namespace Argosy's own objects live in, whose applications every
    /// project accepts.
    pub control_plane_namespace: &'a str,
    /// Clusters that belong to the project.
    pub clusters: &'a [ScopedCluster],
    /// Addresses of repositories that belong to the project.
    pub repositories: &'a [String],
    /// The global projects it inherits from, in the order of the settings.
    pub globals: &'a [&'a AppProject],
}

/// A project's rules, compiled.
#[derive(Clone, Debug)]
pub struct Rules {
    project: AppProject,
    spec: AppProjectSpec,
    sources: Vec<SourceRule>,
    destinations: Vec<DestinationRule>,
    /// The clusters that alone are permitted, where the project says so.
    own_clusters: Option<Vec<ScopedCluster>>,
    kinds: KindRules,
    source_namespaces: Vec<NamespaceRule>,
    control_plane_namespace: String,
}

// === impl Rules ===

impl Rules {
    /// Compiles a project's rules.
    pub fn compile(project: &AppProject, scope: &Scope<'_>) -> Self {
        let project = inherit(project, scope.globals);
        let spec = project.spec.clone().unwrap_or_default();
        let own = |c: &ScopedCluster, namespace: &str| ApplicationDestination {
            server: c.server.clone(),
            namespace: namespace.to_owned(),
            name: String::new(),
        };
        let own_destinations = scope.clusters.iter().flat_map(|c| match c.namespaces.as_slice() {
            [] => vec![own(c, "*")],
            namespaces => namespaces.iter().map(|namespace| own(c, namespace)).collect(),
        });
        let destinations = spec.destinations.iter().map(DestinationRule::new);
        Self {
            sources: spec.source_repos.iter().chain(scope.repositories).map(|url| SourceRule::new(url)).collect(),
            destinations: destinations.chain(own_destinations.map(|d| DestinationRule::new(&d))).collect(),
            own_clusters: spec.permit_only_project_scoped_clusters.then(|| scope.clusters.to_vec()),
            kinds: KindRules::new(&spec),
            source_namespaces: spec.source_namespaces.iter().map(|ns| NamespaceRule::new(ns)).collect(),
            control_plane_namespace: scope.control_plane_namespace.to_owned(),
            spec,
            project,
        }
    }

    /// The project's name.
    pub fn name(&self) -> &str {
        &self.project.metadata().name
    }

    /// The project with what it inherits from global projects, sync windows included.
    pub fn project(&self) -> &AppProject {
        &self.project
    }

    /// Whether applications may read the repository at `url`.
    pub fn permits_source(&self, url: &str) -> Decision {
        source::permits(&self.sources, url)
    }

    /// Whether applications may deploy to a namespace of a cluster. Both names
    /// of the cluster are needed: rules may use either.
    pub fn permits_destination(&self, server: &str, name: &str, namespace: &str) -> Decision {
        let decision = destination::permits(&self.destinations, server, name, namespace);
        match &self.own_clusters {
            Some(own) if decision.permitted && !own.iter().any(|c| c.name == name || c.server == server) => {
                Decision::deny(Reason::NotProjectScoped)
            }
            _ => decision,
        }
    }

    /// Whether applications may have objects of a kind. The object's name
    /// matters for cluster-scoped kinds only.
    pub fn permits_kind(&self, kind: &GroupKind, namespaced: bool, name: &str) -> Decision {
        self.kinds.permits(kind, namespaced, name)
    }

    /// Whether an object that lives in the cluster is the project's business:
    /// its kind is permitted and, for a namespaced one, its own namespace is.
    pub fn permits_live_resource(&self, key: &ResourceKey, namespaced: bool, server: &str, name: &str) -> Decision {
        let decision = self.permits_kind(&key.group_kind(), namespaced, &key.name);
        if decision.permitted && namespaced {
            return self.permits_destination(server, name, &key.namespace);
        }
        decision
    }

    /// Whether Application objects in `namespace` may use the project. Those in
    /// the control plane's namespace always may, as may one that has no
    /// namespace yet and will be created there.
    pub fn permits_source_namespace(&self, namespace: &str) -> Decision {
        if namespace.is_empty() || namespace == self.control_plane_namespace {
            return Decision::permit(Reason::Unrestricted);
        }
        namespaces::permits(&self.source_namespaces, namespace)
    }

    /// The service account a sync acts as, `system:serviceaccount:<ns>:<name>`,
    /// by the first entry that matches the destination; `None` when none does.
    /// `application_namespace` stands in where the application has no
    /// destination namespace.
    ///
    /// # Errors
    /// When the entry that matches names no valid account.
    pub fn service_account(
        &self,
        server: &str,
        namespace: &str,
        application_namespace: &str,
    ) -> Result<Option<String>, InvalidAccount> {
        account::resolve(&self.spec.destination_service_accounts, server, namespace, application_namespace)
    }

    /// Whether this is the project of applications that name none.
    pub fn is_default(&self) -> bool {
        self.name() == names::DEFAULT_PROJECT
    }
}
