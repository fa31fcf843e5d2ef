//! Ingresses, their classes, NetworkPolicies and EndpointSlices.

use serde_json::{Value, json};

use super::pod::not_port_name;
use super::selector;
use super::texts::{items, not_subdomain, one_of, one_of_in_order, port, refuse, text};
use crate::failure::Fault;

pub(super) fn ingress(value: &Value, faults: &mut Vec<Fault>) {
    let nothing = json!({});
    let spec = value.get("spec").unwrap_or(&nothing);
    let default = spec.get("defaultBackend").filter(|backend| !backend.is_null());
    if items(spec, "/rules").next().is_none() && default.is_none() {
        let message = "Invalid value: null: either `defaultBackend` or `rules` must be specified";
        faults.push(Fault { reason: "FieldValueInvalid", field: "spec".to_owned(), message: message.to_owned() });
    }
    for (i, rule) in items(spec, "/rules") {
        let place = format!("spec.rules[{i}]");
        let host = text(rule, "/host");
        if !host.is_empty() && !host.starts_with("*.") {
            refuse(&format!("{place}.host"), host, not_subdomain(host), faults);
        }
        let Some(http) = rule.get("http").filter(|http| !http.is_null()) else { continue };
        if items(http, "/paths").next().is_none() {
            faults.push(Fault::required(format!("{place}.http.paths"), ""));
        }
        for (j, path) in items(http, "/paths") {
            ingress_path(path, &format!("{place}.http.paths[{j}]"), faults);
        }
    }
    if let Some(default) = default {
        backend(default, "spec.defaultBackend", faults);
    }
    if let Some(class) = spec.get("ingressClassName").and_then(Value::as_str) {
        refuse("spec.ingressClassName", class, not_subdomain(class), faults);
    }
}

fn ingress_path(path: &Value, place: &str, faults: &mut Vec<Fault>) {
    let given = text(path, "/path");
    match path.get("pathType").filter(|kind| !kind.is_null()) {
        None => faults.push(Fault::required(format!("{place}.pathType"), "pathType must be specified")),
        Some(kind) if matches!(kind.as_str(), Some("Exact" | "Prefix")) => {
            if !given.starts_with('/') {
                faults.push(Fault::invalid(format!("{place}.path"), &given.into(), "must be an absolute path"));
            }
        }
        Some(kind) if kind.as_str() == Some("ImplementationSpecific") => {
            if !given.is_empty() && !given.starts_with('/') {
                faults.push(Fault::invalid(format!("{place}.path"), &given.into(), "must be an absolute path"));
            }
        }
        Some(kind) => {
            let known = ["Exact", "ImplementationSpecific", "Prefix"];
            faults.push(Fault::unsupported(format!("{place}.pathType"), kind, &known));
        }
    }
    let nothing = json!({});
    backend(path.get("backend").unwrap_or(&nothing), &format!("{place}.backend"), faults);
}

fn backend(backend: &Value, place: &str, faults: &mut Vec<Fault>) {
    let given = |field: &str| backend.get(field).filter(|value| !value.is_null());
    match (given("service"), given("resource")) {
        (None, None) => {
            faults.push(Fault::invalid(place, &"".into(), "resource or service backend is required"));
        }
        (Some(_), Some(_)) => {
            faults.push(Fault::invalid(place, &"".into(), "cannot set both resource and service backends"));
        }
        (None, Some(_)) => {}
        (Some(service), None) => {
            let name = text(service, "/name");
            if name.is_empty() {
                faults.push(Fault::required(format!("{place}.service.name"), ""));
            } else {
                refuse(&format!("{place}.service.name"), name, super::texts::not_old_label(name), faults);
            }
            let number = service.pointer("/port/number").and_then(Value::as_i64).unwrap_or(0);
            match (number, text(service, "/port/name")) {
                (0, "") => faults.push(Fault::required(place, "port name or number is required")),
                (0, name) => refuse(&format!("{place}.service.port.name"), name, not_port_name(name), faults),
                (number, "") => port(format!("{place}.service.port.number"), number, faults),
                _ => faults.push(Fault::invalid(place, &"".into(), "cannot set both port name & port number")),
            }
        }
    }
}

