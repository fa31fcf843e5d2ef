//! Services.

use serde_json::{Value, json};

use super::pod::not_port_name;
use super::texts::{self, items, not_subdomain, one_name, one_of, port, refuse, text};
use crate::failure::Fault;

/// Ports of nodes that can be had.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;

pub(super) fn all(value: &Value, faults: &mut Vec<Fault>) {
    let nothing = json!({});
    let spec = value.get("spec").unwrap_or(&nothing);
    let kind = spec.get("type").cloned().unwrap_or(Value::Null);
    let address = text(spec, "/clusterIP");
    let is_exposed = matches!(kind.as_str(), Some("NodePort" | "LoadBalancer"));
    if items(spec, "/ports").next().is_none() && address != "None" && kind != json!("ExternalName") {
        faults.push(Fault::required("spec.ports", ""));
    }
    if kind == json!("ExternalName") {
        let name = text(spec, "/externalName").trim_end_matches('.');
        if name.is_empty() {
            faults.push(Fault::required("spec.externalName", ""));
        } else {
            refuse("spec.externalName", name, not_subdomain(name), faults);
        }
    }
    ports(spec, faults);
    texts::labels("spec.selector", spec.get("selector").and_then(Value::as_object), faults);
    one_of("spec.sessionAffinity", spec.get("sessionAffinity"), &["ClientIP", "None"], faults);
    addresses(&kind, address, faults);
    for (i, given) in items(spec, "/externalIPs") {
        let given = given.as_str().unwrap_or("");
        if given.parse::<std::net::IpAddr>().is_err() {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            faults.push(Fault::invalid(format!("spec.externalIPs[{i}]"), &given.into(), detail));
        }
    }
    one_of("spec.type", Some(&kind), &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], faults);
    duplicate_ports(spec, faults);
    let has_external = items(spec, "/externalIPs").next().is_some();
    if let Some(policy) = spec.get("externalTrafficPolicy") {
        if !is_exposed && !has_external && kind != json!("ExternalName") {
            let detail = "may only be set for externally-accessible services";
            faults.push(Fault::invalid("spec.externalTrafficPolicy", policy, detail));
        } else {
            one_of("spec.externalTrafficPolicy", Some(policy), &["Cluster", "Local"], faults);
        }
    }
    one_of("spec.internalTrafficPolicy", spec.get("internalTrafficPolicy"), &["Cluster", "Local"], faults);
    if is_exposed {
        for (i, one) in items(spec, "/ports") {
            if let Some(number) =
                one.get("nodePort").and_then(Value::as_i64).filter(|n| *n != 0 && !NODE_PORTS.contains(n))
            {
                let detail = "provided port is not in the valid range. The range of valid ports is 30000-32767";
                faults.push(Fault::invalid(format!("spec.ports[{i}].nodePort"), &number.into(), detail));
            }
        }
    }
}

fn ports(spec: &Value, faults: &mut Vec<Fault>) {
    let many = items(spec, "/ports").count() > 1;
    let mut names: Vec<&str> = Vec::new();
    for (i, one) in items(spec, "/ports") {
        let place = format!("spec.ports[{i}]");
        let name = text(one, "/name");
        one_name(&place, name, many, &mut names, faults);
        port(format!("{place}.port"), one.get("port").and_then(Value::as_i64).unwrap_or(0), faults);
        one_of(format!("{place}.protocol"), one.get("protocol"), &["SCTP", "TCP", "UDP"], faults);
        match one.get("targetPort") {
            Some(Value::Number(number)) => port(format!("{place}.targetPort"), number.as_i64().unwrap_or(0), faults),
            // A port of a Pod may be given by its name.
            Some(Value::String(name)) => refuse(&format!("{place}.targetPort"), name, not_port_name(name), faults),
            _ => {}
        }
    }
}

fn duplicate_ports(spec: &Value, faults: &mut Vec<Fault>) {
    let mut seen: Vec<(&str, i64)> = Vec::new();
    for (i, one) in items(spec, "/ports") {
        let key = (text(one, "/protocol"), one.get("port").and_then(Value::as_i64).unwrap_or(0));
        if seen.contains(&key) {
            let message = format!(
                "Duplicate value: {{\"Name\":\"\",\"Protocol\":{},\"AppProtocol\":null,\"Port\":{},\"TargetPort\":0,\"NodePort\":0}}",
                json!(key.0),
                key.1
            );
            faults.push(Fault { reason: "FieldValueDuplicate", field: format!("spec.ports[{i}]"), message });
        }
        seen.push(key);
    }
}

fn addresses(kind: &Value, address: &str, faults: &mut Vec<Fault>) {
    let field = "spec.clusterIPs[0]";
    let is_exposed = matches!(kind.as_str(), Some("NodePort" | "LoadBalancer"));
    if address == "None" {
        if is_exposed {
            let detail = format!("may not be set to 'None' for {} services", kind.as_str().unwrap_or(""));
            faults.push(Fault::invalid(field, &address.into(), &detail));
        }
    } else if !address.is_empty() && address.parse::<std::net::IpAddr>().is_err() {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        faults.push(Fault::invalid(field, &address.into(), detail));
    }
    if *kind == json!("ExternalName") && !address.is_empty() {
        faults.push(Fault::forbidden("spec.clusterIPs", "may not be set for ExternalName services"));
    }
}
