//! Services: their addresses, and the endpoints of the Pods they select.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use argosy_model::object;
use serde_json::{Value, json};

use super::condition;
use super::kind::{ENDPOINT_SLICE, ENDPOINTS, POD, SERVICE};
use super::selector::has_all;
use super::world::{Next, WorkError, World, control_reference, text};
use crate::lifecycle::Propagation;
use crate::stamp::Stamps;
use crate::store::{Object, ObjectKey, Store};

/// Addresses that Services are given: 10.96.0.0/12 without its first few.
const FIRST_ADDRESS: u32 = 0x0a60_0100;
const ADDRESSES: u32 = (1 << 20) - 0x200;
const FIRST_PORT: i64 = 30_000;
const PORTS: i64 = 2768;

const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const OWNER: &str = "kubernetes.io/service-name";

/// Gives a Service the cluster address and node ports it lacks.
fn allocate(store: &Store, stamps: &Stamps, service: &mut Value) {
    let kind = text(service, &["spec", "type"]).to_owned();
    if kind == "ExternalName" {
        return;
    }
    let has_address = !text(service, &["spec", "clusterIP"]).is_empty();
    let ports = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
    let lacks_port = |port: &Value| port["nodePort"].as_i64().unwrap_or(0) == 0;
    let lacks_ports = ports && service["spec"]["ports"].as_array().is_some_and(|all| all.iter().any(lacks_port));
    if has_address && !lacks_ports && !service["spec"]["clusterIPs"].is_null() {
        return;
    }
    let (services, _) = store.list(SERVICE.group, SERVICE.resource, None);
    if !has_address {
        let taken: BTreeSet<&str> = services.iter().map(|one| text(&one.value, &["spec", "clusterIP"])).collect();
        let start = random(stamps, ADDRESSES);
        let free = (0..ADDRESSES)
            .map(|step| Ipv4Addr::from(FIRST_ADDRESS + (start + step) % ADDRESSES).to_string())
            .find(|address| !taken.contains(address.as_str()));
        service["spec"]["clusterIP"] = free.map_or(Value::Null, Value::String);
    }
    service["spec"]["clusterIPs"] = json!([service["spec"]["clusterIP"]]);
    if text(service, &["spec", "clusterIP"]) != "None" || service["spec"]["selector"].is_object() {
        set_default(&mut service["spec"], "ipFamilies", json!(["IPv4"]));
        set_default(&mut service["spec"], "ipFamilyPolicy", json!("SingleStack"));
    }
    if lacks_ports {
        allocate_ports(&services, stamps, service);
    }
}

fn allocate_ports(services: &[Arc<Object>], stamps: &Stamps, service: &mut Value) {
    let ports = |value: &Value| -> Vec<i64> {
        let ports = value["spec"]["ports"].as_array().into_iter().flatten();
        ports.filter_map(|port| port["nodePort"].as_i64()).collect()
    };
    let mut taken: BTreeSet<i64> = services.iter().flat_map(|one| ports(&one.value)).chain(ports(service)).collect();
    for port in service["spec"]["ports"].as_array_mut().into_iter().flatten() {
        if port["nodePort"].as_i64().unwrap_or(0) != 0 {
            continue;
        }
        let start = i64::from(random(stamps, 2768));
        let free = (0..PORTS).map(|step| FIRST_PORT + (start + step) % PORTS).find(|port| !taken.contains(port));
        if let Some(free) = free {
            taken.insert(free);
            port["nodePort"] = free.into();
        }
    }
}

fn random(stamps: &Stamps, below: u32) -> u32 {
    let mut bytes = [0_u8; 4];
    stamps.bytes(&mut bytes);
    u32::from_be_bytes(bytes) % below
}

fn set_default(value: &mut Value, field: &str, default: Value) {
    if value[field].is_null() {
        value[field] = default;
    }
}

