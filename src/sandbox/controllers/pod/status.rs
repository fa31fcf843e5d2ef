//! The statuses of a Pod through its life.

use std::net::Ipv4Addr;

use argosy_model::object;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{now_text, set_condition};
use crate::controllers::world::{count, text, time};

/// Containers are being made.
pub(super) fn creating(pod: &Value, now: jiff::Timestamp) -> Value {
    let mut pod = pod.clone();
    let has_init = pod["spec"]["initContainers"].as_array().is_some_and(|list| !list.is_empty());
    pod["status"]["phase"] = "Pending".into();
    pod["status"]["startTime"] = now_text(now);
    pod["status"]["hostIP"] = "10.0.0.1".into();
    pod["status"]["hostIPs"] = json!([{"ip": "10.0.0.1"}]);
    set_condition(&mut pod, "PodReadyToStartContainers", "False", "", "", now);
    let (status, reason) = if has_init { ("False", "ContainersNotInitialized") } else { ("True", "") };
    set_condition(&mut pod, "Initialized", status, reason, "", now);
    not_ready(&mut pod, now);
    set_condition(&mut pod, "PodScheduled", "True", "", "", now);
    let reason = if has_init { "PodInitializing" } else { "ContainerCreating" };
    set_statuses(&mut pod, "containers", "containerStatuses", |container| {
        waiting(container, json!({"reason": reason}), 0)
    });
    set_statuses(&mut pod, "initContainers", "initContainerStatuses", |container| {
        waiting(container, json!({"reason": "PodInitializing"}), 0)
    });
    pod
}

/// An image cannot be pulled; containers with other images wait too.
pub(super) fn without_image(pod: &Value, image: &str, now: jiff::Timestamp) -> Value {
    let mut pod = pod.clone();
    let state = |container: &Value| {
        if container["image"] == image {
            let message = format!("Back-off pulling image {image:?}: ErrImagePull: {}", not_found(image));
            json!({"reason": "ImagePullBackOff", "message": message})
        } else {
            json!({"reason": "ContainerCreating"})
        }
    };
    set_statuses(&mut pod, "containers", "containerStatuses", |container| waiting(container, state(container), 0));
    set_statuses(&mut pod, "initContainers", "initContainerStatuses", |container| {
        waiting(container, state(container), 0)
    });
    not_ready(&mut pod, now);
    pod
}

/// Why an image cannot be pulled.
pub(super) fn not_found(image: &str) -> String {
    format!("rpc error: code = NotFound desc = failed to pull and unpack image {image:?}: not found")
}

/// All containers run.
pub(super) fn running(pod: &Value, ready: bool, restarts: i64, now: jiff::Timestamp) -> Value {
    let mut pod = pod.clone();
    let ip = address(object::uid(&pod));
    pod["status"]["phase"] = "Running".into();
    pod["status"]["podIP"] = ip.as_str().into();
    pod["status"]["podIPs"] = json!([{"ip": ip}]);
    set_condition(&mut pod, "PodReadyToStartContainers", "True", "", "", now);
    set_condition(&mut pod, "Initialized", "True", "", "", now);
    if ready {
        set_condition(&mut pod, "Ready", "True", "", "", now);
        set_condition(&mut pod, "ContainersReady", "True", "", "", now);
    } else {
        not_ready(&mut pod, now);
    }
    let uid = object::uid(&pod).to_owned();
    let earlier = pod["status"]["containerStatuses"].clone();
    set_statuses(&mut pod, "containers", "containerStatuses", |container| {
        let mut status = container_status(container, json!({"running": {"startedAt": now_text(now)}}), restarts);
        status["ready"] = ready.into();
        status["started"] = true.into();
        status["containerID"] = container_id(&uid, container, restarts).into();
        status["lastState"] = last_state(&earlier, container);
        status
    });
    set_statuses(&mut pod, "initContainers", "initContainerStatuses", |container| {
        let mut status = container_status(container, terminated(&uid, container, 0, now, now), 0);
        status["ready"] = true.into();
        status["started"] = false.into();
        status
    });
    pod
}

