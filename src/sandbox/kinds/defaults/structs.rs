//! Defaults of single structs that depend on each other.

use serde_json::{Map, Value, json};

use super::insert;

/// How what comes from within and without the cluster is shared out.
pub(super) fn traffic(fields: &mut Map<String, Value>) {
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or("").to_owned();
    if kind == "ExternalName" {
        return;
    }
    insert(fields, "internalTrafficPolicy", "\"Cluster\"");
    let has_external = fields.get("externalIPs").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || has_external {
        insert(fields, "externalTrafficPolicy", "\"Cluster\"");
    }
    if kind == "LoadBalancer" {
        insert(fields, "allocateLoadBalancerNodePorts", "true");
    }
}

/// How long a client stays with one Pod, where it does.
pub(super) fn affinity(fields: &mut Map<String, Value>) {
    match fields.get("sessionAffinity").and_then(Value::as_str) {
        Some("ClientIP") => insert(fields, "sessionAffinityConfig", "{\"clientIP\":{\"timeoutSeconds\":10800}}"),
        Some("None") => drop(fields.remove("sessionAffinityConfig")),
        _ => {}
    }
}

/// How fast an autoscaler goes up and down, where it says anything about that.
pub(super) fn behavior(fields: &mut Map<String, Value>) {
    let Some(behavior) = fields.get_mut("behavior").and_then(Value::as_object_mut) else { return };
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    let share = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    for (way, policies) in [("scaleUp", json!([pods, share])), ("scaleDown", json!([share]))] {
        let rules = behavior.entry(way.to_owned()).or_insert_with(|| json!({}));
        let Some(rules) = rules.as_object_mut() else { continue };
        insert(rules, "selectPolicy", "\"Max\"");
        rules.entry("policies".to_owned()).or_insert(policies);
        if way == "scaleUp" {
            insert(rules, "stabilizationWindowSeconds", "0");
        }
    }
}

/// A port of a Pod on its node's network is the node's.
pub(super) fn host_ports(spec: &mut Map<String, Value>) {
    if spec.get("hostNetwork") != Some(&json!(true)) {
        return;
    }
    let lists = spec.iter_mut().filter(|(name, _)| matches!(name.as_str(), "containers" | "initContainers"));
    let containers = lists.filter_map(|(_, list)| list.as_array_mut()).flatten();
    let ports = containers.filter_map(|one| one.get_mut("ports")?.as_array_mut()).flatten();
    for port in ports.filter_map(Value::as_object_mut) {
        if let Some(number) = port.get("containerPort").cloned() {
            port.entry("hostPort".to_owned()).or_insert(number);
        }
    }
}
