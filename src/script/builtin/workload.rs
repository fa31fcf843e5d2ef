//! Deployments, stateful sets and daemon sets: restart, pause, resume, scale.

use serde_json::Value;

use super::edit::{is_set, remove, set};
use super::{Action, Call, Effect, When};

const DEPLOYMENT: &[(&str, &str)] = &[("apps", "Deployment")];

pub(super) const ROWS: &[Action] = &[
    Action {
        kinds: DEPLOYMENT,
        name: "pause",
        icon: "fa fa-fw fa-pause-circle",
        when: |o| When::enabled_if(!is_set(o, &["spec", "paused"])),
        effect: Effect::Patch(|o, _| set(o, &["spec", "paused"], true)),
        ..Action::BLANK
    },
    Action {
        kinds: &[("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet")],
        name: "restart",
        icon: "fa fa-fw fa-redo",
        effect: Effect::Patch(restart),
        ..Action::BLANK
    },
    Action {
        kinds: DEPLOYMENT,
        name: "resume",
        icon: "fa fa-fw fa-play-circle",
        when: |o| When::enabled_if(is_set(o, &["spec", "paused"])),
        effect: Effect::Patch(|o, _| {
            remove(o, &["spec", "paused"]);
            Ok(())
        }),
        ..Action::BLANK
    },
    Action {
        kinds: &[("apps", "Deployment"), ("apps", "StatefulSet")],
        name: "scale",
        icon: "fa fa-fw fa-plus-circle",
        parameters: &["replicas"],
        effect: Effect::Patch(scale),
        ..Action::BLANK
    },
];

/// Pods are replaced because their template changes.
fn restart(object: &mut Value, call: &Call<'_>) -> Result<(), String> {
    let path = ["spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"];
    set(object, &path, call.rfc3339())
}

fn scale(object: &mut Value, call: &Call<'_>) -> Result<(), String> {
    let replicas = call.parameter("replicas").unwrap_or_default();
    set(object, &["spec", "replicas"], replica_count(replicas)?)
}

/// A whole number; what it may be is for the API server to say.
pub(super) fn replica_count(text: &str) -> Result<i64, String> {
    text.trim().parse().map_err(|_| format!("invalid number: {text}"))
}
