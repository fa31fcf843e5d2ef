//! Events: what controllers tell about what they do.

use argosy_model::object;
use serde_json::{Value, json};

use super::kind::{EVENT, Kind, NODE};
use super::world::{WorkError, World};

/// Tells something about an object, where events are wanted.
pub(crate) fn tell(
    world: &World,
    kind: &Kind,
    about: &Value,
    severity: &str,
    reason: &str,
    message: &str,
) -> Result<(), WorkError> {
    if !world.options.events {
        return Ok(());
    }
    let namespace = match object::namespace(about) {
        "" => "default",
        namespace => namespace,
    };
    let component = component(kind);
    let mut source = json!({"component": component});
    if component == "kubelet" {
        source["host"] = about["spec"]["nodeName"].clone();
    }
    let now = world.stamps.now();
    let event = json!({
        "metadata": {"name": format!("{}.{}", object::name(about), world.stamps.suffix(16)), "namespace": namespace},
        "involvedObject": {
            "apiVersion": kind.api_version(),
            "kind": kind.name,
            "name": object::name(about),
            "namespace": object::namespace(about),
            "uid": object::uid(about),
            "resourceVersion": object::resource_version(about),
        },
        "type": severity,
        "reason": reason,
        "message": message,
        "source": source,
        "reportingComponent": component,
        "reportingInstance": "",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "eventTime": null,
        "count": 1,
    });
    world.create(&EVENT, event)?;
    Ok(())
}

fn component(kind: &Kind) -> &'static str {
    match kind.resource {
        "deployments" => "deployment-controller",
        "replicasets" => "replicaset-controller",
        "statefulsets" => "statefulset-controller",
        "daemonsets" => "daemonset-controller",
        "jobs" => "job-controller",
        "cronjobs" => "cronjob-controller",
        "persistentvolumeclaims" => "persistentvolume-controller",
        "horizontalpodautoscalers" => "horizontal-pod-autoscaler",
        resource if resource == NODE.resource => "node-controller",
        _ => "kubelet",
    }
}
