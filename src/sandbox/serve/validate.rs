//! What is refused about an object's content, in the API server's words: names and
//! labels of every kind, schemas of custom ones, and of Kubernetes' own kinds the
//! rules that users run into.

mod access;
mod batch;
mod configuration;
mod definition;
mod immutable;
mod machinery;
mod metadata;
mod network;
mod pod;
mod scaling;
mod schedule;
mod selector;
mod service;
mod storage;
mod texts;
mod volumes;
mod workload;

pub(in crate::serve) use self::texts::{not_label_value, not_qualified};

use argosy_model::object;
use serde_json::{Value, json};

use super::api::EXTENSIONS;
use crate::failure::Fault;
use crate::kinds::Kind;
use crate::kinds::custom::CustomVersion;

/// Where one of these is wrong, rules are not looked at.
const BLOCKING: [&str; 5] =
    ["FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid"];

/// How often the metadata of a change is looked at, and its faults are told.
const LOOKS_AT_CHANGES: usize = 4;

/// What is wrong with a new object.
pub(super) fn create(kind: &Kind, value: &Value, warnings: &mut Vec<String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    metadata::name(kind, value, &mut faults);
    metadata::all(kind, value, (1, 1), &mut faults);
    match (&*kind.group, &*kind.plural) {
        ("batch", "cronjobs") => {
            content(kind, value, &mut faults);
            batch::cron_job_name(value, &mut faults);
        }
        (EXTENSIONS, "customresourcedefinitions") => {
            definition::name(value, &mut faults);
            content(kind, value, &mut faults);
        }
        _ => content(kind, value, &mut faults),
    }
    rules(kind, value, None, &mut faults, warnings);
    faults
}

/// What is wrong with a change.
pub(super) fn update(
    kind: &Kind,
    subresource: &str,
    old: &Value,
    new: &Value,
    warnings: &mut Vec<String>,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let times = if kind.custom.is_some() { (1, 1) } else { (LOOKS_AT_CHANGES, 2) };
    metadata::all(kind, new, times, &mut faults);
    metadata::late_finalizers(old, new, &mut faults);
    let is_whole = subresource.is_empty();
    if is_whole || kind.custom.is_some() {
        // Services and Pods are compared first.
        let first = matches!((&*kind.group, &*kind.plural), ("", "services" | "pods") | ("apps", "daemonsets"));
        if first {
            immutable::all(kind, old, new, &mut faults);
        }
        content(kind, new, &mut faults);
        if kind.group == "batch" && kind.plural == "jobs" {
            batch::unselected(new, &mut faults);
        }
        if !first {
            immutable::all(kind, old, new, &mut faults);
        }
    } else if (&*kind.group, &*kind.plural, subresource) == ("apps", "deployments", "status") {
        workload::deployment_status(new, &mut faults);
    }
    rules(kind, new, Some(old), &mut faults, warnings);
    faults
}

/// Rules are for what is right otherwise.
fn rules(kind: &Kind, new: &Value, old: Option<&Value>, faults: &mut Vec<Fault>, warnings: &mut Vec<String>) {
    let Some(custom) = kind.custom.as_ref().filter(|custom| custom.has_rules()) else { return };
    if faults.iter().any(|fault| BLOCKING.contains(&fault.reason)) {
        let detail = "some validation rules were not checked because the object was invalid; correct the existing errors \
                      to complete validation";
        faults.push(Fault::invalid("<nil>", &Value::Null, detail));
    } else {
        custom.judge(new, old, faults, warnings);
    }
}

fn content(kind: &Kind, value: &Value, faults: &mut Vec<Fault>) {
    if let Some(custom) = &kind.custom {
        custom.validate(value, faults);
        replicas(custom, value, faults);
        return;
    }
    match (&*kind.group, &*kind.plural) {
        ("apps", "controllerrevisions") => workload::revision(value, faults),
        ("apps", plural) => workload::all(plural, value, faults),
        ("", "replicationcontrollers") => workload::all("replicationcontrollers", value, faults),
        ("batch", "jobs") => batch::job(value, faults),
        ("batch", "cronjobs") => batch::cron_job(value, faults),
        ("", "pods") => pod::spec(value.get("spec"), "spec", &[], faults),
        ("", "podtemplates") => pod::template(value.get("template"), "template", faults),
        ("", "services") => service::all(value, faults),
        ("", "configmaps") => configuration::config_map(value, faults),
        ("", "secrets") => configuration::secret(value, faults),
        ("", "persistentvolumeclaims") => storage::claim(value, faults),
        ("", "persistentvolumes") => storage::volume(value, faults),
        ("storage.k8s.io", "storageclasses") => storage::class(value, faults),
        ("networking.k8s.io", "ingresses") => network::ingress(value, faults),
        ("networking.k8s.io", "ingressclasses") => network::ingress_class(value, faults),
        ("networking.k8s.io", "networkpolicies") => network::policy(value, faults),
        ("discovery.k8s.io", "endpointslices") => network::endpoint_slice(value, faults),
        ("autoscaling", _) => scaling::autoscaler(value, faults),
        ("policy", "poddisruptionbudgets") => scaling::budget(value, faults),
        ("rbac.authorization.k8s.io", "roles" | "clusterroles") => access::role(kind.namespaced, value, faults),
        ("rbac.authorization.k8s.io", _) => access::binding(kind.namespaced, value, faults),
        ("coordination.k8s.io", "leases") => machinery::lease(value, faults),
        ("" | "events.k8s.io", "events") => machinery::event(&kind.group, value, faults),
        ("scheduling.k8s.io", "priorityclasses") => machinery::priority(value, faults),
        ("apiregistration.k8s.io", _) => machinery::api_service(value, faults),
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations" | "mutatingwebhookconfigurations") => {
            machinery::webhooks(value, faults);
        }
        (EXTENSIONS, "customresourcedefinitions") => definition::content(value, faults),
        _ => {}
    }
}

/// Where a custom kind scales, there is a number.
fn replicas(custom: &CustomVersion, value: &Value, faults: &mut Vec<Fault>) {
    let Some(scale) = &custom.scale else { return };
    let path: Vec<&str> = scale.spec.split('.').filter(|part| !part.is_empty()).collect();
    let (given, shown) = match object::get(value, &path) {
        None | Some(Value::Number(_)) => return,
        Some(Value::String(text)) => ("string", text.clone()),
        Some(Value::Bool(flag)) => ("bool", flag.to_string()),
        Some(other) if other.is_object() => ("map[string]interface {}", other.to_string()),
        Some(other) => ("[]interface {}", other.to_string()),
    };
    let detail = format!("{} accessor error: {shown} is of the type {given}, expected int64", scale.spec);
    faults.push(Fault::invalid(scale.spec.clone(), &0.into(), &detail));
}

/// What is done all the same, and told.
pub(super) fn warnings(kind: &Kind, value: &Value) -> Vec<String> {
    let mut all = Vec::new();
    if kind.custom.is_some() {
        let names = object::finalizers(value).filter(|name| !name.contains('/'));
        let odd = names.filter(|name| !matches!(*name, "orphan" | "foregroundDeletion" | "kubernetes"));
        all.extend(odd.map(|name| {
            format!(
                "metadata.finalizers: {}: prefer a domain-qualified finalizer name to avoid accidental conflicts with \
                 other finalizer writers",
                json!(name)
            )
        }));
    }
    if (&*kind.group, &*kind.plural) == ("", "services") {
        let addresses = value.pointer("/spec/externalIPs").and_then(Value::as_array);
        if addresses.is_some_and(|addresses| !addresses.is_empty()) {
            all.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned());
        }
    }
    all
}
