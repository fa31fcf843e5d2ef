//! Deployments, ReplicaSets, StatefulSets, DaemonSets and ReplicationControllers.

use serde_json::{Map, Value, json};

use super::texts::{at_most_everything, count_or_percent, items, not_negative, one_of, text};
use super::{pod, selector};
use crate::failure::Fault;

const MISMATCH: &str = "`selector` does not match template `labels`";

pub(super) fn all(plural: &str, value: &Value, faults: &mut Vec<Fault>) {
    let nothing = json!({});
    let spec = value.get("spec").unwrap_or(&nothing);
    if plural == "replicationcontrollers" {
        replication_controller(spec, faults);
        return;
    }
    let claims: Vec<&str> =
        items(spec, "/volumeClaimTemplates").map(|(_, claim)| text(claim, "/metadata/name")).collect();
    if plural == "statefulsets" {
        stateful_set(spec, faults);
    } else if plural != "daemonsets" {
        not_negative(spec, "spec", &["replicas"], faults);
    }
    // ReplicaSets say this before they look at the selector.
    if plural == "replicasets" {
        not_negative(spec, "spec", &["minReadySeconds"], faults);
    }
    let is_good = selected(plural, spec, faults);
    if is_good {
        pod::template_with(spec.get("template"), "spec.template", &claims, faults);
    }
    let policy = spec.pointer("/template/spec/restartPolicy");
    if let Some(policy) = policy.filter(|p| is_good && **p != json!("Always")) {
        let known = ["Always", "OnFailure", "Never"];
        // What no Pod can have is said once.
        if policy.as_str().is_some_and(|policy| known.contains(&policy)) {
            faults.push(Fault::unsupported("spec.template.spec.restartPolicy", policy, &["Always"]));
        }
    }
    match plural {
        "deployments" => {
            strategy(spec.get("strategy"), faults);
            not_negative(spec, "spec", &["minReadySeconds", "revisionHistoryLimit"], faults);
            let seconds = spec.get("progressDeadlineSeconds").and_then(Value::as_i64);
            let least = spec.get("minReadySeconds").and_then(Value::as_i64).unwrap_or(0);
            if let Some(seconds) = seconds {
                not_negative(spec, "spec", &["progressDeadlineSeconds"], faults);
                if seconds <= least {
                    let detail = "must be greater than minReadySeconds";
                    faults.push(Fault::invalid("spec.progressDeadlineSeconds", &seconds.into(), detail));
                }
            }
        }
        "daemonsets" => not_negative(spec, "spec", &["minReadySeconds", "revisionHistoryLimit"], faults),
        _ => {}
    }
}

/// The selector, and whether it selects the template; `false` when it is none.
fn selected(plural: &str, spec: &Value, faults: &mut Vec<Fault>) -> bool {
    let labels = spec.pointer("/template/metadata/labels");
    let shown = || labels.cloned().unwrap_or(Value::Null);
    let Some(given) = spec.get("selector").filter(|selector| !selector.is_null()) else {
        if plural != "daemonsets" {
            faults.push(Fault::required("spec.selector", ""));
        }
        faults.push(Fault::invalid("spec.template.metadata.labels", &shown(), MISMATCH));
        return true;
    };
    let before = faults.len();
    selector::all("spec.selector", given, faults);
    let kind = match plural {
        "deployments" => "deployment",
        "statefulsets" => "statefulset",
        "daemonsets" => "daemonset",
        _ => "replicaset",
    };
    if selector::is_empty(given) {
        let detail = format!("empty selector is invalid for {kind}");
        faults.push(Fault::invalid("spec.selector", given, &detail));
    }
    if faults.len() > before && !selector::is_empty(given) {
        faults.push(Fault::invalid("spec.selector", given, "invalid label selector"));
        return false;
    }
    let none = Map::new();
    if !selector::is_empty(given) && !selector::matches(given, labels.and_then(Value::as_object).unwrap_or(&none)) {
        faults.push(Fault::invalid("spec.template.metadata.labels", &shown(), MISMATCH));
    }
    true
}

