//! Aggregated ClusterRoles: their rules are those of all that their selectors select.

use argosy_model::object;
use serde_json::Value;

use super::kind::CLUSTER_ROLE;
use super::selector::selects;
use super::world::{Next, WorkError, World};
use crate::store::ObjectKey;

/// Gathers the rules of a role that aggregates.
pub(super) fn reconcile(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let Some(role) = world.store.get(key) else { return Ok(None) };
    let Some(selectors) = role.value["aggregationRule"]["clusterRoleSelectors"].as_array() else { return Ok(None) };
    // Roles come by name, as Kubernetes orders them.
    let roles = world.list(&CLUSTER_ROLE, None);
    let mut rules: Vec<Value> = Vec::new();
    for selector in selectors {
        let selected = roles.iter().filter(|one| {
            object::name(&one.value) != &*key.name && selects(selector, &one.value["metadata"]["labels"])
        });
        for rule in selected.filter_map(|one| one.value["rules"].as_array()).flatten() {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    world.update(key, |value| value["rules"] = rules.into())?;
    Ok(None)
}

/// Whether a ClusterRole aggregates others.
pub(super) fn aggregates(role: &Value) -> bool {
    role["aggregationRule"]["clusterRoleSelectors"].is_array()
}
