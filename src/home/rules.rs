//! A project's rules with everything they depend on: the global projects it
//! inherits from, and the clusters and repositories that belong to it.

use std::sync::Arc;

use argosy_auth::project::{GlobalProject, Rules, Scope, ScopedCluster, select_globals};
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::AppProject;

use crate::Home;

// === impl Home ===

impl Home {
    /// Compiles a project's rules as they are at this moment. The project need
    /// not be stored: a changed one can be tried before it is.
    pub fn rules(&self, project: &AppProject) -> Rules {
        let name = project.metadata().name.as_str();
        let all = self.project_list();
        let globals = globals(self, project, &all);
        let clusters: Vec<ScopedCluster> = self
            .clusters()
            .iter()
            .filter(|c| c.project == name)
            .map(|c| ScopedCluster { server: c.server.clone(), name: c.name.clone(), namespaces: c.namespaces.clone() })
            .collect();
        let repositories: Vec<String> = self.repositories().of_project(name).map(|r| r.url).collect();
        let scope = Scope {
            control_plane_namespace: self.namespace(),
            clusters: &clusters,
            repositories: &repositories,
            globals: &globals,
        };
        Rules::compile(project, &scope)
    }

    /// The global projects that a project inherits from, in the order of the settings.
    pub fn global_projects(&self, project: &AppProject) -> Vec<AppProject> {
        globals(self, project, &self.project_list()).into_iter().cloned().collect()
    }

    fn project_list(&self) -> Vec<Arc<AppProject>> {
        self.projects().list().into_iter().map(|(_, project)| project).collect()
    }
}

fn globals<'a>(home: &Home, project: &AppProject, all: &'a [Arc<AppProject>]) -> Vec<&'a AppProject> {
    let settings = home.settings();
    let declared: Vec<GlobalProject> = settings
        .global_projects
        .iter()
        .map(|g| GlobalProject { project_name: g.project_name.clone(), label_selector: g.label_selector.clone() })
        .collect();
    select_globals(project, &declared, |name| all.iter().map(|p| &**p).find(|p| p.metadata().name == name))
}
