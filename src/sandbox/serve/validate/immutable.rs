//! What cannot be changed once it is there.

use serde_json::{Map, Value, json};

use super::texts::text;
use crate::failure::Fault;
use crate::kinds::Kind;

const IMMUTABLE: &str = "field is immutable";

/// Fields of a kind that stay what they are: pointer and field.
fn fixed_fields(group: &str, plural: &str) -> &'static [(&'static str, &'static str)] {
    match (group, plural) {
        ("apps", "deployments" | "replicasets" | "daemonsets") => &[("/spec/selector", "spec.selector")],
        ("apps", "controllerrevisions") => &[("/data", "data")],
        ("storage.k8s.io", "storageclasses") => &[
            ("/parameters", "parameters"),
            ("/provisioner", "provisioner"),
            ("/reclaimPolicy", "reclaimPolicy"),
            ("/volumeBindingMode", "volumeBindingMode"),
        ],
        ("networking.k8s.io", "ingressclasses") => &[("/spec/controller", "spec.controller")],
        ("node.k8s.io", "runtimeclasses") => &[("/handler", "handler")],
        ("discovery.k8s.io", "endpointslices") => &[("/addressType", "addressType")],
        ("apiextensions.k8s.io", "customresourcedefinitions") => &[
            ("/spec/group", "spec.group"),
            ("/spec/scope", "spec.scope"),
            ("/spec/names/kind", "spec.names.kind"),
            ("/spec/names/plural", "spec.names.plural"),
        ],
        ("batch", "jobs") => &[("/spec/selector", "spec.selector"), ("/spec/completionMode", "spec.completionMode")],
        _ => &[],
    }
}

pub(super) fn all(kind: &Kind, old: &Value, new: &Value, faults: &mut Vec<Fault>) {
    let changed = |path: &str| old.pointer(path) != new.pointer(path);
    let mut refuse = |pointer: &str, field: &str| {
        if changed(pointer) {
            faults.push(Fault::invalid(field, new.pointer(pointer).unwrap_or(&Value::Null), IMMUTABLE));
        }
    };
    for (pointer, field) in fixed_fields(&kind.group, &kind.plural) {
        refuse(pointer, field);
    }
    match (&*kind.group, &*kind.plural) {
        ("apps", "statefulsets") => stateful_set(old, new, faults),
        ("batch", "jobs") => {
            let is_indexed = text(old, "/spec/completionMode") == "Indexed";
            if !is_indexed {
                refuse("/spec/completions", "spec.completions");
            }
            let resumes = old.pointer("/spec/suspend") == Some(&json!(true));
            if !resumes {
                refuse("/spec/template", "spec.template");
            }
        }
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") if changed("/roleRef") => {
            let part = |name: &str| new.pointer(&format!("/roleRef/{name}")).cloned().unwrap_or(Value::Null);
            let shown = json!({"APIGroup": part("apiGroup"), "Kind": part("kind"), "Name": part("name")});
            faults.push(Fault::invalid("roleRef", &shown, "cannot change roleRef"));
        }
        ("", "services") => {
            let name = |v: &Value| v.pointer("/spec/type").cloned();
            if name(old) == name(new) {
                let address = text(old, "/spec/clusterIP");
                if !address.is_empty() && changed("/spec/clusterIP") {
                    let shown = new.pointer("/spec/clusterIP").cloned().unwrap_or(Value::Null);
                    faults.push(Fault::invalid("spec.clusterIPs[0]", &json!([shown]), "may not change once set"));
                }
            }
        }
        ("", "configmaps" | "secrets") => frozen(kind, old, new, faults),
        ("", "persistentvolumeclaims") => claim(old, new, faults),
        ("", "pods") => pod(old, new, faults),
        ("scheduling.k8s.io", "priorityclasses") => {
            for field in ["value", "preemptionPolicy"] {
                if changed(&format!("/{field}")) {
                    faults.push(Fault::forbidden(field, "may not be changed in an update."));
                }
            }
        }
        _ => {}
    }
}

fn stateful_set(old: &Value, new: &Value, faults: &mut Vec<Fault>) {
    const CHANGEABLE: [&str; 8] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
        "status",
    ];
    let fixed = |value: &Value| -> Map<String, Value> {
        let spec = value.get("spec").and_then(Value::as_object).into_iter().flatten();
        spec.filter(|(name, _)| !CHANGEABLE.contains(&name.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect()
    };
    if fixed(old) != fixed(new) {
        faults.push(Fault::forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
             'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ));
    }
}

fn frozen(kind: &Kind, old: &Value, new: &Value, faults: &mut Vec<Fault>) {
    if kind.plural == "secrets" && old.get("type") != new.get("type") {
        faults.push(Fault::invalid("type", new.get("type").unwrap_or(&Value::Null), IMMUTABLE));
    }
    if old.get("immutable") != Some(&json!(true)) {
        return;
    }
    let detail = "field is immutable when `immutable` is set";
    if new.get("immutable") != Some(&json!(true)) {
        faults.push(Fault::forbidden("immutable", detail));
    }
    for field in ["data", "binaryData"] {
        if old.get(field) != new.get(field) {
            faults.push(Fault::forbidden(field, detail));
        }
    }
}

fn claim(old: &Value, new: &Value, faults: &mut Vec<Fault>) {
    let fixed = |value: &Value| {
        let mut spec = value.get("spec").cloned().unwrap_or(Value::Null);
        if let Some(spec) = spec.as_object_mut() {
            for field in ["resources", "volumeName", "volumeAttributesClassName"] {
                spec.remove(field);
            }
        }
        spec
    };
    if fixed(old) != fixed(new) {
        faults.push(Fault::forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        ));
    }
}

fn pod(old: &Value, new: &Value, faults: &mut Vec<Fault>) {
    let fixed = |value: &Value| {
        let mut spec = value.get("spec").cloned().unwrap_or(Value::Null);
        if let Some(spec) = spec.as_object_mut() {
            for field in
                ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates", "nodeName"]
            {
                spec.remove(field);
            }
            for list in ["containers", "initContainers"] {
                for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Some(container) = container.as_object_mut() {
                        container.remove("image");
                    }
                }
            }
        }
        spec
    };
    if fixed(old) != fixed(new) {
        faults.push(Fault::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
             `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ));
    }
}
