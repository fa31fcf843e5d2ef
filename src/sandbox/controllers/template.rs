//! Pods out of templates, and what tells one template from another.

use argosy_model::object;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::kind::Kind;
use super::world::control_reference;

/// The label by which ReplicaSets of one Deployment differ.
pub(crate) const TEMPLATE_HASH: &str = "pod-template-hash";

/// Letters that hashes in names are made of.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A short hash of a value, as names and labels have it.
pub(crate) fn short_hash(value: &Value, attempt: i64) -> String {
    let digest = Sha256::new().chain_update(value.to_string()).chain_update(attempt.to_string()).finalize();
    digest.iter().take(10).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

/// Whether two pod templates are the same but for the hash that ReplicaSets add.
pub(crate) fn same_template(one: &Value, other: &Value) -> bool {
    without_hash(one) == without_hash(other)
}

fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    object::remove_label(&mut template, TEMPLATE_HASH);
    if let Some(metadata) = object::metadata(&mut template) {
        metadata.retain(|_, value| !value.is_null());
    }
    template
}

/// What a Pod is called.
pub(crate) enum PodName<'a> {
    /// Exactly that.
    Fixed(&'a str),
    /// Something that begins so.
    Prefix(&'a str),
}

/// A Pod of a template, controlled by `owner`.
pub(crate) fn pod(kind: &Kind, owner: &Value, template: &Value, name: &PodName<'_>) -> Value {
    let mut metadata = template["metadata"].as_object().cloned().unwrap_or_default();
    metadata
        .retain(|field, value| matches!(field.as_str(), "labels" | "annotations" | "finalizers") && !value.is_null());
    match name {
        PodName::Fixed(name) => metadata.insert("name".to_owned(), (*name).into()),
        PodName::Prefix(prefix) => metadata.insert("generateName".to_owned(), (*prefix).into()),
    };
    metadata.insert("namespace".to_owned(), object::namespace(owner).into());
    metadata.insert("ownerReferences".to_owned(), json!([control_reference(kind, owner)]));
    let mut spec = template["spec"].as_object().cloned().unwrap_or_default();
    complete(&mut spec);
    json!({"metadata": metadata, "spec": spec, "status": {"phase": "Pending", "qosClass": quality(&spec)}})
}

/// What admission adds to the spec of every Pod.
fn complete(spec: &mut Map<String, Value>) {
    for (field, value) in [
        ("serviceAccountName", json!("default")),
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
        ("enableServiceLinks", json!(true)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
        ("priority", json!(0)),
    ] {
        spec.entry(field).or_insert(value);
    }
    let account = spec["serviceAccountName"].clone();
    spec.entry("serviceAccount").or_insert(account);
}

/// How well a Pod is kept when memory is short.
fn quality(spec: &Map<String, Value>) -> &'static str {
    let containers: Vec<&Value> =
        ["containers", "initContainers"].iter().filter_map(|field| spec.get(*field)?.as_array()).flatten().collect();
    let filled = |value: &Value| value.as_object().is_some_and(|map| !map.is_empty());
    let asks =
        |container: &&Value| filled(&container["resources"]["requests"]) || filled(&container["resources"]["limits"]);
    if !containers.iter().any(asks) {
        return "BestEffort";
    }
    let guaranteed = |container: &&Value| {
        let (limits, requests) = (&container["resources"]["limits"], &container["resources"]["requests"]);
        ["cpu", "memory"]
            .iter()
            .all(|what| !limits[what].is_null() && (requests[what].is_null() || requests[what] == limits[what]))
    };
    if containers.iter().all(guaranteed) { "Guaranteed" } else { "Burstable" }
}

/// A count that is a number or a share of `total`, as `maxSurge` has it.
pub(crate) fn resolve_share(value: &Value, total: i64, round_up: bool) -> i64 {
    if let Some(number) = value.as_i64() {
        return number;
    }
    let percent = value.as_str().and_then(|text| text.strip_suffix('%')?.parse::<i64>().ok()).unwrap_or_default();
    let share = total.saturating_mul(percent);
    if round_up { (share + 99).div_euclid(100) } else { share.div_euclid(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_as_asked() {
        assert_eq!(resolve_share(&json!("25%"), 10, true), 3);
        assert_eq!(resolve_share(&json!("25%"), 10, false), 2);
        assert_eq!(resolve_share(&json!(4), 10, false), 4);
    }

    #[test]
    fn the_hash_label_does_not_make_templates_differ() {
        let one = json!({"metadata": {"labels": {"app": "a"}}, "spec": {}});
        let hashed = json!({"metadata": {"labels": {"app": "a", TEMPLATE_HASH: "x"}}, "spec": {}});
        assert!(same_template(&one, &hashed));
        assert!(!same_template(&one, &json!({"metadata": {"labels": {"app": "b"}}, "spec": {}})));
        assert_ne!(short_hash(&one, 0), short_hash(&one, 1));
    }
}
