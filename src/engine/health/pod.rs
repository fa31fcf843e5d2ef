//! Pods. What a state means depends on the restart policy: a pod that should
//! run for ever and one that should end are judged differently.

use serde_json::Value;

use super::Status::{Degraded, Healthy, Progressing, Unknown};
use super::{Health, condition, items, number, text};

pub(super) fn pod(live: &Value) -> Health {
    let restart = text(live, &["spec", "restartPolicy"]);
    // A pod that runs to its end is a hook more often than not, and may well
    // back off and try again; only endless ones are given up this early.
    if restart == "Always" {
        let stuck: Vec<&str> = containers(live).filter_map(stuck_message).collect();
        if !stuck.is_empty() {
            return Health::new(Degraded, stuck.join(", "));
        }
    }
    let message = text(live, &["status", "message"]);
    match text(live, &["status", "phase"]) {
        "Pending" => Health::new(Progressing, message),
        "Succeeded" => Health::new(Healthy, message),
        "Failed" => failed(live, message),
        "Running" if restart == "Always" => running(live, message),
        // Running to an end that has not come yet.
        "Running" => Health::new(Progressing, message),
        _ => Health::new(Unknown, message),
    }
}

fn running(live: &Value, message: &str) -> Health {
    let ready = condition(live, "Ready").is_some_and(|c| text(c, &["status"]) == "True");
    if ready {
        Health::new(Healthy, message)
    } else if containers(live)
        .any(|c| c.get("lastState").and_then(|s| s.get("terminated")).is_some_and(Value::is_object))
    {
        Health::new(Degraded, message)
    } else {
        Health::new(Progressing, message)
    }
}

fn failed(live: &Value, message: &str) -> Health {
    if !message.is_empty() {
        return Health::new(Degraded, message);
    }
    let reason = items(live, &["status", "initContainerStatuses"]).chain(containers(live)).find_map(failure_message);
    Health::new(Degraded, reason.unwrap_or_default())
}

fn containers(live: &Value) -> impl Iterator<Item = &Value> {
    items(live, &["status", "containerStatuses"])
}

/// The message of a container that waits for something that will not come.
fn stuck_message(container: &Value) -> Option<&str> {
    let reason = text(container, &["state", "waiting", "reason"]);
    let stuck = reason.starts_with("Err") || reason.ends_with("Error") || reason.ends_with("BackOff");
    stuck.then(|| text(container, &["state", "waiting", "message"]))
}

fn failure_message(container: &Value) -> Option<String> {
    let end = container.get("state")?.get("terminated")?;
    let message = text(end, &["message"]);
    if !message.is_empty() {
        return Some(message.to_owned());
    }
    if text(end, &["reason"]) == "OOMKilled" {
        return Some("OOMKilled".to_owned());
    }
    let code = number(end, &["exitCode"]);
    (code != 0).then(|| format!("container {:?} failed with exit code {code}", text(container, &["name"])))
}
