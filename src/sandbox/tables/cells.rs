//! One row of a built-in kind's table.

use argosy_model::object;
use serde_json::{Value, json};

use super::text::{NONE, age, or, or_none, pairs, selector, some};
use super::workloads::{self, own_age};
use crate::controllers::{count, is_true};

/// The cells of an object, for all columns of its kind.
pub(super) fn of(group: &str, kind: &str, value: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let name: Value = object::name(value).into();
    let aged = |cells: Vec<Value>| -> Vec<Value> {
        [name.clone()].into_iter().chain(cells).chain([own_age(value, now)]).collect()
    };
    match (group, kind) {
        ("", "Pod") => workloads::pod(value, now),
        ("apps", "Deployment") => workloads::deployment(value, now),
        ("apps", "ReplicaSet") => workloads::replica_set(value, now),
        ("", "ReplicationController") => {
            let mut cells = workloads::replica_set(value, now);
            cells.pop();
            cells.push(pairs(&value["spec"]["selector"]).into());
            cells
        }
        ("", "ResourceQuota") => aged(quota(value)),
        ("scheduling.k8s.io", "PriorityClass") => {
            let is_default = value["globalDefault"].as_bool().unwrap_or(false);
            let mut cells = aged(vec![count(value, &["value"], 0).into(), is_default.into()]);
            cells.push(value["preemptionPolicy"].clone());
            cells
        }
        ("apps", "StatefulSet") => workloads::stateful_set(value, now),
        ("apps", "DaemonSet") => workloads::daemon_set(value, now),
        ("batch", "Job") => workloads::job(value, now),
        ("batch", "CronJob") => workloads::cron_job(value, now),
        ("", "Service") => service(value, now),
        ("", "Node") => node(value, now),
        (_, "Event") => event(value, now),
        ("", "Endpoints") => aged(vec![endpoints(value).into()]),
        ("", "Namespace") => aged(vec![or(&value["status"]["phase"], "").into()]),
        ("", "Secret") => aged(vec![value["type"].clone(), size(&[&value["data"]]).into()]),
        ("", "ConfigMap") => aged(vec![size(&[&value["data"], &value["binaryData"]]).into()]),
        ("", "PersistentVolume") => volume(value, now),
        ("", "PersistentVolumeClaim") => claim(value, now),
        ("apps", "ControllerRevision") => aged(vec![controller(value).into(), value["revision"].clone()]),
        ("autoscaling", "HorizontalPodAutoscaler") => aged(autoscaler(value)),
        ("networking.k8s.io", "Ingress") => aged(ingress(value)),
        ("networking.k8s.io", "IngressClass") => aged(vec![value["spec"]["controller"].clone(), NONE.into()]),
        ("networking.k8s.io", "NetworkPolicy") => aged(vec![selector(&value["spec"]["podSelector"]).into()]),
        ("policy", "PodDisruptionBudget") => aged(vec![
            share(&value["spec"]["minAvailable"]),
            share(&value["spec"]["maxUnavailable"]),
            count(value, &["status", "disruptionsAllowed"], 0).into(),
        ]),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => binding(value, now),
        ("rbac.authorization.k8s.io" | "apiextensions.k8s.io", _) => {
            vec![name, value["metadata"]["creationTimestamp"].clone()]
        }
        ("storage.k8s.io", "StorageClass") => storage_class(value, now),
        ("coordination.k8s.io", "Lease") => aged(vec![or(&value["spec"]["holderIdentity"], "").into()]),
        ("discovery.k8s.io", "EndpointSlice") => aged(slice(value)),
        ("apiregistration.k8s.io", "APIService") => aged(api_service(value)),
        _ => aged(Vec::new()),
    }
}

/// What of a quota is used: of limits apart from everything else.
fn quota(value: &Value) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (name, hard) in value["status"]["hard"].as_object().into_iter().flatten() {
        let used = value["status"]["used"][name].as_str().unwrap_or("0");
        let column = if name.starts_with("limits.") { &mut limits } else { &mut requests };
        column.push(format!("{name}: {used}/{}", hard.as_str().unwrap_or("0")));
    }
    vec![requests.join(", ").into(), limits.join(", ").into()]
}