pub(super) fn ingress_class(value: &Value, faults: &mut Vec<Fault>) {
    let controller = text(value, "/spec/controller");
    if controller.is_empty() {
        faults.push(Fault::required("spec.controller", ""));
    }
}

pub(super) fn policy(value: &Value, faults: &mut Vec<Fault>) {
    let nothing = json!({});
    let spec = value.get("spec").unwrap_or(&nothing);
    if let Some(pods) = spec.get("podSelector") {
        selector::all("spec.podSelector", pods, faults);
    }
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for (i, rule) in items(spec, &format!("/{rules}")) {
            let place = format!("spec.{rules}[{i}]");
            for (j, one) in items(rule, "/ports") {
                policy_port(one, &format!("{place}.ports[{j}]"), faults);
            }
            for (j, one) in items(rule, &format!("/{peers}")) {
                peer(one, &format!("{place}.{peers}[{j}]"), faults);
            }
        }
    }
    let types: Vec<&Value> = items(spec, "/policyTypes").map(|(_, kind)| kind).collect();
    if types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        faults.push(Fault::invalid("spec.policyTypes", &json!(types), detail));
        return;
    }
    for (i, kind) in types.into_iter().enumerate() {
        one_of_in_order(format!("spec.policyTypes[{i}]"), kind, &["Ingress", "Egress"], faults);
    }
}

fn policy_port(one: &Value, place: &str, faults: &mut Vec<Fault>) {
    if let Some(protocol) = one.get("protocol") {
        one_of_in_order(format!("{place}.protocol"), protocol, &["TCP", "UDP", "SCTP"], faults);
    }
    match one.get("port") {
        Some(Value::Number(number)) => port(format!("{place}.port"), number.as_i64().unwrap_or(0), faults),
        Some(Value::String(name)) => refuse(&format!("{place}.port"), name, not_port_name(name), faults),
        _ => {}
    }
    if let (Some(end), Some(from)) =
        (one.get("endPort").and_then(Value::as_i64), one.get("port").and_then(Value::as_i64))
        && end < from
    {
        let detail = "must be greater than or equal to `port`";
        faults.push(Fault::invalid(format!("{place}.endPort"), &end.into(), detail));
    }
}

fn peer(peer: &Value, place: &str, faults: &mut Vec<Fault>) {
    let given = |field: &str| peer.get(field).filter(|value| !value.is_null());
    for field in ["podSelector", "namespaceSelector"] {
        if let Some(one) = given(field) {
            selector::all(&format!("{place}.{field}"), one, faults);
        }
    }
    let block = given("ipBlock");
    if let Some(block) = block {
        let network = text(block, "/cidr");
        if network.is_empty() {
            faults.push(Fault::required(format!("{place}.ipBlock.cidr"), ""));
        } else if !is_network(network) {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            faults.push(Fault::invalid(format!("{place}.ipBlock.cidr"), &network.into(), detail));
        }
    }
    let selects = given("podSelector").is_some() || given("namespaceSelector").is_some();
    if !selects && block.is_none() {
        faults.push(Fault::required(place, "must specify a peer"));
    } else if selects && block.is_some() {
        faults.push(Fault::forbidden(place, "may not specify both ipBlock and another peer"));
    }
}

/// Whether a text is an address with the length of its prefix.
pub(super) fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let most = match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= most)
}

pub(super) fn endpoint_slice(value: &Value, faults: &mut Vec<Fault>) {
    let nothing = json!("");
    let kind = value.get("addressType").unwrap_or(&nothing);
    if kind.as_str() == Some("") {
        faults.push(Fault::required("addressType", ""));
    } else {
        one_of("addressType", Some(kind), &["FQDN", "IPv4", "IPv6"], faults);
    }
}
