//! What the roles of a project allow and deny.

use argosy_proto::resource::CustomResource;
use argosy_proto::v1alpha1::AppProject;

use super::MatchMode;
use super::draft::Draft;
use super::line;
use super::roles::Roles;
use super::rules::{Origin, Rules};

/// The resources whose objects begin with a project.
const PROJECT_RESOURCES: [&str; 6] = ["applicationsets", "applications", "repositories", "clusters", "logs", "exec"];

/// What the roles of a project allow and deny, within the project.
#[derive(Debug)]
pub struct ProjectPolicy {
    name: String,
    pub(super) roles: Roles,
    pub(super) rules: Rules,
}

// === impl ProjectPolicy ===

impl ProjectPolicy {
    /// Reads the roles of a project, in the match mode of the policy. Whoever has a
    /// role may also get the project.
    ///
    /// If a line of any role cannot be read, no role allows anything; what can be
    /// read of their denials stands.
    pub fn compile(project: &AppProject, mode: MatchMode) -> Self {
        let name = project.metadata().name.clone();
        let (mut draft, mut is_sound) = (Draft::default(), true);
        let text = policy_text(&name, project);
        for line in text.split('\n') {
            is_sound &= match line::read(line) {
                Ok(None) => true,
                Ok(Some(line)) => draft.add_or_deny(&line, mode, Origin::Project(name.clone())),
                Err(_) => false,
            };
        }
        if !is_sound {
            draft.keep_denials();
        }
        let (roles, rules) = draft.finish();
        Self { name, roles, rules }
    }

    /// Name of the project.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the object is the project or one of its own.
    pub(super) fn covers(&self, resource: &str, object: &str) -> bool {
        if resource == "projects" {
            return object == self.name;
        }
        PROJECT_RESOURCES.contains(&resource) && object.split_once('/').is_some_and(|(project, _)| project == self.name)
    }
}

/// The lines of all roles. Lines are separated again where they are read, for a
/// policy of a role may have several.
fn policy_text(name: &str, project: &AppProject) -> String {
    let mut lines = Vec::new();
    for role in project.spec.iter().flat_map(|spec| &spec.roles) {
        let subject = format!("proj:{name}:{}", role.name);
        lines.push(format!("p, {subject}, projects, get, {name}, allow"));
        lines.extend(role.policies.iter().cloned());
        lines.extend(role.groups.iter().map(|group| format!("g, {group}, {subject}")));
    }
    lines.join("\n")
}
