//! Leases, Events, PriorityClasses, APIServices and webhooks.

use argosy_model::object;
use serde_json::{Value, json};

use super::texts::{items, one_of, text};
use crate::failure::Fault;

/// The greatest priority that is not the system's own.
const HIGHEST_PRIORITY: i64 = 1_000_000_000;

pub(super) fn lease(value: &Value, faults: &mut Vec<Fault>) {
    let number = |field: &str| value.pointer(&format!("/spec/{field}")).and_then(Value::as_i64);
    if let Some(seconds) = number("leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
        faults.push(Fault::invalid("spec.leaseDurationSeconds", &seconds.into(), "must be greater than 0"));
    }
    if let Some(count) = number("leaseTransitions").filter(|count| *count < 0) {
        let detail = "must be greater than or equal to 0";
        faults.push(Fault::invalid("spec.leaseTransitions", &count.into(), detail));
    }
}

/// An Event is where what it is about is.
pub(super) fn event(group: &str, value: &Value, faults: &mut Vec<Fault>) {
    let field = if group.is_empty() { "involvedObject" } else { "regarding" };
    let given = text(value, &format!("/{field}/namespace"));
    let place = object::namespace(value);
    let is_of_cluster = given.is_empty() && matches!(place, "default" | "kube-system");
    if group.is_empty() && given != place && !is_of_cluster {
        faults.push(Fault::invalid("involvedObject.namespace", &given.into(), "does not match event.namespace"));
    }
    if group.is_empty() {
        return;
    }
    if value.get("eventTime").is_none_or(Value::is_null) {
        faults.push(Fault::required("eventTime", ""));
    }
    let kind = text(value, "/type");
    if !matches!(kind, "Normal" | "Warning") {
        faults.push(Fault::invalid("type", &kind.into(), &format!("has invalid value: {kind}")));
    }
}

pub(super) fn priority(value: &Value, faults: &mut Vec<Fault>) {
    let name = object::name(value);
    let number = value.get("value").and_then(Value::as_i64).unwrap_or(0);
    if name.starts_with("system-") {
        if !matches!(name, "system-node-critical" | "system-cluster-critical") {
            let detail = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {name} is not a known \
                 system priority class"
            );
            faults.push(Fault::forbidden("metadata.name", &detail));
        }
    } else if number > HIGHEST_PRIORITY {
        let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_PRIORITY}");
        faults.push(Fault::forbidden("value", &detail));
    }
    one_of("preemptionPolicy", value.get("preemptionPolicy"), &["Never", "PreemptLowerPriority"], faults);
}

pub(super) fn api_service(value: &Value, faults: &mut Vec<Fault>) {
    let (version, group) = (text(value, "/spec/version"), text(value, "/spec/group"));
    let wanted = format!("{version}.{group}");
    if object::name(value) != wanted {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {}", json!(wanted));
        faults.push(Fault::invalid("metadata.name", &object::name(value).into(), &detail));
    }
}

pub(super) fn webhooks(value: &Value, faults: &mut Vec<Fault>) {
    for (i, hook) in items(value, "/webhooks") {
        let place = format!("webhooks[{i}]");
        let name = text(hook, "/name");
        if name.split('.').count() < 3 {
            let detail = "should be a domain with at least three segments separated by dots";
            faults.push(Fault::invalid(format!("{place}.name"), &name.into(), detail));
        }
        match hook.get("sideEffects").filter(|effects| !effects.is_null()) {
            None => {
                let detail = "must specify one of None, NoneOnDryRun";
                faults.push(Fault::required(format!("{place}.sideEffects"), detail));
            }
            effects => one_of(format!("{place}.sideEffects"), effects, &["None", "NoneOnDryRun"], faults),
        }
        let client = hook.get("clientConfig").cloned().unwrap_or_else(|| json!({}));
        if client.get("url").is_some() == client.get("service").is_some() {
            let detail = "exactly one of url or service is required";
            faults.push(Fault::required(format!("{place}.clientConfig"), detail));
        }
        if items(hook, "/admissionReviewVersions").next().is_none() {
            let detail = "must specify one of v1, v1beta1";
            faults.push(Fault::required(format!("{place}.admissionReviewVersions"), detail));
        }
    }
}
