//! Deployment, StatefulSet, ReplicaSet and DaemonSet: the rules of
//! `kubectl rollout status`, with its wording.

use argosy_model::object;
use serde_json::Value;

use super::Status::{Degraded, Healthy, Progressing, Suspended};
use super::{Health, condition, is_stale, number, text};

pub(super) fn deployment(live: &Value) -> Health {
    if object::get(live, &["spec", "paused"]).and_then(Value::as_bool) == Some(true) {
        return Health::new(Suspended, "Deployment is paused");
    }
    if is_stale(live) {
        return waiting("observed deployment generation less than desired generation");
    }
    if condition(live, "Progressing").is_some_and(|c| text(c, &["reason"]) == "ProgressDeadlineExceeded") {
        return Health::new(Degraded, format!("Deployment {:?} exceeded its progress deadline", object::name(live)));
    }
    let (updated, total) = (number(live, &["status", "updatedReplicas"]), number(live, &["status", "replicas"]));
    let available = number(live, &["status", "availableReplicas"]);
    match asked_replicas(live) {
        Some(asked) if updated < asked => {
            waiting(&format!("{updated} out of {asked} new replicas have been updated..."))
        }
        _ if total > updated => waiting(&format!("{} old replicas are pending termination...", total - updated)),
        _ if available < updated => waiting(&format!("{available} of {updated} updated replicas are available...")),
        _ => Health::new(Healthy, ""),
    }
}

pub(super) fn stateful_set(live: &Value) -> Health {
    // Before the controller's first look there is nothing to compare with.
    if number(live, &["status", "observedGeneration"]) == 0 || is_stale(live) {
        return Health::new(Progressing, "Waiting for statefulset spec update to be observed...");
    }
    let (ready, updated) = (number(live, &["status", "readyReplicas"]), number(live, &["status", "updatedReplicas"]));
    let asked = asked_replicas(live);
    if let Some(asked) = asked.filter(|asked| ready < *asked) {
        return Health::new(Progressing, format!("Waiting for {} pods to be ready...", asked - ready));
    }
    let strategy = text(live, &["spec", "updateStrategy", "type"]);
    let rolling = object::get(live, &["spec", "updateStrategy", "rollingUpdate"]).filter(|r| !r.is_null());
    if let (true, Some(rolling)) = (strategy == "RollingUpdate", rolling) {
        return partitioned(rolling, asked, updated);
    }
    if strategy == "OnDelete" {
        return Health::new(Healthy, format!("statefulset has {ready} ready pods"));
    }
    let (update, current) = (text(live, &["status", "updateRevision"]), text(live, &["status", "currentRevision"]));
    if update != current {
        return Health::new(
            Progressing,
            format!("waiting for statefulset rolling update to complete {updated} pods at revision {update}..."),
        );
    }
    let pods = number(live, &["status", "currentReplicas"]);
    Health::new(Healthy, format!("statefulset rolling update complete {pods} pods at revision {current}..."))
}

fn partitioned(rolling: &Value, asked: Option<i64>, updated: i64) -> Health {
    let partition = rolling.get("partition").and_then(Value::as_i64);
    if let (Some(asked), Some(partition)) = (asked, partition) {
        let wanted = asked.saturating_sub(partition);
        if updated < wanted {
            return Health::new(
                Progressing,
                format!(
                    "Waiting for partitioned roll out to finish: {updated} out of {wanted} new pods have been updated..."
                ),
            );
        }
    }
    Health::new(Healthy, format!("partitioned roll out complete: {updated} new pods have been updated..."))
}

pub(super) fn replica_set(live: &Value) -> Health {
    if is_stale(live) {
        return waiting("observed replica set generation less than desired generation");
    }
    if let Some(failure) = condition(live, "ReplicaFailure").filter(|c| text(c, &["status"]) == "True") {
        return Health::new(Degraded, text(failure, &["message"]));
    }
    let available = number(live, &["status", "availableReplicas"]);
    match asked_replicas(live) {
        Some(asked) if available < asked => {
            waiting(&format!("{available} out of {asked} new replicas are available..."))
        }
        _ => Health::new(Healthy, ""),
    }
}

pub(super) fn daemon_set(live: &Value) -> Health {
    if is_stale(live) {
        return waiting("observed daemon set generation less than desired generation");
    }
    let wanted = number(live, &["status", "desiredNumberScheduled"]);
    let updated = number(live, &["status", "updatedNumberScheduled"]);
    let available = number(live, &["status", "numberAvailable"]);
    let name = object::name(live);
    if text(live, &["spec", "updateStrategy", "type"]) == "OnDelete" {
        Health::new(Healthy, format!("daemon set {updated} out of {wanted} new pods have been updated"))
    } else if updated < wanted {
        Health::new(
            Progressing,
            format!(
                "Waiting for daemon set {name:?} rollout to finish: {updated} out of {wanted} new pods have been updated..."
            ),
        )
    } else if available < wanted {
        Health::new(
            Progressing,
            format!(
                "Waiting for daemon set {name:?} rollout to finish: {available} of {wanted} updated pods are available..."
            ),
        )
    } else {
        Health::new(Healthy, "")
    }
}

/// `spec.replicas`, where it is written: live objects carry it, half objects may not.
fn asked_replicas(live: &Value) -> Option<i64> {
    object::get(live, &["spec", "replicas"]).and_then(Value::as_i64)
}

fn waiting(what: &str) -> Health {
    Health::new(Progressing, format!("Waiting for rollout to finish: {what}"))
}
