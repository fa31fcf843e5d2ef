//! What a Service loses when it becomes one of another type.

use serde_json::{Map, Value};

/// Takes out what belonged to the old type, where the caller did not change it.
pub(super) fn change(old: &Value, new: &mut Value) {
    let (Some(before), Some(spec)) =
        (old.get("spec").and_then(Value::as_object), new.get_mut("spec").and_then(Value::as_object_mut))
    else {
        return;
    };
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or("").to_owned();
    let is_exposed = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
    let has_external = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    if kind == "ExternalName" {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            forget(before, spec, field);
        }
    }
    if !is_exposed {
        if !has_external {
            forget(before, spec, "externalTrafficPolicy");
        }
        forget_ports(before, spec);
    }
    if kind != "LoadBalancer" {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass", "healthCheckNodePort"] {
            forget(before, spec, field);
        }
    }
}

fn forget(before: &Map<String, Value>, spec: &mut Map<String, Value>, field: &str) {
    if spec.get(field) == before.get(field) {
        spec.remove(field);
    }
}

fn forget_ports(before: &Map<String, Value>, spec: &mut Map<String, Value>) {
    let was: Vec<Option<&Value>> = before
        .get("ports")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|port| port.get("nodePort"))
        .filter(Option::is_some)
        .collect();
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
    for port in ports.filter_map(Value::as_object_mut) {
        if was.contains(&port.get("nodePort")) {
            port.remove("nodePort");
        }
    }
}
