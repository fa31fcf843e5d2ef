//! Deployments: one ReplicaSet per pod template, exchanged step by step.
//!
//! A turn looks at the Deployment and its ReplicaSets and does the next step of
//! the rollout; the Pods' news bring the next turn. The only timer is the one of a
//! rollout that does not end.

mod history;
mod rollout;
mod status;

use std::sync::Arc;
use std::time::Duration;

use argosy_model::object;
use serde_json::{Value, json};

use super::kind::{DEPLOYMENT, REPLICA_SET};
use super::template::{TEMPLATE_HASH, same_template, short_hash};
use super::world::{Next, WorkError, World, control_reference, count, text, time, until};
use crate::lifecycle::Propagation;
use crate::store::{Object, ObjectKey};

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX: &str = "deployment.kubernetes.io/max-replicas";

/// A Deployment and its ReplicaSets, the one of its present template apart.
pub(super) struct View<'a> {
    pub(super) deployment: &'a Value,
    pub(super) new: Option<Arc<Object>>,
    /// Oldest first.
    pub(super) old: Vec<Arc<Object>>,
}

/// Does the next step of a Deployment.
pub(super) fn reconcile(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let Some(current) = world.store.get(key) else { return Ok(None) };
    if object::is_deleting(&current.value) {
        return Ok(None);
    }
    if world.adopt(&DEPLOYMENT, &current.value, &REPLICA_SET)? {
        // The next turn knows them.
        return Ok(Some(Duration::ZERO));
    }
    let view = View::of(&current.value, world.controlled(&current.value, &REPLICA_SET));
    let paused = current.value["spec"]["paused"] == true;
    let view = if paused { view } else { ensure_new(world, view)? };
    let scales = if paused { rollout::plan_paused(&view) } else { rollout::plan(&view) };
    for (replica_set, replicas) in &scales {
        scale(world, &view, replica_set, *replicas)?;
    }
    if !paused {
        history::tidy(world, &view)?;
    }
    let now = world.stamps.timestamp();
    let view = view.reread(world);
    let status = status::plan(&view, now);
    let next = deadline(&current.value, &status, now);
    let revision = view.new.as_ref().and_then(|new| object::annotation(&new.value, REVISION)).map(str::to_owned);
    world.update(key, |value| {
        value["status"] = status;
        if let Some(revision) = revision {
            object::set_annotation(value, REVISION, &revision);
        }
    })?;
    Ok(next)
}

// === impl View ===

impl<'a> View<'a> {
    pub(super) fn of(deployment: &'a Value, mut sets: Vec<Arc<Object>>) -> Self {
        sets.sort_by_cached_key(|set| {
            (text(&set.value, &["metadata", "creationTimestamp"]).to_owned(), object::name(&set.value).to_owned())
        });
        let template = &deployment["spec"]["template"];
        let new = sets.iter().position(|set| same_template(&set.value["spec"]["template"], template));
        let new = new.map(|at| sets.remove(at));
        Self { deployment, new, old: sets }
    }

    /// The same ReplicaSets as they are now.
    fn reread(self, world: &World) -> Self {
        let again = |set: Arc<Object>| {
            let key = REPLICA_SET.key(object::namespace(&set.value), object::name(&set.value));
            world.store.get(&key)
        };
        Self {
            deployment: self.deployment,
            new: self.new.and_then(again),
            old: self.old.into_iter().filter_map(again).collect(),
        }
    }

    pub(super) fn replicas(&self) -> i64 {
        count(self.deployment, &["spec", "replicas"], 1)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.old.iter().chain(&self.new)
    }
}

/// Makes the ReplicaSet of the present template where there is none, without Pods
/// yet, and gives it the next revision where an older one is used again.
fn ensure_new<'a>(world: &World, mut view: View<'a>) -> Result<View<'a>, WorkError> {
    let revision = history::next_revision(&view);
    let deployment = view.deployment;
    if let Some(new) = &view.new {
        let key = REPLICA_SET.key(object::namespace(&new.value), object::name(&new.value));
        let replicas = view.replicas();
        world.update(&key, |value| {
            history::copy_annotations(deployment, value);
            history::set_revision(value, revision);
            annotate(value, deployment, replicas);
        })?;
        return Ok(view.reread(world));
    }
    if waits_for_old_pods(&view) {
        return Ok(view);
    }
    let mut attempt = count(deployment, &["status", "collisionCount"], 0);
    while view.new.is_none() {
        view.new = world.create(&REPLICA_SET, replica_set(&view, revision, attempt))?;
        attempt += 1;
    }
    if let Some(new) = view.new.as_ref().filter(|new| count(&new.value, &["spec", "replicas"], 0) > 0) {
        tell_scaled(world, deployment, object::name(&new.value), 0, count(&new.value, &["spec", "replicas"], 0))?;
    }
    Ok(view)
}

