//! The revisions of a Deployment: numbers on its ReplicaSets, and how many are kept.

use argosy_model::object;
use serde_json::Value;

use super::{REVISION, View, remove};
use crate::controllers::world::{WorkError, World, count};

const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";

/// Annotations of a Deployment that its ReplicaSets do not get.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];

/// The revision of the present template: its own while it is the latest, else one more than any.
pub(super) fn next_revision(view: &View<'_>) -> u64 {
    1 + view.old.iter().map(|set| revision(&set.value)).max().unwrap_or(0)
}

pub(super) fn revision(set: &Value) -> u64 {
    object::annotation(set, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Raises the revision of a ReplicaSet; an earlier one is remembered.
pub(super) fn set_revision(set: &mut Value, wanted: u64) {
    let earlier = revision(set);
    if earlier >= wanted {
        return;
    }
    object::set_annotation(set, REVISION, &wanted.to_string());
    if earlier > 0 {
        let history = match object::annotation(set, REVISION_HISTORY) {
            Some(history) if !history.is_empty() => format!("{history},{earlier}"),
            _ => earlier.to_string(),
        };
        object::set_annotation(set, REVISION_HISTORY, &history);
    }
}

pub(super) fn copy_annotations(deployment: &Value, set: &mut Value) {
    let annotations = object::get(deployment, &["metadata", "annotations"]).and_then(Value::as_object);
    for (key, value) in annotations.into_iter().flatten() {
        if let Some(value) = value.as_str().filter(|_| !NOT_COPIED.contains(&key.as_str())) {
            object::set_annotation(set, key, value);
        }
    }
}

/// Removes the oldest ReplicaSets without Pods beyond `revisionHistoryLimit`, once
/// the rollout is over.
pub(super) fn tidy(world: &World, view: &View<'_>) -> Result<(), WorkError> {
    let limit = usize::try_from(count(view.deployment, &["spec", "revisionHistoryLimit"], 10)).unwrap_or(0);
    let mut idle: Vec<_> = view
        .old
        .iter()
        .filter(|set| {
            count(&set.value, &["spec", "replicas"], 1) == 0
                && count(&set.value, &["status", "replicas"], 0) == 0
                && !object::is_deleting(&set.value)
        })
        .collect();
    idle.sort_by_key(|set| revision(&set.value));
    let excess = idle.len().saturating_sub(limit);
    idle.into_iter().take(excess).try_for_each(|set| remove(world, set))
}
