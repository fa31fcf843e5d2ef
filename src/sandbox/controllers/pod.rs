//! Pods: what a scheduler and a kubelet would do with them, without running anything.
//!
//! Where a Pod is in its life is read from the Pod alone, so that a restarted
//! sandbox goes on where it was. How it fares is decided by [`Behaviour`].

mod behaviour;
mod status;

use std::time::Duration;

use argosy_model::object;
use serde_json::{Value, json};

pub(crate) use behaviour::PodCommand;
use behaviour::{Behaviour, Outcome};
pub use behaviour::{OutcomeRule, OutcomeRuleError, PodOptions};

use super::condition::{self, Condition};
use super::event;
use super::kind::{NODE, POD};
use super::selector::has_all;
use super::world::{Next, WorkError, World, count, text, time, until};
use crate::stamp::seconds;
use crate::store::ObjectKey;

/// What a turn of a Pod's life brings.
#[derive(Debug, Default, PartialEq)]
struct Turn {
    /// The Pod as it is to be; `None` when nothing changes.
    pod: Option<Value>,
    /// When to look again.
    next: Next,
    /// Severity, reason and message of what is told about it.
    events: Vec<(&'static str, &'static str, String)>,
}

/// Takes a Pod one step further.
pub(super) fn reconcile(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let Some(pod) = world.store.get(key) else { return Ok(None) };
    let Some(node) = &world.options.node else { return Ok(None) };
    let now = world.stamps.timestamp();
    let turn = if object::is_deleting(&pod.value) {
        stop(&pod.value, &world.options.pods, now)
    } else if text(&pod.value, &["spec", "nodeName"]).is_empty() {
        let labels = world.get(&NODE, "", node).map(|node| node.value["metadata"]["labels"].clone());
        schedule(&pod.value, node, &labels.unwrap_or_default(), now)
    } else {
        live(&pod.value, &Behaviour::of(&pod.value, &world.options.pods), now)
    };
    if let Some(new) = turn.pod {
        // Only what a node owns is changed, so that nobody else's change is lost.
        world.update(key, |value| adopt(value, &new))?;
    }
    for (severity, reason, message) in turn.events {
        event::tell(world, &POD, &pod.value, severity, reason, &message)?;
    }
    Ok(turn.next)
}

fn adopt(value: &mut Value, new: &Value) {
    value["status"] = new["status"].clone();
    if !new["spec"]["nodeName"].is_null() {
        value["spec"]["nodeName"] = new["spec"]["nodeName"].clone();
    }
    if let Some(grace) = object::get(new, &["metadata", "deletionGracePeriodSeconds"]) {
        value["metadata"]["deletionGracePeriodSeconds"] = grace.clone();
    }
}

/// A Pod that is deleted stops after a while, and goes.
fn stop(pod: &Value, options: &PodOptions, now: jiff::Timestamp) -> Turn {
    let grace = count(pod, &["metadata", "deletionGracePeriodSeconds"], 0);
    let Some(end) = time(pod, &["metadata", "deletionTimestamp"]).filter(|_| grace > 0) else {
        return Turn::default();
    };
    let began = end.checked_sub(jiff::SignedDuration::from_secs(grace)).unwrap_or(end);
    let pause = options.stop_after.min(Duration::from_secs(grace.unsigned_abs()));
    let stopped = began.checked_add(pause).unwrap_or(end);
    let wait = until(now, stopped);
    if !wait.is_zero() {
        return Turn { next: Some(wait), ..Turn::default() };
    }
    let mut stopped = pod.clone();
    stopped["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    let events = match began_containers(pod) {
        true => vec![("Normal", "Killing", "Stopping container".to_owned())],
        false => Vec::new(),
    };
    Turn { pod: Some(stopped), next: None, events }
}

fn began_containers(pod: &Value) -> bool {
    text(pod, &["status", "phase"]) == "Running"
}

/// A Pod goes to the node, if its selector lets it.
fn schedule(pod: &Value, node: &str, labels: &Value, now: jiff::Timestamp) -> Turn {
    if pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        return unscheduled(pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates", now);
    }
    if !has_all(&pod["spec"]["nodeSelector"], labels) {
        let message = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. preemption: \
                       0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
        return unscheduled(pod, "Unschedulable", message, now);
    }
    let mut scheduled = pod.clone();
    scheduled["spec"]["nodeName"] = node.into();
    set_condition(&mut scheduled, "PodScheduled", "True", "", "", now);
    let message = format!("Successfully assigned {}/{} to {node}", object::namespace(pod), object::name(pod));
    Turn { pod: Some(scheduled), next: None, events: vec![("Normal", "Scheduled", message)] }
}

