//! StatefulSets: numbered Pods, in order, each with its own claims.

use std::sync::Arc;
use std::time::Duration;

use argosy_model::object;
use serde_json::{Value, json};

use super::condition;
use super::event;
use super::kind::{CLAIM, POD, STATEFUL_SET};
use super::replica_set::until_available;
use super::revision::{self, REVISION_LABEL};
use super::template::{self, PodName};
use super::world::{Next, WorkError, World, count, nonzero, text};
use crate::lifecycle::Propagation;
use crate::store::{Object, ObjectKey};

/// Does the next steps of a StatefulSet.
pub(super) fn reconcile(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let Some(set) = world.store.get(key) else { return Ok(None) };
    if world.adopt(&STATEFUL_SET, &set.value, &POD)? {
        // The next turn knows them.
        return Ok(Some(Duration::ZERO));
    }
    let pods = world.controlled(&set.value, &POD);
    let current = text(&set.value, &["status", "currentRevision"]).to_owned();
    let update = revision::record(world, &STATEFUL_SET, &set.value, &[&current])?;
    let current = if current.is_empty() { update.clone() } else { current };
    let now = world.stamps.timestamp();
    if !object::is_deleting(&set.value) {
        match plan(&set.value, &pods, &current, &update, now) {
            Step::Create(ordinals) => {
                for (ordinal, revision) in ordinals {
                    create(world, &set.value, ordinal, &revision)?;
                }
            }
            Step::Remove(names) => {
                for name in names {
                    world.delete(&POD.key(&key.namespace, &name), Propagation::Background)?;
                    let message = format!("delete Pod {name} in StatefulSet {} successful", object::name(&set.value));
                    event::tell(world, &STATEFUL_SET, &set.value, "Normal", "SuccessfulDelete", &message)?;
                }
            }
            Step::Wait => {}
        }
    }
    let (status, next) = plan_status(&set.value, &pods, &current, &update, now);
    world.set_status(key, status)?;
    Ok(next)
}

/// What is done next.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Pods of these ordinals at these revisions.
    Create(Vec<(i64, String)>),
    /// These Pods go.
    Remove(Vec<String>),
    /// A Pod has to become ready, or to go, first.
    Wait,
}

fn plan(set: &Value, pods: &[Arc<Object>], current: &str, update: &str, now: jiff::Timestamp) -> Step {
    let start = count(set, &["spec", "ordinals", "start"], 0);
    let wanted = start..start + count(set, &["spec", "replicas"], 1);
    let parallel = text(set, &["spec", "podManagementPolicy"]) == "Parallel";
    let partition = count(set, &["spec", "updateStrategy", "rollingUpdate", "partition"], 0);
    let settle = count(set, &["spec", "minReadySeconds"], 0);
    let find = |ordinal: i64| pods.iter().find(|pod| ordinal_of(set, &pod.value) == Some(ordinal));
    let healthy = |pod: &Object| {
        !object::is_deleting(&pod.value)
            && condition::is_true(&pod.value, "Ready")
            && until_available(&pod.value, settle, now).is_zero()
    };
    let revision = |ordinal: i64| if ordinal >= start + partition { update } else { current };
    let mut missing = Vec::new();
    for ordinal in wanted.clone() {
        match find(ordinal) {
            None if parallel => missing.push((ordinal, revision(ordinal).to_owned())),
            None => return Step::Create(vec![(ordinal, revision(ordinal).to_owned())]),
            Some(pod) if has_ended(&pod.value) => return Step::Remove(vec![object::name(&pod.value).to_owned()]),
            // A Pod of an old template that never gets ready must not hold up its successor.
            Some(pod) if !parallel && !healthy(pod) && is_at(&pod.value, revision(ordinal)) => return Step::Wait,
            Some(_) => {}
        }
    }
    if !missing.is_empty() {
        return Step::Create(missing);
    }
    let mut excess: Vec<(i64, &Arc<Object>)> = pods
        .iter()
        .filter_map(|pod| Some((ordinal_of(set, &pod.value)?, pod)))
        .filter(|(ordinal, _)| !wanted.contains(ordinal))
        .collect();
    excess.sort_by_key(|(ordinal, _)| std::cmp::Reverse(*ordinal));
    if let Some((_, highest)) = excess.first() {
        if !parallel && object::is_deleting(&highest.value) {
            return Step::Wait;
        }
        let number = if parallel { excess.len() } else { 1 };
        return Step::Remove(excess[..number].iter().map(|(_, pod)| object::name(&pod.value).to_owned()).collect());
    }
    if text(set, &["spec", "updateStrategy", "type"]) == "OnDelete" {
        return Step::Wait;
    }
    for ordinal in wanted.rev().filter(|ordinal| *ordinal >= start + partition) {
        match find(ordinal) {
            Some(pod) if !is_at(&pod.value, update) && !object::is_deleting(&pod.value) => {
                return Step::Remove(vec![object::name(&pod.value).to_owned()]);
            }
            Some(pod) if healthy(pod) => {}
            _ => return Step::Wait,
        }
    }
    Step::Wait
}

