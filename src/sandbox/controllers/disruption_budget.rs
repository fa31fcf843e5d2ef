//! PodDisruptionBudgets: how many of the Pods they select may be evicted.

use argosy_model::object;
use serde_json::{Value, json};

use super::condition::{self, Condition};
use super::kind::POD;
use super::selector::selects;
use super::template::resolve_share;
use super::world::{Next, WorkError, World, count};
use crate::store::ObjectKey;

/// Counts.
pub(super) fn reconcile(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let Some(budget) = world.store.get(key) else { return Ok(None) };
    let budget = &budget.value;
    let mut pods = world.list(&POD, Some(&key.namespace));
    pods.retain(|pod| selects(&budget["spec"]["selector"], &pod.value["metadata"]["labels"]));
    let expected = i64::try_from(pods.len()).unwrap_or(i64::MAX);
    let healthy = pods.iter().filter(|pod| condition::is_true(&pod.value, "Ready") && !object::is_deleting(&pod.value));
    let healthy = i64::try_from(healthy.count()).unwrap_or(i64::MAX);
    let desired = desired(budget, expected);
    let allowed = if expected == 0 { 0 } else { (healthy - desired).max(0) };
    let (status, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let condition = Condition { kind: "DisruptionAllowed", status, reason, message: "" };
    let now = world.stamps.timestamp();
    let mut conditions = condition::set(&budget["status"]["conditions"], &condition, now, false);
    let generation = count(budget, &["metadata", "generation"], 0);
    for one in conditions.as_array_mut().into_iter().flatten() {
        one["observedGeneration"] = generation.into();
        one["message"] = "".into();
    }
    let status = json!({
        "conditions": conditions,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": allowed,
        "expectedPods": expected,
        "observedGeneration": generation,
    });
    world.set_status(key, status)?;
    Ok(None)
}

fn desired(budget: &Value, expected: i64) -> i64 {
    let spec = &budget["spec"];
    if spec["maxUnavailable"].is_null() {
        let least = if spec["minAvailable"].is_null() { &json!(1) } else { &spec["minAvailable"] };
        return resolve_share(least, expected, true);
    }
    (expected - resolve_share(&spec["maxUnavailable"], expected, true)).max(0)
}
