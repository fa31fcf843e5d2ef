//! Pods and their templates: containers and what they need.

use argosy_engine::schema::quantity::Quantity;
use serde_json::{Value, json};

use super::texts::{self, items, not_negative, not_qualified, one_name, one_of, one_of_in_order, port, refuse, text};
use crate::failure::Fault;

/// A template's labels and Pod.
pub(super) fn template(template: Option<&Value>, path: &str, faults: &mut Vec<Fault>) {
    template_with(template, path, &[], faults);
}

/// The same, where more volumes than the template's are to be had.
pub(super) fn template_with(template: Option<&Value>, path: &str, claims: &[&str], faults: &mut Vec<Fault>) {
    let labels = template.and_then(|t| t.pointer("/metadata/labels")).and_then(Value::as_object);
    texts::labels(&format!("{path}.labels"), labels, faults);
    spec(template.and_then(|t| t.get("spec")), &format!("{path}.spec"), claims, faults);
}

/// A Pod's spec, and the names of volumes that come from elsewhere.
pub(super) fn spec(spec: Option<&Value>, path: &str, claims: &[&str], faults: &mut Vec<Fault>) {
    let nothing = json!({});
    let spec = spec.unwrap_or(&nothing);
    super::volumes::all(spec, path, faults);
    if items(spec, "/containers").next().is_none() {
        faults.push(Fault::required(format!("{path}.containers"), ""));
    }
    let mut volumes: Vec<&str> = items(spec, "/volumes").map(|(_, volume)| text(volume, "/name")).collect();
    volumes.extend(claims);
    let mut names: Vec<&str> = Vec::new();
    for list in ["containers", "initContainers"] {
        for (i, one) in items(spec, &format!("/{list}")) {
            let place = format!("{path}.{list}[{i}]");
            container(one, &volumes, &place, &mut names, faults);
        }
    }
    let given = |field: &str| spec.get(field).filter(|value| !value.is_null());
    if let Some(policy) = given("restartPolicy") {
        one_of_in_order(format!("{path}.restartPolicy"), policy, &["Always", "OnFailure", "Never"], faults);
    }
    if let Some(policy) = given("dnsPolicy") {
        let known = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
        one_of_in_order(format!("{path}.dnsPolicy"), policy, &known, faults);
    }
    for (key, value) in spec.get("nodeSelector").and_then(Value::as_object).into_iter().flatten() {
        let field = format!("{path}.nodeSelector");
        refuse(&field, key, not_qualified(key), faults);
        let value = value.as_str().unwrap_or("");
        refuse(&field, value, texts::not_label_value(value), faults);
    }
    if let Some(name) = given("serviceAccountName").and_then(Value::as_str).filter(|name| !name.is_empty()) {
        refuse(&format!("{path}.serviceAccountName"), name, texts::not_subdomain(name), faults);
    }
    if let Some(seconds) = given("activeDeadlineSeconds").and_then(Value::as_i64)
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let detail = "must be between 1 and 2147483647, inclusive";
        faults.push(Fault::invalid(format!("{path}.activeDeadlineSeconds"), &seconds.into(), detail));
    }
}

fn container<'a>(
    container: &'a Value,
    volumes: &[&str],
    place: &str,
    names: &mut Vec<&'a str>,
    faults: &mut Vec<Fault>,
) {
    let name = text(container, "/name");
    one_name(place, name, true, names, faults);
    let image = text(container, "/image");
    if image.is_empty() {
        faults.push(Fault::required(format!("{place}.image"), ""));
    } else if image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        faults.push(Fault::invalid(format!("{place}.image"), &image.into(), detail));
    }
    if let Some(hook) = container.pointer("/lifecycle/preStop") {
        handler(hook, &format!("{place}.lifecycle.preStop"), faults);
    }
    if let Some(hook) = container.pointer("/lifecycle/postStart") {
        handler(hook, &format!("{place}.lifecycle.postStart"), faults);
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(given) = container.get(probe) {
            self::probe(probe, given, &format!("{place}.{probe}"), faults);
        }
    }
    ports(container, place, faults);
    environment(container, place, faults);
    super::volumes::mounts(container, volumes, place, faults);
    let policy = container.get("imagePullPolicy");
    one_of(format!("{place}.imagePullPolicy"), policy, &["Always", "IfNotPresent", "Never"], faults);
    resources(container, place, faults);
}

fn ports(container: &Value, place: &str, faults: &mut Vec<Fault>) {
    let mut names: Vec<&str> = Vec::new();
    for (i, one) in items(container, "/ports") {
        let place = format!("{place}.ports[{i}]");
        let name = text(one, "/name");
        if !name.is_empty() {
            refuse(&format!("{place}.name"), name, not_port_name(name), faults);
            if names.contains(&name) {
                faults.push(Fault::duplicate(format!("{place}.name"), &name.into()));
            }
            names.push(name);
        }
        match one.get("containerPort").and_then(Value::as_i64).unwrap_or(0) {
            0 => faults.push(Fault::required(format!("{place}.containerPort"), "")),
            number => port(format!("{place}.containerPort"), number, faults),
        }
        one_of(format!("{place}.protocol"), one.get("protocol"), &["SCTP", "TCP", "UDP"], faults);
    }
}

