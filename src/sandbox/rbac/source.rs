//! Where roles and bindings are read from.

use serde_json::Value;

use super::GROUP;
use super::rule::{Rule, Subject, rules_of};
use crate::store::{ObjectKey, Store};

/// What [`super::decide`] reads. The store is one; tests have others.
pub trait RoleSource {
    /// All ClusterRoleBindings.
    fn cluster_role_bindings(&self) -> Vec<Binding>;

    /// The RoleBindings of a namespace.
    fn role_bindings(&self, namespace: &str) -> Vec<Binding>;

    /// The rules of a ClusterRole.
    fn cluster_role(&self, name: &str) -> Option<Vec<Rule>>;

    /// The rules of a Role.
    fn role(&self, namespace: &str, name: &str) -> Option<Vec<Rule>>;
}

/// A RoleBinding or ClusterRoleBinding.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Its name.
    pub name: String,
    /// Its namespace; empty for a ClusterRoleBinding.
    pub namespace: String,
    /// Whom it gives the role.
    pub subjects: Vec<Subject>,
    /// What it gives.
    pub role: RoleRef,
}

/// The role that a binding gives.
#[derive(Clone, Debug)]
pub struct RoleRef {
    /// `Role` or `ClusterRole`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

// === impl Binding ===

impl Binding {
    /// Reads a binding.
    #[must_use]
    pub fn read(value: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            name: text(&value["metadata"]["name"]),
            namespace: text(&value["metadata"]["namespace"]),
            subjects: value["subjects"].as_array().into_iter().flatten().map(Subject::read).collect(),
            role: RoleRef { kind: text(&value["roleRef"]["kind"]), name: text(&value["roleRef"]["name"]) },
        }
    }

    /// As reasons show it, for the subject that matched.
    pub(super) fn describe(&self, subject: &Subject) -> String {
        let (kind, name) = match self.namespace.as_str() {
            "" => ("ClusterRoleBinding", self.name.clone()),
            namespace => ("RoleBinding", format!("{}/{namespace}", self.name)),
        };
        let to = subject.describe(&self.namespace);
        format!("{kind} {name:?} of {} {:?} to {to}", self.role.kind, self.role.name)
    }

    /// The rules it gives.
    ///
    /// # Errors
    /// The text that Kubernetes has for a role that is not there.
    pub(super) fn rules(&self, source: &impl RoleSource) -> Result<Vec<Rule>, String> {
        let RoleRef { kind, name } = &self.role;
        match kind.as_str() {
            "Role" => source
                .role(&self.namespace, name)
                .ok_or_else(|| format!("role.rbac.authorization.k8s.io {name:?} not found")),
            "ClusterRole" => source
                .cluster_role(name)
                .ok_or_else(|| format!("clusterrole.rbac.authorization.k8s.io {name:?} not found")),
            kind => Err(format!("unsupported role reference kind: {kind:?}")),
        }
    }
}

impl RoleSource for Store {
    fn cluster_role_bindings(&self) -> Vec<Binding> {
        self.list(GROUP, "clusterrolebindings", None).0.iter().map(|object| Binding::read(&object.value)).collect()
    }

    fn role_bindings(&self, namespace: &str) -> Vec<Binding> {
        self.list(GROUP, "rolebindings", Some(namespace)).0.iter().map(|object| Binding::read(&object.value)).collect()
    }

    fn cluster_role(&self, name: &str) -> Option<Vec<Rule>> {
        Some(rules_of(&self.get(&ObjectKey::new(GROUP, "clusterroles", "", name))?.value))
    }

    fn role(&self, namespace: &str, name: &str) -> Option<Vec<Rule>> {
        Some(rules_of(&self.get(&ObjectKey::new(GROUP, "roles", namespace, name))?.value))
    }
}
