//! What a namespace brings, refuses and takes with it.

use argosy_model::object;
use serde_json::{Value, json};

use super::Propagation;
use crate::controllers::{CONFIG_MAP, Kind, NAMESPACE, SERVICE_ACCOUNT, WorkError, World};
use crate::stamp::Stamps;
use crate::store::{ObjectKey, Store};

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// Why an object is not created in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceRefusal {
    /// 404: there is no such namespace.
    #[error("namespaces {0:?} not found")]
    Missing(String),
    /// 403, with a cause `NamespaceTerminating` of field `metadata.namespace`.
    #[error("unable to create new content in namespace {0} because it is being terminated")]
    Terminating(String),
}

/// Whether an object may be created in a namespace now.
///
/// # Errors
/// [`NamespaceRefusal`].
pub fn admit_to_namespace(store: &Store, namespace: &str) -> Result<(), NamespaceRefusal> {
    let found = store.get(&NAMESPACE.key("", namespace));
    let found = found.ok_or_else(|| NamespaceRefusal::Missing(namespace.to_owned()))?;
    if object::is_deleting(&found.value) {
        return Err(NamespaceRefusal::Terminating(namespace.to_owned()));
    }
    Ok(())
}

/// Whether a namespace may be deleted at all; if not it is `this namespace may not be deleted` (403).
#[must_use]
pub fn may_delete_namespace(name: &str) -> bool {
    !IMMORTAL.contains(&name)
}

/// Gives a namespace its service account and the authority's certificate.
pub(crate) fn furnish(world: &World, namespace: &str) -> Result<(), WorkError> {
    let exists = world.get(&NAMESPACE, "", namespace);
    if exists.is_none_or(|found| object::is_deleting(&found.value)) {
        return Ok(());
    }
    for (kind, value) in furniture(namespace, &world.options.authority_pem) {
        if world.get(kind, namespace, object::name(&value)).is_none() {
            world.create(kind, value)?;
        }
    }
    Ok(())
}

fn furniture(namespace: &str, authority_pem: &str) -> [(&'static Kind, Value); 2] {
    let account = json!({"metadata": {"name": "default", "namespace": namespace}});
    let authority = json!({
        "metadata": {
            "name": "kube-root-ca.crt",
            "namespace": namespace,
            "annotations": {"kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."},
        },
        "data": {"ca.crt": authority_pem},
    });
    [(&SERVICE_ACCOUNT, account), (&CONFIG_MAP, authority)]
}

/// Empties a namespace that is being deleted and, once it is empty, lets it go.
pub(crate) fn terminate(world: &World, namespace: &str) -> Result<(), WorkError> {
    let key = NAMESPACE.key("", namespace);
    let Some(current) = world.store.get(&key) else { return Ok(()) };
    if !object::is_deleting(&current.value) {
        return Ok(());
    }
    let content: Vec<ObjectKey> = world.owners.within(namespace).cloned().collect();
    for key in &content {
        world.delete(key, Propagation::Background)?;
    }
    let remaining: Vec<_> = content.iter().filter_map(|key| Some((key, world.store.get(key)?))).collect();
    if remaining.is_empty() {
        return world.update(&key, |value| value["spec"]["finalizers"] = json!([]));
    }
    let mut held: Vec<String> = remaining
        .iter()
        .flat_map(|(_, object)| object::finalizers(&object.value).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    held.sort();
    held.dedup();
    let kinds: std::collections::BTreeSet<String> = remaining.iter().map(|(key, _)| qualified(key)).collect();
    let conditions = conditions(&current.value, &world.stamps, remaining.len(), &kinds, &held);
    world.update(&key, |value| value["status"] = json!({"phase": "Terminating", "conditions": conditions}))
}

fn qualified(key: &ObjectKey) -> String {
    if key.group.is_empty() { format!("{}.", key.resource) } else { format!("{}.{}", key.resource, key.group) }
}

/// The five conditions of a namespace on its way out.
fn conditions(
    current: &Value,
    stamps: &Stamps,
    remaining: usize,
    kinds: &std::collections::BTreeSet<String>,
    held: &[String],
) -> Vec<Value> {
    let kinds: Vec<String> = kinds.iter().map(|kind| format!("{kind} has resource instances")).collect();
    let content = format!("Some resources are remaining: {}", kinds.join(", "));
    let finalizers = format!(
        "Some content in the namespace has finalizers remaining: {}",
        held.iter().map(|name| format!("{name} in {remaining} resource instances")).collect::<Vec<_>>().join(", ")
    );
    let all = [
        ("NamespaceDeletionDiscoveryFailure", false, "ResourcesDiscovered", "All resources successfully discovered"),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        ("NamespaceContentRemaining", true, "SomeResourcesRemain", content.as_str()),
        if held.is_empty() {
            (
                "NamespaceFinalizersRemaining",
                false,
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished",
            )
        } else {
            ("NamespaceFinalizersRemaining", true, "SomeFinalizersRemain", finalizers.as_str())
        },
    ];
    let earlier = |kind: &str, status: &str| -> Option<&str> {
        let conditions = object::get(current, &["status", "conditions"])?.as_array()?;
        let found = conditions.iter().find(|one| one["type"] == kind && one["status"] == status)?;
        found["lastTransitionTime"].as_str()
    };
    all.iter()
        .map(|(kind, status, reason, message)| {
            let status = if *status { "True" } else { "False" };
            let since = earlier(kind, status).map_or_else(|| stamps.now(), str::to_owned);
            json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
        })
        .collect()
}
