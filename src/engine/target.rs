//! From rendered manifests to the objects an application wants in its
//! destination: namespaced, tracked, each only once.

use std::collections::HashMap;
use std::sync::Arc;

use argosy_model::tracking::Tracking;
use argosy_model::{Gvk, ResourceKey, object};
use serde_json::Value;

use crate::condition::{Finding, Kind};

/// Where the manifests go and how they are marked.
pub struct TargetContext<'a> {
    /// Instance name of the application, as written on its resources.
    pub instance: &'a str,
    /// `spec.destination.namespace`.
    pub namespace: &'a str,
    /// How ownership is written.
    pub tracking: &'a Tracking,
    /// Whether a type is namespaced in the destination; `None` while unknown.
    pub is_namespaced: &'a dyn Fn(&Gvk) -> Option<bool>,
    /// Whether the settings exclude a type from this destination.
    pub is_excluded: &'a dyn Fn(&Gvk) -> bool,
}

/// What an application wants.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// One object per key, in the order of the source.
    pub objects: Vec<Arc<Value>>,
    /// What was found wrong on the way.
    pub findings: Vec<Finding>,
}

/// Makes target objects of rendered manifests. The manifests themselves are
/// shared by every application with the same source and stay as they are.
pub fn prepare_targets(manifests: &[Arc<Value>], context: &TargetContext<'_>) -> Targets {
    let mut targets = Targets::default();
    let mut seen: HashMap<ResourceKey, (usize, usize)> = HashMap::new();
    for manifest in manifests {
        let gvk = Gvk::of(manifest);
        if (context.is_excluded)(&gvk) {
            let message =
                format!("Resource {}/{} {} is excluded in the settings", gvk.group, gvk.kind, object::name(manifest));
            targets.findings.push(Finding::new(Kind::ExcludedResourceWarning, message));
            continue;
        }
        let target = prepare(manifest, &gvk, context, &mut targets.findings);
        // Objects that get their name from the server are different every time.
        if object::name(&target).is_empty() && !object::generate_name(&target).is_empty() {
            targets.objects.push(Arc::new(target));
            continue;
        }
        let key = ResourceKey::of(&target);
        match seen.get_mut(&key) {
            Some((place, count)) => {
                *count += 1;
                targets.objects[*place] = Arc::new(target);
            }
            None => {
                seen.insert(key, (targets.objects.len(), 1));
                targets.objects.push(Arc::new(target));
            }
        }
    }
    let mut repeated: Vec<_> = seen.into_iter().filter(|(_, (_, count))| *count > 1).collect();
    repeated.sort();
    for (key, (_, count)) in repeated {
        let message = format!("Resource {key} appeared {count} times among application resources.");
        targets.findings.push(Finding::new(Kind::RepeatedResourceWarning, message));
    }
    targets
}

fn prepare(manifest: &Value, gvk: &Gvk, context: &TargetContext<'_>, findings: &mut Vec<Finding>) -> Value {
    let mut target = manifest.clone();
    match (context.is_namespaced)(gvk) {
        Some(false) => object::set_namespace(&mut target, ""),
        Some(true) if object::namespace(&target).is_empty() => {
            if context.namespace.is_empty() {
                let message = format!("Namespace for {} {} is missing.", object::name(manifest), describe(gvk));
                findings.push(Finding::new(Kind::InvalidSpecError, message));
            }
            object::set_namespace(&mut target, context.namespace);
        }
        _ => {}
    }
    if !is_crd(gvk) {
        // Argo CD names the destination's namespace where an object has none, so that
        // what it has marked stays as it is, and a type's scope need not be known.
        let namespace = match object::namespace(&target) {
            "" => context.namespace.to_owned(),
            own => own.to_owned(),
        };
        context.tracking.set(&mut target, context.instance, &namespace);
    }
    target
}

/// A type as the messages of the Kubernetes world write it.
fn describe(gvk: &Gvk) -> String {
    format!("{}/{}, Kind={}", gvk.group, gvk.version, gvk.kind)
}

/// Definitions outlive applications, so ownership is not written on them.
fn is_crd(gvk: &Gvk) -> bool {
    &*gvk.group == "apiextensions.k8s.io" && &*gvk.kind == "CustomResourceDefinition"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn prepared(manifests: &[Value], namespace: &str) -> Targets {
        let tracking = Tracking::default();
        let context = TargetContext {
            instance: "app",
            namespace,
            tracking: &tracking,
            is_namespaced: &|gvk| match &*gvk.kind {
                "Namespace" => Some(false),
                "Later" => None,
                _ => Some(true),
            },
            is_excluded: &|gvk| &*gvk.kind == "Lease",
        };
        let manifests: Vec<_> = manifests.iter().cloned().map(Arc::new).collect();
        prepare_targets(&manifests, &context)
    }

    fn config_map(name: &str, data: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": data}})
    }

    #[test]
    fn namespaces_are_filled_in_and_cleared_as_the_type_asks() {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "namespace": "x"}});
        let targets = prepared(&[config_map("a", "1"), namespace], "n");
        assert_eq!(object::namespace(&targets.objects[0]), "n");
        assert_eq!(object::namespace(&targets.objects[1]), "");
        assert_eq!(
            object::annotation(&targets.objects[0], "argocd.argoproj.io/tracking-id"),
            Some("app:/ConfigMap:n/a")
        );
        assert_eq!(
            object::annotation(&targets.objects[1], "argocd.argoproj.io/tracking-id"),
            Some("app:/Namespace:n/a"),
            "as Argo CD marks what belongs to the cluster"
        );
    }

    #[test]
    fn a_repeated_resource_is_kept_once_and_reported() {
        let targets = prepared(&[config_map("a", "1"), config_map("b", "1"), config_map("a", "2")], "n");
        assert_eq!(targets.objects.len(), 2);
        assert_eq!(targets.objects[0]["data"]["k"], "2");
        assert_eq!(
            targets.findings[0].message,
            "Resource /ConfigMap/n/a appeared 2 times among application resources."
        );
    }

    #[test]
    fn an_excluded_kind_and_a_missing_namespace_are_reported() {
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}});
        let targets = prepared(&[lease, config_map("a", "1")], "");
        let kinds: Vec<_> = targets.findings.iter().map(|f| f.kind).collect();
        assert_eq!(kinds, [Kind::ExcludedResourceWarning, Kind::InvalidSpecError]);
    }
}
