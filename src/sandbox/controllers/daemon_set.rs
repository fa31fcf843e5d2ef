//! DaemonSets: one Pod on each node that is wanted, and there is one node.

use std::sync::Arc;
use std::time::Duration;

use argosy_model::object;
use serde_json::{Value, json};

use super::condition;
use super::event;
use super::kind::{DAEMON_SET, NODE, POD};
use super::replica_set::until_available;
use super::revision::{self, REVISION_LABEL};
use super::selector::has_all;
use super::template::{self, PodName};
use super::world::{Next, WorkError, World, count, nonzero, text};
use crate::lifecycle::Propagation;
use crate::store::{Object, ObjectKey};

/// Does the next step of a DaemonSet.
pub(super) fn reconcile(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let Some(set) = world.store.get(key) else { return Ok(None) };
    if world.adopt(&DAEMON_SET, &set.value, &POD)? {
        // The next turn knows them.
        return Ok(Some(Duration::ZERO));
    }
    let pods = world.controlled(&set.value, &POD);
    let name = revision::record(world, &DAEMON_SET, &set.value, &[])?;
    let hash = revision::hash_of(&set.value, &name);
    let nodes: Vec<Arc<Object>> = world
        .list(&NODE, None)
        .into_iter()
        .filter(|node| {
            has_all(&set.value["spec"]["template"]["spec"]["nodeSelector"], &node.value["metadata"]["labels"])
        })
        .collect();
    if !object::is_deleting(&set.value) {
        for node in &nodes {
            settle_node(world, &set.value, object::name(&node.value), &pods, &hash)?;
        }
    }
    let now = world.stamps.timestamp();
    let (status, next) = plan_status(&set.value, &pods, nodes.len(), &hash, now);
    world.set_status(key, status)?;
    Ok(next)
}

fn settle_node(world: &World, set: &Value, node: &str, pods: &[Arc<Object>], hash: &str) -> Result<(), WorkError> {
    let here = pods.iter().find(|pod| pod.value["spec"]["nodeName"] == node);
    let Some(pod) = here else {
        let prefix = format!("{}-", object::name(set));
        let mut pod = template::pod(&DAEMON_SET, set, &set["spec"]["template"], &PodName::Prefix(&prefix));
        object::set_label(&mut pod, REVISION_LABEL, hash);
        object::set_label(&mut pod, "pod-template-generation", &count(set, &["metadata", "generation"], 1).to_string());
        pod["spec"]["nodeName"] = node.into();
        if let Some(pod) = world.create(&POD, pod)? {
            let message = format!("Created pod: {}", object::name(&pod.value));
            event::tell(world, &DAEMON_SET, set, "Normal", "SuccessfulCreate", &message)?;
        }
        return Ok(());
    };
    let ended = matches!(text(&pod.value, &["status", "phase"]), "Failed" | "Succeeded");
    let outdated = object::label(&pod.value, REVISION_LABEL) != Some(hash)
        && text(set, &["spec", "updateStrategy", "type"]) != "OnDelete";
    if (ended || outdated) && !object::is_deleting(&pod.value) {
        let name = object::name(&pod.value);
        world.delete(&POD.key(object::namespace(set), name), Propagation::Background)?;
        event::tell(world, &DAEMON_SET, set, "Normal", "SuccessfulDelete", &format!("Deleted pod: {name}"))?;
    }
    Ok(())
}

fn plan_status(set: &Value, pods: &[Arc<Object>], nodes: usize, hash: &str, now: jiff::Timestamp) -> (Value, Next) {
    let settle = count(set, &["spec", "minReadySeconds"], 0);
    let number = |wanted: &dyn Fn(&Value) -> bool| -> i64 {
        i64::try_from(pods.iter().filter(|pod| wanted(&pod.value)).count()).unwrap_or(i64::MAX)
    };
    let ready = |pod: &Value| condition::is_true(pod, "Ready");
    let available = number(&|pod| ready(pod) && until_available(pod, settle, now).is_zero());
    let desired = i64::try_from(nodes).unwrap_or(i64::MAX);
    let mut status = nonzero(&[
        ("observedGeneration", count(set, &["metadata", "generation"], 0)),
        ("updatedNumberScheduled", number(&|pod| object::label(pod, REVISION_LABEL) == Some(hash))),
        ("numberAvailable", available),
        ("numberUnavailable", (desired - available).max(0)),
    ]);
    status["desiredNumberScheduled"] = desired.into();
    status["currentNumberScheduled"] = json!(pods.len().min(nodes));
    status["numberMisscheduled"] = 0.into();
    status["numberReady"] = number(&ready).into();
    let waits = pods.iter().filter(|pod| ready(&pod.value)).map(|pod| until_available(&pod.value, settle, now));
    (status, waits.filter(|wait| !wait.is_zero()).min())
}