/// Brings the endpoints of a Service up to date, and gives a load balancer its address.
pub(super) fn reconcile(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let Some(service) = world.store.get(key) else {
        // Slices go with their owner; these have none.
        let endpoints = ENDPOINTS.key(&key.namespace, &key.name);
        return world.delete(&endpoints, Propagation::Background).map(|()| None);
    };
    if object::is_deleting(&service.value) {
        return Ok(None);
    }
    let mut completed = service.value.clone();
    allocate(&world.store, &world.stamps, &mut completed);
    if world.options.load_balancers && text(&completed, &["spec", "type"]) == "LoadBalancer" {
        let ip = balancer_address(object::uid(&completed));
        completed["status"]["loadBalancer"] = json!({"ingress": [{"ip": ip, "ipMode": "VIP"}]});
    }
    if completed != *service.value {
        world.update(key, |value| {
            for field in ["clusterIP", "clusterIPs", "ports", "ipFamilies", "ipFamilyPolicy"] {
                if !completed["spec"][field].is_null() {
                    value["spec"][field] = completed["spec"][field].clone();
                }
            }
            value["status"] = completed["status"].clone();
        })?;
    }
    if completed["spec"]["selector"].as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok(None);
    }
    let pods = selected(world, &completed);
    write_endpoints(world, &completed, &pods)?;
    write_slice(world, &completed, &pods)?;
    Ok(None)
}

/// An address for a load balancer or an ingress, the same for the same object.
pub(super) fn balancer_address(uid: &str) -> String {
    let hash = uid.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let [_, _, high, low] = hash.to_be_bytes();
    Ipv4Addr::new(172, 18, high, low.max(1)).to_string()
}

fn selected(world: &World, service: &Value) -> Vec<Arc<Object>> {
    let mut pods = world.list(&POD, Some(object::namespace(service)));
    pods.retain(|pod| {
        has_all(&service["spec"]["selector"], &pod.value["metadata"]["labels"])
            && !text(&pod.value, &["status", "podIP"]).is_empty()
            && !matches!(text(&pod.value, &["status", "phase"]), "Succeeded" | "Failed")
            && !object::is_deleting(&pod.value)
    });
    pods
}

fn is_ready(service: &Value, pod: &Value) -> bool {
    service["spec"]["publishNotReadyAddresses"] == true || condition::is_true(pod, "Ready")
}

/// The Pods' side of the Service's ports; `None` for a named port that no container has.
fn ports(service: &Value, pod: &Value) -> Vec<Value> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    ports.filter_map(|port| target(port, pod)).collect()
}

fn target(port: &Value, pod: &Value) -> Option<Value> {
    let number = match &port["targetPort"] {
        Value::String(name) => {
            let containers = pod["spec"]["containers"].as_array()?.iter();
            let mut all = containers.filter_map(|container| container["ports"].as_array()).flatten();
            all.find(|one| one["name"] == name.as_str())?["containerPort"].as_i64()?
        }
        Value::Number(number) if number.as_i64() != Some(0) => number.as_i64()?,
        _ => port["port"].as_i64()?,
    };
    let protocol = port["protocol"].as_str().unwrap_or("TCP");
    let mut target = json!({"port": number, "protocol": protocol});
    if let Some(name) = port["name"].as_str() {
        target["name"] = name.into();
    }
    Some(target)
}

fn target_reference(pod: &Value) -> Value {
    json!({
        "kind": "Pod",
        "name": object::name(pod),
        "namespace": object::namespace(pod),
        "uid": object::uid(pod),
    })
}

