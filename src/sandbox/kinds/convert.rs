//! From one version of a kind to another. Custom resources differ in nothing but
//! the name of the version; of Kubernetes' own kinds, HorizontalPodAutoscaler is
//! the one that has two.

use serde_json::{Map, Value, json};

use super::Kind;

/// An object as `kind`'s version has it.
pub fn convert(mut object: Value, kind: &Kind) -> Value {
    let wanted = kind.api_version();
    let from = object.get("apiVersion").and_then(Value::as_str).unwrap_or("").to_owned();
    if from == wanted {
        return object;
    }
    match (from.as_str(), wanted.as_str()) {
        ("autoscaling/v2", "autoscaling/v1") => scaler_to_v1(&mut object),
        ("autoscaling/v1", "autoscaling/v2") => scaler_to_v2(&mut object),
        _ => {}
    }
    if let Some(fields) = object.as_object_mut() {
        fields.insert("apiVersion".to_owned(), wanted.into());
        fields.insert("kind".to_owned(), kind.kind.as_str().into());
    }
    object
}

const CPU: &str = "targetCPUUtilizationPercentage";

fn is_cpu(metric: &Value) -> bool {
    metric.pointer("/resource/name") == Some(&json!("cpu"))
        && metric.pointer("/resource/target/type") == Some(&json!("Utilization"))
}

fn scaler_to_v1(object: &mut Value) {
    // Both versions count alike, but only the old one says so when it is nothing.
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("currentMetrics");
        status.remove("conditions");
    }
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let Some(Value::Array(metrics)) = spec.remove("metrics") else { return };
    let (cpu, others): (Vec<Value>, Vec<Value>) = metrics.into_iter().partition(is_cpu);
    if let Some(percent) = cpu.first().and_then(|m| m.pointer("/resource/target/averageUtilization")) {
        spec.insert(CPU.to_owned(), percent.clone());
    }
    let behavior = spec.remove("behavior");
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    let Some(annotations) = metadata.and_then(|m| m.entry("annotations").or_insert(json!({})).as_object_mut()) else {
        return;
    };
    if !others.is_empty() {
        annotations.insert("autoscaling.alpha.kubernetes.io/metrics".to_owned(), json!(others).to_string().into());
    }
    if let Some(behavior) = behavior {
        annotations.insert("autoscaling.alpha.kubernetes.io/behavior".to_owned(), behavior.to_string().into());
    }
    drop_empty(object);
}

fn scaler_to_v2(object: &mut Value) {
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        if status.get("currentReplicas") == Some(&json!(0)) {
            status.remove("currentReplicas");
        }
        status.entry("currentMetrics").or_insert(Value::Null);
    }
    let mut taken = |name: &str| -> Option<Value> {
        let annotations = object.get_mut("metadata")?.get_mut("annotations")?.as_object_mut()?;
        serde_json::from_str(annotations.remove(name)?.as_str()?).ok()
    };
    let metrics = taken("autoscaling.alpha.kubernetes.io/metrics");
    let behavior = taken("autoscaling.alpha.kubernetes.io/behavior");
    drop_empty(object);
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let mut all = match metrics {
        Some(Value::Array(metrics)) => metrics,
        _ => Vec::new(),
    };
    if let Some(percent) = spec.remove(CPU) {
        let target = json!({"type": "Utilization", "averageUtilization": percent});
        all.push(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
    }
    if !all.is_empty() {
        spec.insert("metrics".to_owned(), all.into());
    }
    if let Some(behavior) = behavior {
        spec.insert("behavior".to_owned(), behavior);
    }
}

fn drop_empty(object: &mut Value) {
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata
        && metadata.get("annotations").and_then(Value::as_object).is_some_and(Map::is_empty)
    {
        metadata.remove("annotations");
    }
}