fn annotate(set: &mut Value, deployment: &Value, replicas: i64) {
    object::set_annotation(set, DESIRED, &replicas.to_string());
    object::set_annotation(set, MAX, &(replicas + rollout::surge(deployment)).to_string());
}

/// With the strategy `Recreate`, the new Pods come when the old ones have gone.
fn waits_for_old_pods(view: &View<'_>) -> bool {
    text(view.deployment, &["spec", "strategy", "type"]) == "Recreate"
        && view.old.iter().any(|set| count(&set.value, &["status", "replicas"], 0) > 0)
}

fn replica_set(view: &View<'_>, revision: u64, attempt: i64) -> Value {
    let deployment = view.deployment;
    let mut template = deployment["spec"]["template"].clone();
    let hash = short_hash(&template, attempt);
    object::set_label(&mut template, TEMPLATE_HASH, &hash);
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][TEMPLATE_HASH] = hash.as_str().into();
    let mut value = json!({
        "metadata": {
            "name": format!("{}-{hash}", object::name(deployment)),
            "namespace": object::namespace(deployment),
            "labels": template["metadata"]["labels"],
            "ownerReferences": [control_reference(&DEPLOYMENT, deployment)],
        },
        "spec": {"replicas": rollout::initial(view), "selector": selector, "template": template},
        "status": {"replicas": 0},
    });
    if let Some(seconds) = deployment["spec"]["minReadySeconds"].as_i64().filter(|seconds| *seconds > 0) {
        value["spec"]["minReadySeconds"] = seconds.into();
    }
    history::copy_annotations(deployment, &mut value);
    history::set_revision(&mut value, revision);
    annotate(&mut value, deployment, view.replicas());
    value
}

fn scale(world: &World, view: &View<'_>, name: &str, replicas: i64) -> Result<(), WorkError> {
    let namespace = object::namespace(view.deployment);
    let key = REPLICA_SET.key(namespace, name);
    let before = world.store.get(&key).map_or(0, |set| count(&set.value, &["spec", "replicas"], 1));
    if before == replicas {
        return Ok(());
    }
    world.update(&key, |value| {
        value["spec"]["replicas"] = replicas.into();
        value["metadata"]["generation"] = (count(value, &["metadata", "generation"], 0) + 1).into();
    })?;
    tell_scaled(world, view.deployment, name, before, replicas)
}

fn tell_scaled(world: &World, deployment: &Value, name: &str, before: i64, after: i64) -> Result<(), WorkError> {
    let direction = if after > before { "up" } else { "down" };
    let message = format!("Scaled {direction} replica set {name} from {before} to {after}");
    super::event::tell(world, &DEPLOYMENT, deployment, "Normal", "ScalingReplicaSet", &message)
}

/// When a rollout that goes on must have shown progress.
fn deadline(deployment: &Value, status: &Value, now: jiff::Timestamp) -> Option<Duration> {
    let seconds = deployment["spec"]["progressDeadlineSeconds"].as_i64()?;
    let progressing = status["conditions"].as_array()?.iter().find(|one| one["type"] == "Progressing")?;
    if !matches!(text(progressing, &["reason"]), "ReplicaSetUpdated" | "NewReplicaSetCreated" | "FoundNewReplicaSet") {
        return None;
    }
    let since = time(progressing, &["lastUpdateTime"])?;
    let end = since.checked_add(jiff::SignedDuration::from_secs(seconds)).ok()?;
    // Times have whole seconds; one more makes sure that the deadline has passed.
    Some(until(now, end) + Duration::from_secs(1))
}

/// Removes a ReplicaSet that is no longer wanted.
fn remove(world: &World, set: &Object) -> Result<(), WorkError> {
    world.delete(&REPLICA_SET.key(object::namespace(&set.value), object::name(&set.value)), Propagation::Background)
}
