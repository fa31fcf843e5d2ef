//! PersistentVolumeClaims: each gets a volume of its class, if there is one.

use argosy_model::object;
use serde_json::{Value, json};

use super::event;
use super::kind::{CLAIM, POD, STORAGE_CLASS, VOLUME};
use super::world::{Next, WorkError, World, text};
use crate::lifecycle::{Propagation, remove_finalizer};
use crate::store::ObjectKey;

const BOUND_BY: &str = "pv.kubernetes.io/bound-by-controller";
const BOUND: &str = "pv.kubernetes.io/bind-completed";
/// The finalizer of a claim that a Pod may use.
const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";
/// The finalizer of a volume that a claim may use.
const VOLUME_PROTECTION: &str = "kubernetes.io/pv-protection";
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// The class of claims that name none.
pub(crate) fn default_class(classes: &[std::sync::Arc<crate::store::Object>]) -> Option<&str> {
    let default = classes.iter().find(|class| object::annotation(&class.value, DEFAULT_CLASS) == Some("true"));
    default.map(|class| object::name(&class.value))
}

/// Binds a claim that is not bound.
pub(super) fn reconcile(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let Some(claim) = world.store.get(key) else { return Ok(None) };
    let claim = &claim.value;
    if object::is_deleting(claim) {
        return unprotect(world, key);
    }
    if text(claim, &["status", "phase"]) == "Bound" {
        return Ok(None);
    }
    let classes = world.list(&STORAGE_CLASS, None);
    let wanted = match claim["spec"]["storageClassName"].as_str() {
        Some(name) => Some(name),
        None => default_class(&classes),
    };
    let Some(class) = classes.iter().find(|class| Some(object::name(&class.value)) == wanted) else {
        return Ok(None);
    };
    let name = match text(claim, &["spec", "volumeName"]) {
        "" => format!("pvc-{}", object::uid(claim)),
        name => name.to_owned(),
    };
    let capacity = claim["spec"]["resources"]["requests"].clone();
    world.create(&VOLUME, volume(claim, &class.value, &name, &capacity))?;
    let class = object::name(&class.value).to_owned();
    world.update(key, |value| {
        value["spec"]["volumeName"] = name.as_str().into();
        value["spec"]["storageClassName"] = class.into();
        object::set_annotation(value, BOUND_BY, "yes");
        object::set_annotation(value, BOUND, "yes");
        value["status"] = json!({"phase": "Bound", "accessModes": value["spec"]["accessModes"], "capacity": capacity});
    })?;
    let message = format!("Successfully provisioned volume {name}");
    event::tell(world, &CLAIM, claim, "Normal", "ProvisioningSucceeded", &message)?;
    Ok(None)
}

/// Whether a Pod that has not ended uses a claim.
pub(super) fn uses(pod: &Value, claim: &str) -> bool {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    !matches!(text(pod, &["status", "phase"]), "Succeeded" | "Failed")
        && volumes.into_iter().any(|volume| volume["persistentVolumeClaim"]["claimName"] == claim)
}

/// Lets a claim that is deleted go, once no Pod uses it.
fn unprotect(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let pods = world.list(&POD, Some(&key.namespace));
    if !pods.iter().any(|pod| uses(&pod.value, &key.name)) {
        world.update(key, |value| remove_finalizer(value, CLAIM_PROTECTION))?;
    }
    Ok(None)
}

/// Lets a volume that is deleted go, once it is bound to no claim.
pub(super) fn reconcile_volume(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let Some(volume) = world.store.get(key) else { return Ok(None) };
    let reference = &volume.value["spec"]["claimRef"];
    let claim = CLAIM.key(text(reference, &["namespace"]), text(reference, &["name"]));
    let bound = world.store.get(&claim).is_some_and(|claim| object::uid(&claim.value) == text(reference, &["uid"]));
    if object::is_deleting(&volume.value) && !bound {
        world.update(key, |value| remove_finalizer(value, VOLUME_PROTECTION))?;
    }
    Ok(None)
}

/// Removes the volume of a claim that is gone, if its policy says so.
pub(super) fn release(world: &World, claim: &Value) -> Result<(), WorkError> {
    let name = text(claim, &["spec", "volumeName"]);
    let Some(volume) = world.get(&VOLUME, "", name) else { return Ok(()) };
    if volume.value["spec"]["claimRef"]["uid"] != object::uid(claim) {
        return Ok(());
    }
    if text(&volume.value, &["spec", "persistentVolumeReclaimPolicy"]) == "Delete" {
        return world.delete(&VOLUME.key("", name), Propagation::Background);
    }
    world.update(&VOLUME.key("", name), |value| value["status"]["phase"] = "Released".into())
}

fn volume(claim: &Value, class: &Value, name: &str, capacity: &Value) -> Value {
    json!({
        "metadata": {
            "name": name,
            "annotations": {"pv.kubernetes.io/provisioned-by": class["provisioner"]},
        },
        "spec": {
            "accessModes": claim["spec"]["accessModes"],
            "capacity": capacity,
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": object::name(claim),
                "namespace": object::namespace(claim),
                "uid": object::uid(claim),
            },
            "hostPath": {"path": format!("/var/local/{name}"), "type": "DirectoryOrCreate"},
            "persistentVolumeReclaimPolicy": class["reclaimPolicy"].as_str().unwrap_or("Delete"),
            "storageClassName": object::name(class),
            "volumeMode": claim["spec"]["volumeMode"].as_str().unwrap_or("Filesystem"),
        },
        "status": {"phase": "Bound"},
    })
}