fn strategy(strategy: Option<&Value>, faults: &mut Vec<Fault>) {
    let Some(strategy) = strategy else { return };
    let rolling = strategy.get("rollingUpdate").filter(|rolling| !rolling.is_null());
    let field = "spec.strategy.rollingUpdate";
    match text(strategy, "/type") {
        "Recreate" => {
            if rolling.is_some() {
                let detail = "may not be specified when strategy `type` is 'Recreate'";
                faults.push(Fault::forbidden(field, detail));
            }
        }
        "RollingUpdate" => {
            let Some(rolling) = rolling else { return };
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            count_or_percent(&format!("{field}.maxUnavailable"), unavailable, faults);
            count_or_percent(&format!("{field}.maxSurge"), surge, faults);
            let is_none = |value: Option<&Value>| value.is_none_or(|v| *v == json!(0) || *v == json!("0%"));
            if is_none(unavailable) && is_none(surge) {
                let shown = unavailable.cloned().unwrap_or(json!(0));
                let detail = "may not be 0 when `maxSurge` is 0";
                faults.push(Fault::invalid(format!("{field}.maxUnavailable"), &shown, detail));
            }
            at_most_everything(&format!("{field}.maxUnavailable"), unavailable, faults);
        }
        other => {
            let message = format!(
                "Unsupported value: {{\"Type\":{},\"RollingUpdate\":null}}: supported values: \"Recreate\", \"RollingUpdate\"",
                json!(other)
            );
            faults.push(Fault { reason: "FieldValueNotSupported", field: "spec.strategy".to_owned(), message });
        }
    }
}

fn stateful_set(spec: &Value, faults: &mut Vec<Fault>) {
    let policy = text(spec, "/podManagementPolicy");
    if !matches!(policy, "" | "OrderedReady" | "Parallel") {
        let detail = "must be 'OrderedReady' or 'Parallel'";
        faults.push(Fault::invalid("spec.podManagementPolicy", &policy.into(), detail));
    }
    let kind = text(spec, "/updateStrategy/type");
    if !matches!(kind, "" | "RollingUpdate" | "OnDelete") {
        let message = format!(
            "Invalid value: {{\"Type\":{},\"RollingUpdate\":null}}: must be 'RollingUpdate' or 'OnDelete'",
            json!(kind)
        );
        faults.push(Fault { reason: "FieldValueInvalid", field: "spec.updateStrategy".to_owned(), message });
    }
    for field in ["whenDeleted", "whenScaled"] {
        let place = format!("spec.persistentVolumeClaimRetentionPolicy.{field}");
        let given = spec.pointer(&format!("/persistentVolumeClaimRetentionPolicy/{field}"));
        one_of(place, given, &["Delete", "Retain"], faults);
    }
    not_negative(spec, "spec", &["replicas", "minReadySeconds"], faults);
}

fn replication_controller(spec: &Value, faults: &mut Vec<Fault>) {
    not_negative(spec, "spec", &["minReadySeconds"], faults);
    let wanted = spec.get("selector").and_then(Value::as_object).filter(|labels| !labels.is_empty());
    if wanted.is_none() {
        faults.push(Fault::required("spec.selector", ""));
    }
    not_negative(spec, "spec", &["replicas"], faults);
    let Some(template) = spec.get("template").filter(|template| template.is_object()) else {
        faults.push(Fault::required("spec.template", ""));
        return;
    };
    let labels = template.pointer("/metadata/labels").and_then(Value::as_object);
    let is_selected = wanted.into_iter().flatten().all(|(key, value)| labels.and_then(|l| l.get(key)) == Some(value));
    if !is_selected {
        let shown = labels.cloned().map_or(Value::Null, Value::Object);
        faults.push(Fault::invalid("spec.template.metadata.labels", &shown, MISMATCH));
    }
    pod::template(Some(template), "spec.template", faults);
}

/// The numbers of a Deployment's status agree with each other.
pub(super) fn deployment_status(value: &Value, faults: &mut Vec<Fault>) {
    let nothing = json!({});
    let status = value.get("status").unwrap_or(&nothing);
    let number = |field: &str| status.get(field).and_then(Value::as_i64).unwrap_or(0);
    let counts = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
    ];
    not_negative(status, "status", &counts, faults);
    for field in ["updatedReplicas", "readyReplicas", "availableReplicas"] {
        if number(field) > number("replicas") {
            let detail = "cannot be greater than status.replicas";
            faults.push(Fault::invalid(format!("status.{field}"), &number(field).into(), detail));
        }
    }
    if number("availableReplicas") > number("readyReplicas") {
        let shown = number("availableReplicas").into();
        faults.push(Fault::invalid("status.availableReplicas", &shown, "cannot be greater than readyReplicas"));
    }
}

/// A revision has its data.
pub(super) fn revision(value: &Value, faults: &mut Vec<Fault>) {
    if let Some(number) = value.get("revision").and_then(Value::as_i64).filter(|number| *number < 0) {
        faults.push(Fault::invalid("revision", &number.into(), "must be greater than or equal to 0"));
    }
    if value.get("data").is_none_or(Value::is_null) {
        faults.push(Fault::required("data", "data is mandatory"));
    }
}