/// What a row as a whole says: that a Pod has ended.
pub(super) fn row_condition(group: &str, kind: &str, value: &Value) -> Option<Value> {
    if (group, kind) != ("", "Pod") {
        return None;
    }
    let (reason, message) = match value["status"]["phase"].as_str()? {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!({"type": "Completed", "status": "True", "reason": reason, "message": message}))
}

fn list<'a>(value: &'a Value, field: &str) -> impl DoubleEndedIterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

fn size(maps: &[&Value]) -> usize {
    maps.iter().filter_map(|map| map.as_object()).map(serde_json::Map::len).sum()
}

fn service(value: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let spec = &value["spec"];
    let balancers = addresses(&value["status"]["loadBalancer"]);
    let given: Vec<&str> = list(spec, "externalIPs").filter_map(Value::as_str).collect();
    let external = match spec["type"].as_str() {
        Some("ExternalName") => or(&spec["externalName"], ""),
        Some("LoadBalancer") if balancers.is_empty() && given.is_empty() => "<pending>".to_owned(),
        Some("LoadBalancer") => balancers.iter().map(String::as_str).chain(given).collect::<Vec<_>>().join(","),
        _ if given.is_empty() => NONE.to_owned(),
        _ => given.join(","),
    };
    let ports: Vec<String> = list(spec, "ports")
        .map(|port| {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            match port["nodePort"].as_i64().filter(|node| *node > 0) {
                Some(node) => format!("{}:{node}/{protocol}", port["port"]),
                None => format!("{}/{protocol}", port["port"]),
            }
        })
        .collect();
    vec![
        object::name(value).into(),
        spec["type"].clone(),
        or_none(&spec["clusterIPs"][0]).into(),
        external.into(),
        if ports.is_empty() { NONE.into() } else { ports.join(",").into() },
        own_age(value, now),
        pairs(&spec["selector"]).into(),
    ]
}

/// The addresses of a load balancer.
fn addresses(balancer: &Value) -> Vec<String> {
    let ingress = list(balancer, "ingress");
    ingress.filter_map(|one| one["ip"].as_str().or(one["hostname"].as_str())).map(str::to_owned).collect()
}

