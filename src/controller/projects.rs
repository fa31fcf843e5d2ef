//! Projects' rules, compiled once per version of everything they depend on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use argosy_auth::project::Rules;
use argosy_engine::windows::Windows;
use argosy_home::Home;
use argosy_model::AppKey;
use argosy_proto::v1alpha1::AppProject;

/// A project as passes use it.
pub(crate) struct Project {
    pub(crate) rules: Rules,
    pub(crate) windows: Windows,
}

/// The cache. Emptied whenever a project, the settings, a cluster or a
/// repository changes: compiling is cheap, compiling for each pass is not.
#[derive(Default)]
pub(crate) struct Projects {
    compiled: Mutex<HashMap<String, Arc<Project>>>,
}

// === impl Projects ===

impl Projects {
    /// The project of this name; `None` when there is none.
    pub(crate) fn get(&self, home: &Home, namespace: &str, name: &str) -> Option<Arc<Project>> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(project) = compiled.get(name) {
            return Some(project.clone());
        }
        let project = home.projects().get(&AppKey::new(namespace, name))?;
        let project = Arc::new(compile(home, &project));
        compiled.insert(name.to_owned(), project.clone());
        Some(project)
    }

    /// Something that rules depend on has changed.
    pub(crate) fn clear(&self) {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn compile(home: &Home, project: &AppProject) -> Project {
    let rules = home.rules(project);
    let windows = rules.project().spec.as_ref().map(|s| s.sync_windows.as_slice()).unwrap_or_default();
    Project { windows: Windows::compile(windows), rules }
}