/// What is wrong with the name of a port.
pub(super) fn not_port_name(name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if name.len() > 15 {
        wrong.push("must be no more than 15 characters".to_owned());
    }
    if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        wrong.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    } else if !name.chars().any(|c| c.is_ascii_lowercase()) {
        wrong.push("must contain at least one letter (a-z)".to_owned());
    }
    wrong
}

fn environment(container: &Value, place: &str, faults: &mut Vec<Fault>) {
    const SOURCES: [&str; 5] = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
    for (i, one) in items(container, "/env") {
        let place = format!("{place}.env[{i}]");
        let name = text(one, "/name");
        if name.is_empty() {
            faults.push(Fault::required(format!("{place}.name"), ""));
        } else if !name.chars().all(|c| (' '..='~').contains(&c) && c != '=') {
            let detail =
                "a valid environment variable name must consist only of printable ASCII characters other than '='";
            faults.push(Fault::invalid(format!("{place}.name"), &name.into(), detail));
        }
        let Some(source) = one.get("valueFrom").filter(|source| !source.is_null()) else { continue };
        let field = format!("{place}.valueFrom");
        let given = SOURCES.iter().filter(|name| source.get(**name).is_some()).count();
        if !text(one, "/value").is_empty() {
            faults.push(Fault::invalid(field, &"".into(), "may not be specified when `value` is not empty"));
        } else if given == 0 {
            let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
            faults.push(Fault::invalid(field, &"".into(), detail));
        } else if given > 1 {
            faults.push(Fault::invalid(field, &"".into(), "may not have more than one field specified at a time"));
        } else if let Some(path) = source.pointer("/fieldRef/fieldPath").and_then(Value::as_str)
            && !is_pod_field(path)
        {
            let detail = format!("error converting fieldPath: field label not supported: {path}");
            faults.push(Fault::invalid(format!("{field}.fieldRef.fieldPath"), &path.into(), &detail));
        }
    }
}

fn is_pod_field(path: &str) -> bool {
    let name = path.split('[').next().unwrap_or(path);
    matches!(
        name,
        "metadata.annotations"
            | "metadata.labels"
            | "metadata.name"
            | "metadata.namespace"
            | "metadata.uid"
            | "spec.nodeName"
            | "spec.restartPolicy"
            | "spec.serviceAccountName"
            | "spec.schedulerName"
            | "spec.hostNetwork"
            | "status.phase"
            | "status.hostIP"
            | "status.hostIPs"
            | "status.podIP"
            | "status.podIPs"
    )
}

fn handler(handler: &Value, place: &str, faults: &mut Vec<Fault>) {
    let kinds = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];
    if !kinds.iter().any(|kind| handler.get(*kind).is_some()) {
        faults.push(Fault::required(place, "must specify a handler type"));
    }
    if let Some(exec) = handler.get("exec")
        && items(exec, "/command").next().is_none()
    {
        faults.push(Fault::required(format!("{place}.exec.command"), ""));
    }
    for kind in ["httpGet", "tcpSocket"] {
        match handler.get(kind).and_then(|action| action.get("port")) {
            Some(Value::Number(number)) => port(format!("{place}.{kind}.port"), number.as_i64().unwrap_or(0), faults),
            Some(Value::String(name)) => refuse(&format!("{place}.{kind}.port"), name, not_port_name(name), faults),
            _ => {}
        }
    }
}

fn probe(kind: &str, probe: &Value, place: &str, faults: &mut Vec<Fault>) {
    handler(probe, place, faults);
    let counts = ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];
    not_negative(probe, place, &counts, faults);
    let successes = probe.get("successThreshold").and_then(Value::as_i64).unwrap_or(1);
    if kind != "readinessProbe" && successes != 1 {
        faults.push(Fault::invalid(format!("{place}.successThreshold"), &successes.into(), "must be 1"));
    }
}

fn resources(container: &Value, place: &str, faults: &mut Vec<Fault>) {
    for list in ["limits", "requests"] {
        let amounts = container.pointer(&format!("/resources/{list}")).and_then(Value::as_object);
        for (name, amount) in amounts.into_iter().flatten() {
            let field = format!("{place}.resources.{list}[{name}]");
            if !name.contains('/') && !is_standard_resource(name) {
                for detail in [
                    "must be a standard resource type or fully qualified",
                    "must be a standard resource for containers",
                ] {
                    faults.push(Fault::invalid(field.clone(), &name.as_str().into(), detail));
                }
            }
            if amount.as_str().is_some_and(|text| text.starts_with('-')) {
                faults.push(Fault::invalid(field, amount, "must be greater than or equal to 0"));
            }
            let limit = container.pointer("/resources/limits").and_then(|limits| limits.get(name));
            if list == "requests"
                && let Some(limit) = limit
                && Quantity::parse(amount).map(Quantity::milli) > Quantity::parse(limit).map(Quantity::milli)
            {
                let detail = format!("must be less than or equal to {name} limit of {}", limit.as_str().unwrap_or(""));
                faults.push(Fault::invalid(format!("{place}.resources.requests"), amount, &detail));
            }
        }
    }
}

fn is_standard_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}