fn node(value: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let has_ready = list(&value["status"], "conditions").any(|condition| condition["type"] == "Ready");
    let mut status = match has_ready {
        false => "Unknown",
        true if is_true(value, "Ready") => "Ready",
        true => "NotReady",
    }
    .to_owned();
    if value["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    let labels = value["metadata"]["labels"].as_object().into_iter().flatten();
    let roles: Vec<&str> = labels.filter_map(|(label, _)| label.strip_prefix("node-role.kubernetes.io/")).collect();
    let facts = &value["status"]["nodeInfo"];
    let address = |kind: &str| {
        let mut addresses = list(&value["status"], "addresses");
        addresses.find(|one| one["type"] == kind).map_or(NONE.to_owned(), |one| or_none(&one["address"]))
    };
    let mut kernel = or(&facts["kernelVersion"], "<unknown>");
    if let Some(architecture) = facts["architecture"].as_str().filter(|text| !text.is_empty()) {
        kernel = format!("{kernel} ({architecture})");
    }
    vec![
        object::name(value).into(),
        status.into(),
        if roles.is_empty() { NONE.into() } else { roles.join(",").into() },
        own_age(value, now),
        facts["kubeletVersion"].clone(),
        address("InternalIP").into(),
        address("ExternalIP").into(),
        or(&facts["osImage"], "<unknown>").into(),
        kernel.into(),
        or(&facts["containerRuntimeVersion"], "<unknown>").into(),
    ]
}

fn event(value: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let either = |first: &Value| if first.is_null() { age(&value["eventTime"], now) } else { age(first, now) };
    let first = either(&value["firstTimestamp"]);
    let series = &value["series"];
    let (last, times) = if series.is_object() {
        (age(&series["lastObservedTime"], now), count(series, &["count"], 1))
    } else {
        let last = &value["lastTimestamp"];
        (if last.is_null() { first.clone() } else { age(last, now) }, count(value, &["count"], 1).max(1))
    };
    let about = &value["involvedObject"];
    let kind = about["kind"].as_str().unwrap_or_default().to_lowercase();
    let target = match about["name"].as_str().filter(|name| !name.is_empty()) {
        Some(name) => format!("{kind}/{name}"),
        None => kind,
    };
    let source = match (value["source"]["component"].as_str(), value["source"]["host"].as_str()) {
        (Some(component), Some(host)) if !host.is_empty() => format!("{component}, {host}"),
        (Some(component), _) if !component.is_empty() => component.to_owned(),
        _ => or(&value["reportingComponent"], ""),
    };
    vec![
        last.into(),
        value["type"].clone(),
        value["reason"].clone(),
        target.into(),
        or(&about["fieldPath"], "").into(),
        source.into(),
        value["message"].as_str().unwrap_or_default().trim().into(),
        first.into(),
        times.into(),
        object::name(value).into(),
    ]
}

fn endpoints(value: &Value) -> String {
    let mut all = Vec::new();
    for subset in list(value, "subsets") {
        let addresses: Vec<&str> = list(subset, "addresses").filter_map(|one| one["ip"].as_str()).collect();
        let ports: Vec<&Value> = list(subset, "ports").collect();
        if ports.is_empty() {
            all.extend(addresses.iter().map(|ip| (*ip).to_owned()));
        }
        for port in ports {
            all.extend(addresses.iter().map(|ip| format!("{ip}:{}", port["port"])));
        }
    }
    some(&all, 3)
}

fn slice(value: &Value) -> Vec<Value> {
    let ports: Vec<String> = list(value, "ports").map(|port| port["port"].to_string()).collect();
    let ports = if ports.is_empty() { "<unset>".to_owned() } else { some(&ports, 3) };
    let endpoints: Vec<String> = list(value, "endpoints")
        .flat_map(|endpoint| list(endpoint, "addresses").filter_map(Value::as_str).map(str::to_owned))
        .collect();
    let endpoints = if endpoints.is_empty() { "<unset>".to_owned() } else { some(&endpoints, 3) };
    vec![value["addressType"].clone(), ports.into(), endpoints.into()]
}

fn access_modes(modes: &Value) -> String {
    let short = |mode: &Value| match mode.as_str()? {
        "ReadWriteOnce" => Some("RWO"),
        "ReadOnlyMany" => Some("ROX"),
        "ReadWriteMany" => Some("RWX"),
        "ReadWriteOncePod" => Some("RWOP"),
        _ => None,
    };
    modes.as_array().into_iter().flatten().filter_map(short).collect::<Vec<_>>().join(",")
}

fn phase(value: &Value) -> Value {
    if object::is_deleting(value) { "Terminating".into() } else { value["status"]["phase"].clone() }
}

fn volume(value: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let spec = &value["spec"];
    let claim =
        spec["claimRef"]["name"].as_str().map(|name| format!("{}/{name}", or(&spec["claimRef"]["namespace"], "")));
    vec![
        object::name(value).into(),
        spec["capacity"]["storage"].clone(),
        access_modes(&spec["accessModes"]).into(),
        spec["persistentVolumeReclaimPolicy"].clone(),
        phase(value),
        claim.unwrap_or_default().into(),
        or(&spec["storageClassName"], "").into(),
        or(&spec["volumeAttributesClassName"], "<unset>").into(),
        or(&value["status"]["reason"], "").into(),
        own_age(value, now),
        or(&spec["volumeMode"], "<unset>").into(),
    ]
}

fn claim(value: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let spec = &value["spec"];
    let bound = spec["volumeName"].as_str().filter(|name| !name.is_empty());
    let capacity = bound.map_or_else(|| "".into(), |_| value["status"]["capacity"]["storage"].clone());
    vec![
        object::name(value).into(),
        phase(value),
        bound.unwrap_or_default().into(),
        capacity,
        bound.map_or(String::new(), |_| access_modes(&value["status"]["accessModes"])).into(),
        or(&spec["storageClassName"], "").into(),
        or(&spec["volumeAttributesClassName"], "<unset>").into(),
        own_age(value, now),
        or(&spec["volumeMode"], "<unset>").into(),
    ]
}

fn controller(value: &Value) -> String {
    let references = list(&value["metadata"], "ownerReferences");
    let mut controllers = references.filter(|reference| reference["controller"] == true);
    let Some(controller) = controllers.next() else { return NONE.to_owned() };
    let (group, _) = controller["apiVersion"].as_str().unwrap_or_default().split_once('/').unwrap_or_default();
    let kind = controller["kind"].as_str().unwrap_or_default().to_lowercase();
    format!("{kind}.{group}/{}", or(&controller["name"], ""))
}

fn autoscaler(value: &Value) -> Vec<Value> {
    let target = &value["spec"]["scaleTargetRef"];
    let metrics: Vec<String> = list(&value["spec"], "metrics")
        .map(|metric| {
            let target = &metric["resource"]["target"];
            let wanted = match target["averageUtilization"].as_i64() {
                Some(percent) => format!("{percent}%"),
                None => or(&target["averageValue"], "<auto>"),
            };
            format!("{}: <unknown>/{wanted}", or(&metric["resource"]["name"], ""))
        })
        .collect();
    let metrics = match metrics.as_slice() {
        [] => NONE.to_owned(),
        [one, two, more @ ..] if !more.is_empty() => format!("{one}, {two} + {} more...", more.len()),
        few => few.join(", "),
    };
    vec![
        format!("{}/{}", or(&target["kind"], ""), or(&target["name"], "")).into(),
        metrics.into(),
        value["spec"]["minReplicas"].as_i64().map_or("<unset>".to_owned(), |least| least.to_string()).into(),
        count(value, &["spec", "maxReplicas"], 0).into(),
        count(value, &["status", "currentReplicas"], 0).into(),
    ]
}

fn ingress(value: &Value) -> Vec<Value> {
    let rules = list(&value["spec"], "rules");
    let hosts: Vec<String> = rules.filter_map(|rule| rule["host"].as_str()).map(str::to_owned).collect();
    let has_tls = list(&value["spec"], "tls").next().is_some();
    vec![
        or_none(&value["spec"]["ingressClassName"]).into(),
        if hosts.is_empty() { "*".into() } else { some(&hosts, 3).into() },
        addresses(&value["status"]["loadBalancer"]).join(",").into(),
        if has_tls { "80, 443".into() } else { "80".into() },
    ]
}

/// A number or a percentage.
fn share(value: &Value) -> Value {
    match value {
        Value::Null => "N/A".into(),
        Value::Number(number) => number.to_string().into(),
        other => other.clone(),
    }
}

fn binding(value: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let role = &value["roleRef"];
    let of = |kind: &str| -> Value {
        let subjects = list(value, "subjects").filter(|subject| subject["kind"] == kind);
        let names = subjects.map(|subject| match subject["namespace"].as_str() {
            Some(namespace) if !namespace.is_empty() => format!("{namespace}/{}", or(&subject["name"], "")),
            _ => or(&subject["name"], ""),
        });
        names.collect::<Vec<_>>().join(", ").into()
    };
    vec![
        object::name(value).into(),
        format!("{}/{}", or(&role["kind"], ""), or(&role["name"], "")).into(),
        own_age(value, now),
        of("User"),
        of("Group"),
        of("ServiceAccount"),
    ]
}

fn storage_class(value: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let mut name = object::name(value).to_owned();
    if object::annotation(value, "storageclass.kubernetes.io/is-default-class") == Some("true") {
        name.push_str(" (default)");
    }
    vec![
        name.into(),
        value["provisioner"].clone(),
        or(&value["reclaimPolicy"], "Delete").into(),
        or(&value["volumeBindingMode"], "Immediate").into(),
        (value["allowVolumeExpansion"] == true).into(),
        own_age(value, now),
    ]
}

fn api_service(value: &Value) -> Vec<Value> {
    let service = &value["spec"]["service"];
    let served_by = match service["name"].as_str() {
        Some(name) => format!("{}/{name}", or(&service["namespace"], "")),
        None => "Local".to_owned(),
    };
    let conditions = list(&value["status"], "conditions");
    let mut available = conditions.filter(|condition| condition["type"] == "Available");
    let available = available.next().map_or("Unknown".to_owned(), |condition| match condition["status"].as_str() {
        Some("True") => "True".to_owned(),
        status => format!("{} ({})", status.unwrap_or("Unknown"), or(&condition["reason"], "")),
    });
    vec![served_by.into(), available.into()]
}
