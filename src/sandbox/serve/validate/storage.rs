//! StorageClasses, volumes and claims.

use argosy_engine::schema::quantity::Quantity;
use serde_json::{Value, json};

use super::texts::{items, not_subdomain, one_of, refuse, text};
use crate::failure::Fault;

const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

pub(super) fn class(value: &Value, faults: &mut Vec<Fault>) {
    if text(value, "/provisioner").is_empty() {
        faults.push(Fault::required("provisioner", ""));
    }
    one_of("reclaimPolicy", value.get("reclaimPolicy"), &["Delete", "Retain"], faults);
    one_of("volumeBindingMode", value.get("volumeBindingMode"), &["Immediate", "WaitForFirstConsumer"], faults);
}

pub(super) fn claim(value: &Value, faults: &mut Vec<Fault>) {
    let nothing = json!({});
    let spec = value.get("spec").unwrap_or(&nothing);
    if items(spec, "/accessModes").next().is_none() {
        faults.push(Fault::required("spec.accessModes", "at least 1 access mode is required"));
    }
    for (_, mode) in items(spec, "/accessModes") {
        one_of("spec.accessModes", Some(mode), &MODES, faults);
    }
    match spec.pointer("/resources/requests/storage") {
        None => faults.push(Fault::required("spec.resources[storage]", "")),
        Some(size) => {
            if Quantity::parse(size).is_none_or(|size| size.milli() <= 0) {
                faults.push(Fault::invalid("spec.resources[storage]", size, "must be greater than zero"));
            }
        }
    }
    if let Some(class) = spec.get("storageClassName").and_then(Value::as_str).filter(|class| !class.is_empty()) {
        refuse("spec.storageClassName", class, not_subdomain(class), faults);
    }
    one_of("spec.volumeMode", spec.get("volumeMode"), &["Block", "Filesystem"], faults);
}

pub(super) fn volume(value: &Value, faults: &mut Vec<Fault>) {
    const OTHERS: [&str; 9] = [
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    ];
    let nothing = json!({});
    let spec = value.get("spec").unwrap_or(&nothing);
    if items(spec, "/accessModes").next().is_none() {
        faults.push(Fault::required("spec.accessModes", ""));
    }
    for (_, mode) in items(spec, "/accessModes") {
        one_of("spec.accessModes", Some(mode), &MODES, faults);
    }
    let capacity = spec.get("capacity").and_then(Value::as_object).filter(|capacity| !capacity.is_empty());
    if capacity.is_none() {
        faults.push(Fault::required("spec.capacity", ""));
    }
    if !capacity.is_some_and(|capacity| capacity.contains_key("storage") && capacity.len() == 1) {
        let shown = capacity.cloned().map_or(Value::Null, Value::Object);
        faults.push(Fault::unsupported("spec.capacity", &shown, &["storage"]));
    }
    let mut sources = spec.as_object().into_iter().flatten().filter(|(name, _)| !OTHERS.contains(&name.as_str()));
    if sources.next().is_none() {
        faults.push(Fault::required("spec", "must specify a volume type"));
    }
}
