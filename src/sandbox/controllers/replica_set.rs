//! ReplicaSets: so many Pods of one template.

use std::sync::Arc;
use std::time::Duration;

use argosy_model::object;
use serde_json::{Value, json};

use super::condition;
use super::event;
use super::kind::{POD, REPLICA_SET};
use super::selector::has_all;
use super::template::{self, PodName};
use super::world::{Next, WorkError, World, count, nonzero, text, time, until};
use crate::lifecycle::Propagation;
use crate::store::{Object, ObjectKey};

/// Makes or removes Pods, and says how many there are.
pub(super) fn reconcile(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let Some(set) = world.store.get(key) else { return Ok(None) };
    if world.adopt(&REPLICA_SET, &set.value, &POD)? {
        // The next turn knows them.
        return Ok(Some(Duration::ZERO));
    }
    let all = world.controlled(&set.value, &POD);
    let terminating = all.iter().filter(|pod| is_terminating(&pod.value)).count();
    let pods = active(all);
    if !object::is_deleting(&set.value) {
        let missing = count(&set.value, &["spec", "replicas"], 1) - i64::try_from(pods.len()).unwrap_or(i64::MAX);
        if missing > 0 {
            grow(world, &set.value, missing)?;
        } else if missing < 0 {
            shrink(world, &set.value, &pods, missing.unsigned_abs())?;
        }
    }
    // The news of Pods made or removed now bring the next turn, and its status.
    let (mut status, next) = plan_status(&set.value, &pods, world.stamps.timestamp());
    status["terminatingReplicas"] = json!(terminating);
    world.set_status(key, status)?;
    Ok(next)
}

/// The Pods that count: they have not ended and nobody deletes them.
pub(super) fn active(mut pods: Vec<Arc<Object>>) -> Vec<Arc<Object>> {
    pods.retain(|pod| {
        !object::is_deleting(&pod.value) && !matches!(text(&pod.value, &["status", "phase"]), "Succeeded" | "Failed")
    });
    pods
}

fn is_terminating(pod: &Value) -> bool {
    object::is_deleting(pod) && !matches!(text(pod, &["status", "phase"]), "Succeeded" | "Failed")
}

fn grow(world: &World, set: &Value, missing: i64) -> Result<(), WorkError> {
    let prefix = format!("{}-", object::name(set));
    for _ in 0..missing {
        let pod = template::pod(&REPLICA_SET, set, &set["spec"]["template"], &PodName::Prefix(&prefix));
        if let Some(pod) = world.create(&POD, pod)? {
            let message = format!("Created pod: {}", object::name(&pod.value));
            event::tell(world, &REPLICA_SET, set, "Normal", "SuccessfulCreate", &message)?;
        }
    }
    Ok(())
}

fn shrink(world: &World, set: &Value, pods: &[Arc<Object>], excess: u64) -> Result<(), WorkError> {
    let mut pods: Vec<&Arc<Object>> = pods.iter().collect();
    pods.sort_by_key(|pod| worth(&pod.value));
    for pod in pods.into_iter().take(usize::try_from(excess).unwrap_or(usize::MAX)) {
        let name = object::name(&pod.value);
        world.delete(&POD.key(object::namespace(&pod.value), name), Propagation::Background)?;
        event::tell(world, &REPLICA_SET, set, "Normal", "SuccessfulDelete", &format!("Deleted pod: {name}"))?;
    }
    Ok(())
}

/// What is worth least goes first: not on a node, not running, not ready, cheap by
/// annotation, then the youngest.
fn worth(pod: &Value) -> (bool, bool, bool, i64, std::cmp::Reverse<String>) {
    let cost = object::annotation(pod, "controller.kubernetes.io/pod-deletion-cost");
    (
        !text(pod, &["spec", "nodeName"]).is_empty(),
        text(pod, &["status", "phase"]) == "Running",
        condition::is_true(pod, "Ready"),
        cost.and_then(|cost| cost.parse().ok()).unwrap_or(0),
        std::cmp::Reverse(text(pod, &["metadata", "creationTimestamp"]).to_owned()),
    )
}

fn plan_status(set: &Value, pods: &[Arc<Object>], now: jiff::Timestamp) -> (Value, Next) {
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    let labelled = pods.iter().filter(|pod| has_all(labels, &pod.value["metadata"]["labels"])).count();
    let settle = count(set, &["spec", "minReadySeconds"], 0);
    let ready = pods.iter().filter(|pod| condition::is_true(&pod.value, "Ready"));
    let waits: Vec<Duration> = ready.map(|pod| until_available(&pod.value, settle, now)).collect();
    let available = waits.iter().filter(|wait| wait.is_zero()).count();
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let mut status = nonzero(&[
        ("fullyLabeledReplicas", number(labelled)),
        ("readyReplicas", number(waits.len())),
        ("availableReplicas", number(available)),
        ("observedGeneration", count(set, &["metadata", "generation"], 0)),
    ]);
    status["replicas"] = json!(pods.len());
    if let Some(conditions) = set["status"].get("conditions") {
        status["conditions"] = conditions.clone();
    }
    (status, waits.into_iter().filter(|wait| !wait.is_zero()).min())
}

/// How long until a ready Pod counts as available.
pub(super) fn until_available(pod: &Value, settle_seconds: i64, now: jiff::Timestamp) -> Duration {
    if settle_seconds == 0 {
        return Duration::ZERO;
    }
    let since = time(condition::find(pod, "Ready"), &["lastTransitionTime"]).unwrap_or(now);
    let then = since.checked_add(jiff::SignedDuration::from_secs(settle_seconds)).unwrap_or(now);
    until(now, then)
}