fn write_endpoints(world: &World, service: &Value, pods: &[Arc<Object>]) -> Result<(), WorkError> {
    let address = |pod: &Arc<Object>| {
        json!({
            "ip": text(&pod.value, &["status", "podIP"]),
            "nodeName": text(&pod.value, &["spec", "nodeName"]),
            "targetRef": target_reference(&pod.value),
        })
    };
    let of = |ready: bool| -> Vec<Value> {
        pods.iter().filter(|pod| is_ready(service, &pod.value) == ready).map(address).collect()
    };
    let mut subset = json!({});
    for (field, addresses) in [("addresses", of(true)), ("notReadyAddresses", of(false))] {
        if !addresses.is_empty() {
            subset[field] = addresses.into();
        }
    }
    let subsets = match pods.first() {
        None => Value::Null,
        Some(first) => {
            subset["ports"] = ports(service, &first.value).into();
            json!([subset])
        }
    };
    let (namespace, name) = (object::namespace(service), object::name(service));
    let mut labels = service["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert("endpoints.kubernetes.io/managed-by".to_owned(), "endpoint-controller".into());
    if text(service, &["spec", "clusterIP"]) == "None" {
        labels.insert("service.kubernetes.io/headless".to_owned(), "".into());
    }
    if world.get(&ENDPOINTS, namespace, name).is_none() {
        let metadata = json!({"name": name, "namespace": namespace, "labels": labels});
        let mut value = json!({"metadata": metadata});
        if !subsets.is_null() {
            value["subsets"] = subsets.clone();
        }
        if world.create(&ENDPOINTS, value)?.is_some() {
            return Ok(());
        }
    }
    world.update(&ENDPOINTS.key(namespace, name), |value| {
        value["metadata"]["labels"] = Value::Object(labels);
        if subsets.is_null() {
            if let Some(map) = value.as_object_mut() {
                map.remove("subsets");
            }
        } else {
            value["subsets"] = subsets;
        }
    })
}

fn write_slice(world: &World, service: &Value, pods: &[Arc<Object>]) -> Result<(), WorkError> {
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|pod| {
            let ready = is_ready(service, &pod.value);
            json!({
                "addresses": [text(&pod.value, &["status", "podIP"])],
                "conditions": {"ready": ready, "serving": ready, "terminating": false},
                "nodeName": text(&pod.value, &["spec", "nodeName"]),
                "targetRef": target_reference(&pod.value),
            })
        })
        .collect();
    let ports = pods.first().map(|pod| ports(service, &pod.value));
    let ports = ports.map_or(Value::Null, Value::from);
    let namespace = object::namespace(service);
    let existing = world.controlled(service, &ENDPOINT_SLICE);
    if let Some(slice) = existing.first() {
        return world.update(&ENDPOINT_SLICE.key(namespace, object::name(&slice.value)), |value| {
            if value["endpoints"] != json!(endpoints) || value["ports"] != ports {
                let generation = super::world::count(value, &["metadata", "generation"], 0);
                value["metadata"]["generation"] = (generation + 1).into();
            }
            value["endpoints"] = endpoints.into();
            value["ports"] = ports;
        });
    }
    let mut labels = service["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert(OWNER.to_owned(), object::name(service).into());
    labels.insert(MANAGED_BY.to_owned(), "endpointslice-controller.k8s.io".into());
    let value = json!({
        "metadata": {
            "generateName": format!("{}-", object::name(service)),
            "namespace": namespace,
            "labels": labels,
            "ownerReferences": [control_reference(&SERVICE, service)],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    });
    world.create(&ENDPOINT_SLICE, value)?;
    Ok(())
}

/// The Services that select a Pod or, with its earlier labels, did.
pub(super) fn selecting(world: &World, namespace: &str, pods: [Option<&Value>; 2]) -> Vec<ObjectKey> {
    let mut services = world.list(&SERVICE, Some(namespace));
    services.retain(|service| {
        let selector = &service.value["spec"]["selector"];
        selector.as_object().is_some_and(|selector| !selector.is_empty())
            && pods.iter().flatten().any(|pod| has_all(selector, &pod["metadata"]["labels"]))
    });
    services.iter().map(|service| SERVICE.key(namespace, object::name(&service.value))).collect()
}
