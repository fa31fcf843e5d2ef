//! ControllerRevisions: the templates that a StatefulSet or DaemonSet has had.

use argosy_model::object;
use serde_json::{Value, json};

use super::kind::{CONTROLLER_REVISION, Kind};
use super::template::short_hash;
use super::world::{WorkError, World, control_reference, count};
use crate::lifecycle::Propagation;

/// The label of a Pod that says which template it is of.
pub(super) const REVISION_LABEL: &str = "controller-revision-hash";

/// Remembers the present template of `owner`, forgets the oldest beyond
/// `revisionHistoryLimit` and returns the name of the present revision.
pub(super) fn record(world: &World, kind: &Kind, owner: &Value, in_use: &[&str]) -> Result<String, WorkError> {
    let template = &owner["spec"]["template"];
    let hash = short_hash(template, count(owner, &["status", "collisionCount"], 0));
    let name = format!("{}-{hash}", object::name(owner));
    let mut known = world.controlled(owner, &CONTROLLER_REVISION);
    known.sort_by_key(|revision| count(&revision.value, &["revision"], 0));
    let last = known.last().map_or(0, |revision| count(&revision.value, &["revision"], 0));
    match known.iter().find(|revision| object::name(&revision.value) == name) {
        None => {
            let mut data = template.clone();
            data["$patch"] = "replace".into();
            let mut labels = template["metadata"]["labels"].clone();
            let is_daemon_set = kind.resource == "daemonsets";
            let label = if is_daemon_set { REVISION_LABEL } else { "controller.kubernetes.io/hash" };
            labels[label] = hash.as_str().into();
            let mut value = json!({
                "metadata": {
                    "name": name,
                    "namespace": object::namespace(owner),
                    "labels": labels,
                    "ownerReferences": [control_reference(kind, owner)],
                },
                "data": {"spec": {"template": data}},
                "revision": last + 1,
            });
            if is_daemon_set {
                let generation = count(owner, &["metadata", "generation"], 1).to_string();
                object::set_annotation(&mut value, "deprecated.daemonset.template.generation", &generation);
            }
            world.create(&CONTROLLER_REVISION, value)?;
        }
        // An older template came back.
        Some(revision) if count(&revision.value, &["revision"], 0) < last => {
            let key = CONTROLLER_REVISION.key(object::namespace(owner), &name);
            world.update(&key, |value| value["revision"] = (last + 1).into())?;
        }
        Some(_) => {}
    }
    let limit = usize::try_from(count(owner, &["spec", "revisionHistoryLimit"], 10)).unwrap_or(0);
    let idle: Vec<&str> = known
        .iter()
        .map(|revision| object::name(&revision.value))
        .filter(|one| *one != name && !in_use.contains(one))
        .collect();
    for one in idle.iter().take(idle.len().saturating_sub(limit)) {
        world.delete(&CONTROLLER_REVISION.key(object::namespace(owner), one), Propagation::Background)?;
    }
    Ok(name)
}

/// What a Pod of a revision is labelled with: DaemonSets use the hash alone.
pub(super) fn hash_of(owner: &Value, revision: &str) -> String {
    let prefix = format!("{}-", object::name(owner));
    revision.strip_prefix(&prefix).unwrap_or(revision).to_owned()
}
