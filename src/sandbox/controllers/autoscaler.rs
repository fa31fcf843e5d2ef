//! HorizontalPodAutoscalers: their target is kept within its bounds. There is no
//! load, so that nothing is scaled for it.

use argosy_model::object;
use serde_json::{Value, json};

use super::condition::{self, Condition};
use super::kind::{DEPLOYMENT, Kind, REPLICA_SET, STATEFUL_SET};
use super::world::{Next, WorkError, World, count, text};
use crate::store::ObjectKey;

/// Brings the target within the bounds and says so.
pub(super) fn reconcile(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let Some(scaler) = world.store.get(key) else { return Ok(None) };
    let scaler = &scaler.value;
    let now = world.stamps.timestamp();
    let kind = target_kind(text(scaler, &["spec", "scaleTargetRef", "kind"]));
    let name = text(scaler, &["spec", "scaleTargetRef", "name"]);
    let target = kind.and_then(|kind| Some((kind, world.get(kind, &key.namespace, name)?)));
    let mut conditions = scaler["status"]["conditions"].clone();
    let mut set = |kind: &str, status: &str, reason: &str, message: &str| {
        conditions = condition::set(&conditions, &Condition { kind, status, reason, message }, now, false);
    };
    let Some((kind, target)) = target else {
        let message = format!("the HPA controller was unable to get the target's current scale: {name:?} not found");
        set("AbleToScale", "False", "FailedGetScale", &message);
        return world.update(key, |value| value["status"]["conditions"] = conditions).map(|()| None);
    };
    let current = count(&target.value, &["spec", "replicas"], 1);
    let (low, high) = (count(scaler, &["spec", "minReplicas"], 1), count(scaler, &["spec", "maxReplicas"], current));
    let desired = current.clamp(low.min(high), high);
    set("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size");
    set("ScalingActive", "True", "ValidMetricFound", "the HPA was able to successfully calculate a replica count");
    if desired == current {
        set("ScalingLimited", "False", "DesiredWithinRange", "the desired count is within the acceptable range");
    } else {
        let (reason, what) = if desired > current { ("TooFewReplicas", "more") } else { ("TooManyReplicas", "less") };
        set("ScalingLimited", "True", reason, &format!("the desired replica count is {what} than the bound"));
        world.update(&kind.key(&key.namespace, name), |value| {
            value["spec"]["replicas"] = desired.into();
            value["metadata"]["generation"] = (count(value, &["metadata", "generation"], 0) + 1).into();
        })?;
    }
    let mut status = json!({
        "currentReplicas": count(&target.value, &["status", "replicas"], 0),
        "desiredReplicas": desired,
        "conditions": conditions,
        "currentMetrics": null,
    });
    if let Some(generation) = object::get(scaler, &["metadata", "generation"]) {
        status["observedGeneration"] = generation.clone();
    }
    world.set_status(key, status)?;
    Ok(None)
}

fn target_kind(kind: &str) -> Option<&'static Kind> {
    match kind {
        "Deployment" => Some(&DEPLOYMENT),
        "StatefulSet" => Some(&STATEFUL_SET),
        "ReplicaSet" => Some(&REPLICA_SET),
        _ => None,
    }
}

/// Whether an autoscaler is for an object.
pub(super) fn is_for(scaler: &Value, key: &ObjectKey) -> bool {
    let target = &scaler["spec"]["scaleTargetRef"];
    target["name"] == *key.name && target_kind(text(target, &["kind"])).is_some_and(|kind| kind.is_of(key))
}
