//! What a Deployment says about its rollout.

use argosy_model::object;
use serde_json::Value;

use super::View;
use super::rollout::unavailable;
use crate::controllers::condition::{self, Condition};
use crate::controllers::world::{count, nonzero, text, time};

/// The status that goes with the ReplicaSets as they are.
pub(super) fn plan(view: &View<'_>, now: jiff::Timestamp) -> Value {
    let sum = |field: &str| view.all().map(|set| count(&set.value, &["status", field], 0)).sum::<i64>();
    let (replicas, available) = (sum("replicas"), sum("availableReplicas"));
    let updated = view.new.as_ref().map_or(0, |new| count(&new.value, &["status", "replicas"], 0));
    let mut status = nonzero(&[
        ("observedGeneration", count(view.deployment, &["metadata", "generation"], 0)),
        ("replicas", replicas),
        ("updatedReplicas", updated),
        ("readyReplicas", sum("readyReplicas")),
        ("availableReplicas", available),
        ("unavailableReplicas", (view.replicas() - available).max(0)),
        ("collisionCount", count(view.deployment, &["status", "collisionCount"], 0)),
    ]);
    status["terminatingReplicas"] = sum("terminatingReplicas").into();
    let conditions = &view.deployment["status"]["conditions"];
    let conditions = available_condition(view, available, conditions, now);
    status["conditions"] = progressing_condition(view, &status, &conditions, now);
    status
}

fn available_condition(view: &View<'_>, available: i64, conditions: &Value, now: jiff::Timestamp) -> Value {
    let needed = view.replicas() - unavailable(view.deployment);
    let condition = if available >= needed {
        Condition {
            kind: "Available",
            status: "True",
            reason: "MinimumReplicasAvailable",
            message: "Deployment has minimum availability.",
        }
    } else {
        Condition {
            kind: "Available",
            status: "False",
            reason: "MinimumReplicasUnavailable",
            message: "Deployment does not have minimum availability.",
        }
    };
    condition::set(conditions, &condition, now, true)
}

fn progressing_condition(view: &View<'_>, status: &Value, conditions: &Value, now: jiff::Timestamp) -> Value {
    let current = &view.deployment["status"];
    let earlier = condition::find(view.deployment, "Progressing");
    let paused = view.deployment["spec"]["paused"] == true;
    if paused {
        let condition = progress("Unknown", "DeploymentPaused", "Deployment is paused");
        return condition::set(conditions, &condition, now, true);
    }
    if text(earlier, &["reason"]) == "DeploymentPaused" {
        let condition = progress("Unknown", "DeploymentResumed", "Deployment is resumed");
        return condition::set(conditions, &condition, now, true);
    }
    let Some(new) = &view.new else { return conditions.clone() };
    let name = object::name(&new.value);
    if is_complete(view, status) {
        let message = format!("ReplicaSet {name:?} has successfully progressed.");
        return condition::set(conditions, &progress("True", "NewReplicaSetAvailable", &message), now, true);
    }
    if earlier.is_null() {
        let message = format!("Created new replica set {name:?}");
        return condition::set(conditions, &progress("True", "NewReplicaSetCreated", &message), now, true);
    }
    let was_complete = text(earlier, &["reason"]) == "NewReplicaSetAvailable";
    if !text(earlier, &["message"]).contains(&format!("{name:?}")) {
        let message = format!("Created new replica set {name:?}");
        return condition::set(conditions, &progress("True", "NewReplicaSetCreated", &message), now, true);
    }
    if was_complete {
        // Pods of a finished rollout come and go without starting it again.
        return conditions.clone();
    }
    let moved = ["updatedReplicas", "readyReplicas", "availableReplicas"]
        .iter()
        .any(|field| count(status, &[field], 0) > count(current, &[field], 0))
        || old_pods(status) < old_pods(current);
    if moved {
        let message = format!("ReplicaSet {name:?} is progressing.");
        return touch(conditions, &progress("True", "ReplicaSetUpdated", &message), now);
    }
    if has_timed_out(view.deployment, earlier, now) {
        let message = format!("ReplicaSet {name:?} has timed out progressing.");
        return condition::set(conditions, &progress("False", "ProgressDeadlineExceeded", &message), now, true);
    }
    conditions.clone()
}

/// Progress moves the time even when the words stay the same.
fn touch(conditions: &Value, condition: &Condition<'_>, now: jiff::Timestamp) -> Value {
    let mut conditions = condition::set(conditions, condition, now, true);
    for one in conditions.as_array_mut().into_iter().flatten().filter(|one| one["type"] == condition.kind) {
        one["lastUpdateTime"] = crate::stamp::seconds(now).into();
    }
    conditions
}

fn progress<'a>(status: &'a str, reason: &'a str, message: &'a str) -> Condition<'a> {
    Condition { kind: "Progressing", status, reason, message }
}

fn old_pods(status: &Value) -> i64 {
    count(status, &["replicas"], 0) - count(status, &["updatedReplicas"], 0)
}

fn is_complete(view: &View<'_>, status: &Value) -> bool {
    let wanted = view.replicas();
    ["updatedReplicas", "replicas", "availableReplicas"].iter().all(|field| count(status, &[field], 0) == wanted)
}

fn has_timed_out(deployment: &Value, progressing: &Value, now: jiff::Timestamp) -> bool {
    let Some(seconds) = deployment["spec"]["progressDeadlineSeconds"].as_i64() else { return false };
    let since = time(progressing, &["lastUpdateTime"]);
    since.is_some_and(|since| now.duration_since(since).as_secs() >= seconds)
}