/// A container has failed and waits for its next start.
pub(super) fn backing_off(
    pod: &Value,
    code: i64,
    restarts: i64,
    since: jiff::Timestamp,
    now: jiff::Timestamp,
) -> Value {
    let mut pod = pod.clone();
    let uid = object::uid(&pod).to_owned();
    let name = format!("{}_{}({uid})", object::name(&pod), object::namespace(&pod));
    not_ready(&mut pod, now);
    set_statuses(&mut pod, "containers", "containerStatuses", |container| {
        let message = format!("back-off restarting failed container={} pod={name}", text(container, &["name"]));
        let mut status = waiting(container, json!({"reason": "CrashLoopBackOff", "message": message}), restarts);
        status["lastState"] = terminated(&uid, container, code, since, now);
        status
    });
    pod
}

/// All containers have ended for good.
pub(super) fn ended(pod: &Value, code: i64, since: jiff::Timestamp, now: jiff::Timestamp) -> Value {
    let mut pod = pod.clone();
    let uid = object::uid(&pod).to_owned();
    let (phase, reason) = if code == 0 { ("Succeeded", "PodCompleted") } else { ("Failed", "PodFailed") };
    pod["status"]["phase"] = phase.into();
    for kind in ["Ready", "ContainersReady"] {
        set_condition(&mut pod, kind, "False", reason, "", now);
    }
    let restarts = restarts(&pod);
    set_statuses(&mut pod, "containers", "containerStatuses", |container| {
        let mut status = container_status(container, terminated(&uid, container, code, since, now), restarts);
        status["containerID"] = container_id(&uid, container, restarts).into();
        status["started"] = false.into();
        status
    });
    pod
}

/// How often the containers were started again.
pub(super) fn restarts(pod: &Value) -> i64 {
    count(&pod["status"]["containerStatuses"][0], &["restartCount"], 0)
}

/// Since when the first container is in its state.
pub(super) fn since(pod: &Value) -> Option<jiff::Timestamp> {
    let status = &pod["status"]["containerStatuses"][0];
    time(status, &["state", "running", "startedAt"])
        .or_else(|| time(status, &["lastState", "terminated", "finishedAt"]))
}

/// Whether it waits for its next start.
pub(super) fn is_backing_off(pod: &Value) -> bool {
    pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
}

/// Names and images of the containers.
pub(super) fn images(pod: &Value) -> impl Iterator<Item = (&str, &str)> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers.map(|container| (text(container, &["name"]), text(container, &["image"])))
}

fn not_ready(pod: &mut Value, now: jiff::Timestamp) {
    let names: Vec<&str> = images(pod).map(|(name, _)| name).collect();
    let message = format!("containers with unready status: [{}]", names.join(" "));
    for kind in ["Ready", "ContainersReady"] {
        set_condition(pod, kind, "False", "ContainersNotReady", &message, now);
    }
}

fn set_statuses(pod: &mut Value, containers: &str, statuses: &str, status: impl Fn(&Value) -> Value) {
    let Some(all) = pod["spec"][containers].as_array().filter(|all| !all.is_empty()) else { return };
    let all: Vec<Value> = all.iter().map(status).collect();
    pod["status"][statuses] = all.into();
}

fn waiting(container: &Value, why: Value, restarts: i64) -> Value {
    let mut status = container_status(container, json!({"waiting": why}), restarts);
    status["started"] = false.into();
    status
}

fn container_status(container: &Value, state: Value, restarts: i64) -> Value {
    json!({
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": false,
        "restartCount": restarts,
        "state": state,
        "lastState": {},
    })
}

fn terminated(uid: &str, container: &Value, code: i64, since: jiff::Timestamp, now: jiff::Timestamp) -> Value {
    json!({"terminated": {
        "containerID": container_id(uid, container, 0),
        "exitCode": code,
        "reason": if code == 0 { "Completed" } else { "Error" },
        "startedAt": now_text(since),
        "finishedAt": now_text(now),
    }})
}

fn last_state(earlier: &Value, container: &Value) -> Value {
    let statuses = earlier.as_array().into_iter().flatten();
    let mut statuses = statuses.filter(|status| status["name"] == container["name"]);
    statuses.next().map_or_else(|| json!({}), |status| status["lastState"].clone())
}

fn container_id(uid: &str, container: &Value, restarts: i64) -> String {
    let digest = Sha256::digest(format!("{uid}/{}/{restarts}", text(container, &["name"])));
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("simulated://{hex}")
}

/// An address of the node's range, the same for the same Pod.
fn address(uid: &str) -> String {
    let digest = Sha256::digest(uid);
    Ipv4Addr::new(10, 128 | digest[0], digest[1], digest[2].max(1)).to_string()
}
