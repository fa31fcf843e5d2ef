//! What the API server itself does to an object before it is validated: fields
//! that callers cannot set, generations, and what single kinds get on the way in.

use argosy_model::object;
use serde_json::{Map, Value, json};

use super::api::{Api, EXTENSIONS};

mod services;

use crate::kinds::{Kind, custom};

/// Metadata that a write of the object cannot change.
const IDENTITY: [&str; 9] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
    "selfLink",
];

/// How often a DaemonSet's template has changed, as it was once told.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// First node port.
const NODE_PORTS: std::ops::Range<u64> = 30_000..32_768;

/// Takes out what a caller cannot bring, and says whether that was a status.
pub(super) fn strip_for_create(kind: &Kind, value: &mut Value) -> bool {
    let mut is_changed = false;
    if kind.has_status()
        && let Some(fields) = value.as_object_mut()
    {
        is_changed = fields.remove("status").is_some();
    }
    let Some(metadata) = object::metadata(value) else { return is_changed };
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        metadata.remove(field);
    }
    is_changed
}

/// Completes a new object that has its name and uid. `is_labelled` says whether it came
/// with labels of its own.
pub(super) fn before_create(api: &Api, kind: &Kind, value: &mut Value, is_labelled: bool) {
    if has_generation(kind)
        && let Some(metadata) = object::metadata(value)
    {
        metadata.insert("generation".to_owned(), 1.into());
    }
    match (&*kind.group, &*kind.plural) {
        ("", "namespaces") => namespace(value),
        ("", "services") => service(api, value),
        ("", "persistentvolumeclaims") => add_finalizer(value, "kubernetes.io/pvc-protection"),
        ("", "persistentvolumes") => {
            add_finalizer(value, "kubernetes.io/pv-protection");
            value["status"]["lastPhaseTransitionTime"] = api.stamps.now().into();
        }
        ("", "pods") => {
            value["status"] = json!({"phase": "Pending", "qosClass": quality(value)});
        }
        ("batch", "jobs") => job(value, is_labelled),
        (EXTENSIONS, "customresourcedefinitions") => custom::begin(value),
        _ => {}
    }
}

