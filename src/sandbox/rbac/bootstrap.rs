//! The roles and bindings that every cluster has from its first second.

use serde_json::Value;

/// As Kubernetes makes them, one object a line.
const BOOTSTRAP: &str = include_str!("bootstrap.json");

/// ClusterRoles and ClusterRoleBindings of a fresh cluster: `cluster-admin`, the
/// user-facing roles and what every caller may read. The rules of aggregated
/// roles are left to their controller. Without `user_facing`, `admin`, `edit`,
/// `view` and what they are made of are left out, which is most of the bulk.
#[must_use]
pub fn bootstrap_objects(user_facing: bool) -> Vec<Value> {
    let mut objects: Vec<Value> = serde_json::from_str(BOOTSTRAP).expect("the list is part of the program");
    objects.retain(|object| user_facing || !is_user_facing(object));
    objects
}

fn is_user_facing(object: &Value) -> bool {
    let name = argosy_model::object::name(object);
    matches!(name, "admin" | "edit" | "view") || name.starts_with("system:aggregate-to-")
}