fn unscheduled(pod: &Value, reason: &'static str, message: &str, now: jiff::Timestamp) -> Turn {
    let mut waiting = pod.clone();
    waiting["status"]["phase"] = "Pending".into();
    set_condition(&mut waiting, "PodScheduled", "False", reason, message, now);
    if waiting == *pod {
        return Turn::default();
    }
    Turn { pod: Some(waiting), next: None, events: vec![("Warning", "FailedScheduling", message.to_owned())] }
}

/// A Pod on its node: it starts, runs and, if it is of that sort, ends.
fn live(pod: &Value, behaviour: &Behaviour, now: jiff::Timestamp) -> Turn {
    match text(pod, &["status", "phase"]) {
        "Succeeded" | "Failed" => Turn::default(),
        "Running" => run(pod, behaviour, now),
        _ => start(pod, behaviour, now),
    }
}

fn start(pod: &Value, behaviour: &Behaviour, now: jiff::Timestamp) -> Turn {
    if behaviour.outcome == Outcome::Waits {
        return Turn::default();
    }
    let Some(began) = time(pod, &["status", "startTime"]) else {
        let next = (!behaviour.start_after.is_zero()).then_some(behaviour.start_after);
        return Turn { pod: Some(status::creating(pod, now)), next, events: Vec::new() };
    };
    let wait = until(now, began.checked_add(behaviour.start_after).unwrap_or(began));
    if !wait.is_zero() {
        return Turn { next: Some(wait), ..Turn::default() };
    }
    if let Some(image) = &behaviour.missing_image {
        let waiting = status::without_image(pod, image, now);
        if waiting == *pod {
            return Turn::default();
        }
        let events = vec![
            ("Normal", "Pulling", format!("Pulling image {image:?}")),
            ("Warning", "Failed", format!("Failed to pull image {image:?}: {}", status::not_found(image))),
            ("Warning", "Failed", "Error: ErrImagePull".to_owned()),
            ("Normal", "BackOff", format!("Back-off pulling image {image:?}")),
            ("Warning", "Failed", "Error: ImagePullBackOff".to_owned()),
        ];
        return Turn { pod: Some(waiting), next: None, events };
    }
    let next = match &behaviour.outcome {
        Outcome::Ends { after, .. } => Some(*after),
        Outcome::Waits | Outcome::Runs | Outcome::NeverReady => None,
    };
    let events = status::images(pod)
        .flat_map(|(container, image)| {
            [
                ("Normal", "Pulled", format!("Container image {image:?} already present on machine")),
                ("Normal", "Created", format!("Container created: {container}")),
                ("Normal", "Started", format!("Container started: {container}")),
            ]
        })
        .collect();
    let ready = behaviour.outcome != Outcome::NeverReady;
    Turn { pod: Some(status::running(pod, ready, 0, now)), next, events }
}

fn run(pod: &Value, behaviour: &Behaviour, now: jiff::Timestamp) -> Turn {
    let Outcome::Ends { after, code } = &behaviour.outcome else { return Turn::default() };
    let restarts = status::restarts(pod);
    let since = status::since(pod).unwrap_or(now);
    let waiting = status::is_backing_off(pod);
    let pause = if waiting { behaviour.restart_after } else { *after };
    if waiting && restarts >= behaviour.restarts {
        return Turn::default();
    }
    let wait = until(now, since.checked_add(pause).unwrap_or(since));
    if !wait.is_zero() {
        return Turn { next: Some(wait), ..Turn::default() };
    }
    if waiting {
        return Turn { pod: Some(status::running(pod, true, restarts, now)), next: Some(*after), events: Vec::new() };
    }
    let policy = text(pod, &["spec", "restartPolicy"]);
    let again = policy == "Always" || policy.is_empty() || (policy == "OnFailure" && *code != 0);
    if again {
        let message = "Back-off restarting failed container".to_owned();
        let next = (restarts + 1 < behaviour.restarts).then_some(behaviour.restart_after);
        let pod = status::backing_off(pod, *code, restarts + 1, since, now);
        return Turn { pod: Some(pod), next, events: vec![("Warning", "BackOff", message)] };
    }
    Turn { pod: Some(status::ended(pod, *code, since, now)), next: None, events: Vec::new() }
}

fn set_condition(pod: &mut Value, kind: &str, status: &str, reason: &str, message: &str, now: jiff::Timestamp) {
    let condition = Condition { kind, status, reason, message };
    let mut conditions = condition::set(&pod["status"]["conditions"], &condition, now, false);
    for one in conditions.as_array_mut().into_iter().flatten() {
        if one.get("lastProbeTime").is_none() {
            one["lastProbeTime"] = json!(null);
        }
    }
    pod["status"]["conditions"] = conditions;
}

fn now_text(now: jiff::Timestamp) -> Value {
    seconds(now).into()
}