fn ordinal_of(set: &Value, pod: &Value) -> Option<i64> {
    object::name(pod).strip_prefix(object::name(set))?.strip_prefix('-')?.parse().ok()
}

fn is_at(pod: &Value, revision: &str) -> bool {
    object::label(pod, REVISION_LABEL) == Some(revision)
}

fn has_ended(pod: &Value) -> bool {
    matches!(text(pod, &["status", "phase"]), "Failed" | "Succeeded") && !object::is_deleting(pod)
}

fn create(world: &World, set: &Value, ordinal: i64, revision: &str) -> Result<(), WorkError> {
    let name = format!("{}-{ordinal}", object::name(set));
    // A Pod below the partition keeps the template of its revision.
    let kept = world.get(&super::kind::CONTROLLER_REVISION, object::namespace(set), revision);
    let template = kept.as_ref().map_or(&set["spec"]["template"], |kept| &kept.value["data"]["spec"]["template"]);
    let mut pod = template::pod(&STATEFUL_SET, set, template, &PodName::Fixed(&name));
    object::set_label(&mut pod, REVISION_LABEL, revision);
    object::set_label(&mut pod, "statefulset.kubernetes.io/pod-name", &name);
    object::set_label(&mut pod, "apps.kubernetes.io/pod-index", &ordinal.to_string());
    pod["spec"]["hostname"] = name.as_str().into();
    if !set["spec"]["serviceName"].is_null() {
        pod["spec"]["subdomain"] = set["spec"]["serviceName"].clone();
    }
    let claims = set["spec"]["volumeClaimTemplates"].as_array();
    for claim in claims.into_iter().flatten() {
        let volume = object::name(claim);
        let claim_name = format!("{volume}-{name}");
        create_claim(world, set, claim, &claim_name)?;
        let source = json!({"name": volume, "persistentVolumeClaim": {"claimName": claim_name}});
        match pod["spec"]["volumes"].as_array_mut() {
            Some(volumes) => volumes.push(source),
            None => pod["spec"]["volumes"] = json!([source]),
        }
    }
    if world.create(&POD, pod)?.is_some() {
        let message = format!("create Pod {name} in StatefulSet {} successful", object::name(set));
        event::tell(world, &STATEFUL_SET, set, "Normal", "SuccessfulCreate", &message)?;
    }
    Ok(())
}

fn create_claim(world: &World, set: &Value, template: &Value, name: &str) -> Result<(), WorkError> {
    if world.get(&CLAIM, object::namespace(set), name).is_some() {
        return Ok(());
    }
    let mut labels = template["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    for (key, value) in set["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten() {
        labels.insert(key.clone(), value.clone());
    }
    let mut spec = template["spec"].clone();
    if spec["volumeMode"].is_null() {
        spec["volumeMode"] = "Filesystem".into();
    }
    let metadata = json!({"name": name, "namespace": object::namespace(set), "labels": labels});
    world.create(&CLAIM, json!({"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}))?;
    Ok(())
}

fn plan_status(set: &Value, pods: &[Arc<Object>], current: &str, update: &str, now: jiff::Timestamp) -> (Value, Next) {
    let settle = count(set, &["spec", "minReadySeconds"], 0);
    let number = |wanted: &dyn Fn(&Value) -> bool| -> i64 {
        i64::try_from(pods.iter().filter(|pod| wanted(&pod.value)).count()).unwrap_or(i64::MAX)
    };
    let ready = |pod: &Value| condition::is_true(pod, "Ready");
    let wanted = count(set, &["spec", "replicas"], 1);
    let replicas = number(&|_| true);
    let updated = number(&|pod| is_at(pod, update) && !object::is_deleting(pod));
    let updated_ready = number(&|pod| is_at(pod, update) && ready(pod));
    let partition = count(set, &["spec", "updateStrategy", "rollingUpdate", "partition"], 0);
    // When all are of the new template, it is the current one.
    let done = updated == wanted && replicas == wanted && updated_ready == wanted && partition == 0;
    let current = if done { update } else { current };
    let mut status = nonzero(&[
        ("observedGeneration", count(set, &["metadata", "generation"], 0)),
        ("readyReplicas", number(&ready)),
        ("currentReplicas", number(&|pod| is_at(pod, current) && !object::is_deleting(pod))),
        ("updatedReplicas", updated),
    ]);
    status["replicas"] = replicas.into();
    status["availableReplicas"] = number(&|pod| ready(pod) && until_available(pod, settle, now).is_zero()).into();
    status["collisionCount"] = count(set, &["status", "collisionCount"], 0).into();
    status["currentRevision"] = current.into();
    status["updateRevision"] = update.into();
    let waits = pods.iter().filter(|pod| ready(&pod.value)).map(|pod| until_available(&pod.value, settle, now));
    (status, waits.filter(|wait| !wait.is_zero()).min())
}