/// An update changes no identity.
pub(super) fn keep_identity(old: &Value, new: &mut Value) {
    let Some(metadata) = object::metadata(new) else { return };
    for field in IDENTITY {
        match old.get("metadata").and_then(|m| m.get(field)) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
}

/// Takes from the old state what this request cannot change, and counts.
pub(super) fn before_update(api: &Api, kind: &Kind, subresource: &str, old: &Value, new: &mut Value) {
    let part = |value: &Value, name: &str| value.get(name).cloned();
    match subresource {
        "status" => {
            let (status, managed) = (part(new, "status"), new.pointer("/metadata/managedFields").cloned());
            *new = old.clone();
            set(new, "status", status);
            if let (Some(metadata), Some(managed)) = (object::metadata(new), managed) {
                metadata.insert("managedFields".to_owned(), managed);
            }
        }
        "finalize" => {
            let finalizers = new.pointer("/spec/finalizers").cloned();
            *new = old.clone();
            if let Some(spec) = new.get_mut("spec") {
                set(spec, "finalizers", finalizers);
            }
        }
        _ => {
            if kind.has_status() && (kind.group != EXTENSIONS) {
                set(new, "status", part(old, "status"));
            }
            if (&*kind.group, &*kind.plural) == ("", "namespaces") {
                set(new, "spec", part(old, "spec"));
            }
            if (&*kind.group, &*kind.plural) == ("", "services") {
                keep_addresses(old, new);
                services::change(old, new);
                service(api, new);
            }
            if (&*kind.group, &*kind.plural) == ("apps", "daemonsets")
                && old.pointer("/spec/template") != new.pointer("/spec/template")
            {
                let now = object::annotation(old, TEMPLATE_GENERATION).and_then(|text| text.parse::<i64>().ok());
                object::set_annotation(new, TEMPLATE_GENERATION, &(now.unwrap_or(1) + 1).to_string());
            }
        }
    }
    if kind.group == EXTENSIONS && subresource.is_empty() {
        set(new, "status", part(old, "status"));
    }
    if has_generation(kind) && differs(kind, old, new) {
        let generation = object::get(old, &["metadata", "generation"]).and_then(Value::as_i64).unwrap_or(0);
        if let Some(metadata) = object::metadata(new) {
            metadata.insert("generation".to_owned(), (generation + 1).into());
        }
    }
}

/// Whether the kind counts the changes of what is desired.
pub(super) fn has_generation(kind: &Kind) -> bool {
    if kind.custom.is_some() {
        return true;
    }
    match (&*kind.group, &*kind.plural) {
        ("apps", plural) => plural != "controllerrevisions",
        ("", plural) => matches!(plural, "pods" | "replicationcontrollers" | "podtemplates"),
        ("networking.k8s.io", plural) => matches!(plural, "ingresses" | "ingressclasses" | "networkpolicies"),
        ("scheduling.k8s.io", "priorityclasses") => true,
        ("batch" | "policy" | EXTENSIONS | "flowcontrol.apiserver.k8s.io", _) => true,
        ("admissionregistration.k8s.io", _) | ("resource.k8s.io", "resourceslices") => true,
        ("discovery.k8s.io", "endpointslices") => true,
        _ => false,
    }
}

fn differs(kind: &Kind, old: &Value, new: &Value) -> bool {
    let desired = |value: &Value| -> Map<String, Value> {
        let is_desired = |name: &str| {
            !matches!(name, "metadata" | "apiVersion" | "kind")
                && !(name == "status" && (kind.has_status() || kind.custom.is_none()))
        };
        let fields = value.as_object().into_iter().flatten();
        fields.filter(|(name, _)| is_desired(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
    };
    desired(old) != desired(new)
}

fn set(value: &mut Value, field: &str, to: Option<Value>) {
    let Some(fields) = value.as_object_mut() else { return };
    match to {
        Some(to) => fields.insert(field.to_owned(), to),
        None => fields.remove(field),
    };
}

fn add_finalizer(value: &mut Value, finalizer: &str) {
    let Some(metadata) = object::metadata(value) else { return };
    let list = metadata.entry("finalizers").or_insert_with(|| json!([]));
    if let Some(list) = list.as_array_mut()
        && !list.contains(&json!(finalizer))
    {
        list.push(finalizer.into());
    }
}

fn namespace(value: &mut Value) {
    let name = object::name(value).to_owned();
    object::set_label(value, "kubernetes.io/metadata.name", &name);
    value["spec"] = json!({"finalizers": ["kubernetes"]});
    value["status"] = json!({"phase": "Active"});
}

/// A Service's addresses and ports, where they are not given.
fn service(api: &Api, value: &mut Value) {
    let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or("").to_owned();
    if kind == "ExternalName" {
        return;
    }
    let given = spec.get("clusterIP").and_then(Value::as_str).unwrap_or("").to_owned();
    let address = if given.is_empty() { free_address(api) } else { given };
    spec.insert("clusterIP".to_owned(), address.as_str().into());
    spec.entry("clusterIPs".to_owned()).or_insert_with(|| json!([address]));
    spec.entry("ipFamilies".to_owned()).or_insert_with(|| json!(["IPv4"]));
    spec.entry("ipFamilyPolicy".to_owned()).or_insert_with(|| json!("SingleStack"));
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        for port in
            spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
        {
            port.entry("nodePort".to_owned()).or_insert_with(|| free_port(api).into());
        }
    }
    let is_local = spec.get("externalTrafficPolicy") == Some(&json!("Local"));
    if kind == "LoadBalancer" && is_local {
        spec.entry("healthCheckNodePort".to_owned()).or_insert_with(|| free_port(api).into());
    }
}

fn free_address(api: &Api) -> String {
    let (services, _) = api.store.list("", "services", None);
    let mut candidate = String::new();
    for _ in 0..64 {
        let mut bytes = [0_u8; 2];
        api.stamps.bytes(&mut bytes);
        candidate = format!("10.96.{}.{}", bytes[0], bytes[1].clamp(2, 254));
        // Whoever names it anywhere may have it: texts are searched faster than read.
        let taken = format!("\"{candidate}\"");
        if !services.iter().any(|service| service.value.text().contains(&taken)) {
            break;
        }
    }
    candidate
}

fn free_port(api: &Api) -> u64 {
    let mut bytes = [0_u8; 8];
    api.stamps.bytes(&mut bytes);
    NODE_PORTS.start + u64::from_le_bytes(bytes) % (NODE_PORTS.end - NODE_PORTS.start)
}

/// An update that does not name the addresses keeps them.
fn keep_addresses(old: &Value, new: &mut Value) {
    let (Some(before), Some(spec)) =
        (old.get("spec").and_then(Value::as_object), new.get_mut("spec").and_then(Value::as_object_mut))
    else {
        return;
    };
    if spec.get("type").and_then(Value::as_str) == Some("ExternalName") {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
        if let Some(value) = before.get(field) {
            spec.entry(field.to_owned()).or_insert_with(|| value.clone());
        }
    }
    let ports = before.get("ports").and_then(Value::as_array).cloned().unwrap_or_default();
    let exposed = matches!(spec.get("type").and_then(Value::as_str), Some("NodePort" | "LoadBalancer"));
    for port in
        spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
    {
        let same =
            ports.iter().find(|p| p.get("port") == port.get("port") && p.get("protocol") == port.get("protocol"));
        if let Some(node_port) = same.and_then(|p| p.get("nodePort")).filter(|_| exposed) {
            port.entry("nodePort".to_owned()).or_insert_with(|| node_port.clone());
        }
    }
}

/// The quality of service class of a Pod.
fn quality(pod: &Value) -> &'static str {
    let containers =
        ["containers", "initContainers"].iter().filter_map(|l| pod.pointer(&format!("/spec/{l}"))?.as_array());
    let all: Vec<&Value> = containers.flatten().collect();
    let amounts = |c: &Value, what: &str| {
        c.pointer(&format!("/resources/{what}")).and_then(Value::as_object).cloned().unwrap_or_default()
    };
    if all.iter().all(|c| amounts(c, "limits").is_empty() && amounts(c, "requests").is_empty()) {
        return "BestEffort";
    }
    let guaranteed = all.iter().all(|c| {
        let (limits, requests) = (amounts(c, "limits"), amounts(c, "requests"));
        ["cpu", "memory"].iter().all(|r| limits.get(*r).is_some_and(|l| requests.get(*r).is_none_or(|q| q == l)))
    });
    if guaranteed { "Guaranteed" } else { "Burstable" }
}

/// A Job's Pods are found by labels with its uid, which the Job has, too, if its labels
/// are those of its template.
fn job(value: &mut Value, is_labelled: bool) {
    if value.pointer("/spec/manualSelector") == Some(&json!(true)) {
        return;
    }
    let own = object::uid(value).to_owned();
    if let Some(wanted) = value.pointer_mut("/spec/selector/matchLabels").and_then(Value::as_object_mut) {
        wanted.insert("batch.kubernetes.io/controller-uid".to_owned(), own.into());
    }
    let (uid, name) = (object::uid(value).to_owned(), object::name(value).to_owned());
    let labels = [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ];
    if let Some(template) = value.pointer_mut("/spec/template") {
        for (label, text) in labels {
            object::set_label(template, label, text);
        }
    }
    if !is_labelled {
        let template = value.pointer("/spec/template/metadata/labels").cloned();
        if let (Some(metadata), Some(labels)) = (object::metadata(value), template) {
            metadata.insert("labels".to_owned(), labels);
        }
    }
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut)
        && !spec.contains_key("selector")
    {
        spec.insert("selector".to_owned(), json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}));
    }
}
