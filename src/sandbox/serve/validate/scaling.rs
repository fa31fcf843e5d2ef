//! HorizontalPodAutoscalers and PodDisruptionBudgets.

use serde_json::{Value, json};

use super::selector;
use super::texts::{at_most_everything, count_or_percent, text};
use crate::failure::Fault;

pub(super) fn autoscaler(value: &Value, faults: &mut Vec<Fault>) {
    let nothing = json!({});
    let spec = value.get("spec").unwrap_or(&nothing);
    let least = spec.get("minReplicas").and_then(Value::as_i64).unwrap_or(1);
    let most = spec.get("maxReplicas").and_then(Value::as_i64).unwrap_or(0);
    if least < 1 {
        faults.push(Fault::invalid("spec.minReplicas", &least.into(), "must be greater than or equal to 1"));
    }
    if most < 1 {
        faults.push(Fault::required("spec.maxReplicas", "must be set and greater than 0"));
    }
    if most < least {
        let detail = "must be greater than or equal to `minReplicas`";
        faults.push(Fault::invalid("spec.maxReplicas", &most.into(), detail));
    }
    for field in ["kind", "name"] {
        if text(spec, &format!("/scaleTargetRef/{field}")).is_empty() {
            faults.push(Fault::required(format!("spec.scaleTargetRef.{field}"), ""));
        }
    }
    let version = text(spec, "/scaleTargetRef/apiVersion");
    let is_core = text(spec, "/scaleTargetRef/kind") == "ReplicationController";
    if version.is_empty() || (!version.contains('/') && !is_core) {
        let detail = "apiVersion must specify API group";
        faults.push(Fault::invalid("spec.scaleTargetRef.apiVersion", &version.into(), detail));
    }
    if least == 0 {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        faults.push(Fault::forbidden("spec.metrics", detail));
    }
}

pub(super) fn budget(value: &Value, faults: &mut Vec<Fault>) {
    let nothing = json!({});
    let spec = value.get("spec").unwrap_or(&nothing);
    let given = |field: &str| spec.get(field).filter(|value| !value.is_null());
    if let (Some(least), Some(most)) = (given("minAvailable"), given("maxUnavailable")) {
        let message = format!(
            "Invalid value: {{\"MinAvailable\":{least},\"Selector\":{},\"MaxUnavailable\":{most},\
             \"UnhealthyPodEvictionPolicy\":null}}: minAvailable and maxUnavailable cannot be both set",
            given("selector").unwrap_or(&Value::Null)
        );
        faults.push(Fault { reason: "FieldValueInvalid", field: "spec".to_owned(), message });
    }
    for field in ["minAvailable", "maxUnavailable"] {
        let place = format!("spec.{field}");
        count_or_percent(&place, given(field), faults);
        at_most_everything(&place, given(field), faults);
    }
    if let Some(pods) = given("selector") {
        selector::all("spec.selector", pods, faults);
    }
}
