//! Rows of Pods and of what makes them.

use argosy_model::object;
use serde_json::{Value, json};

use super::text::{NONE, age, human, or_none, pairs, selector};
use crate::controllers::{count, is_true, time};

/// The age of an object.
pub(super) fn own_age(value: &Value, now: jiff::Timestamp) -> Value {
    age(&value["metadata"]["creationTimestamp"], now).into()
}

pub(super) fn pod(value: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let containers = value["spec"]["containers"].as_array().map_or(0, Vec::len);
    let statuses = || value["status"]["containerStatuses"].as_array().into_iter().flatten();
    let ready = statuses().filter(|status| status["ready"] == true && status["state"]["running"].is_object()).count();
    let restarts: i64 = statuses().map(|status| count(status, &["restartCount"], 0)).sum();
    let last = statuses().filter_map(|status| status["lastState"]["terminated"]["finishedAt"].as_str()).max();
    let restarts = match last {
        Some(last) if restarts > 0 => format!("{restarts} ({} ago)", age(&last.into(), now)),
        _ => restarts.to_string(),
    };
    let gates = value["spec"]["readinessGates"].as_array().filter(|gates| !gates.is_empty());
    let gates = gates.map_or(NONE.to_owned(), |gates| {
        let passed = gates.iter().filter_map(|gate| gate["conditionType"].as_str()).filter(|kind| is_true(value, kind));
        format!("{}/{}", passed.count(), gates.len())
    });
    vec![
        object::name(value).into(),
        format!("{ready}/{containers}").into(),
        pod_status(value).into(),
        restarts.into(),
        own_age(value, now),
        or_none(&value["status"]["podIP"]).into(),
        or_none(&value["spec"]["nodeName"]).into(),
        or_none(&value["status"]["nominatedNodeName"]).into(),
        gates.into(),
    ]
}

/// The one word for how a Pod is.
fn pod_status(value: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let phase = text(&value["status"]["phase"]);
    if object::is_deleting(value) && !matches!(phase.as_str(), "Succeeded" | "Failed") {
        return "Terminating".to_owned();
    }
    let mut reason = match value["status"]["reason"].as_str() {
        Some(reason) if !reason.is_empty() => reason.to_owned(),
        _ => phase,
    };
    let conditions = value["status"]["conditions"].as_array().into_iter().flatten();
    if conditions.into_iter().any(|one| one["type"] == "PodScheduled" && one["reason"] == "SchedulingGated") {
        reason = "SchedulingGated".to_owned();
    }
    if let Some(initializing) = initializing(value) {
        return initializing;
    }
    let (mut running, mut failed) = (false, None);
    for status in value["status"]["containerStatuses"].as_array().into_iter().flatten().rev() {
        let state = &status["state"];
        if let Some(waiting) = state["waiting"]["reason"].as_str().filter(|reason| !reason.is_empty()) {
            reason = waiting.to_owned();
        } else if state["terminated"].is_object() {
            reason = ended(&state["terminated"], "");
            if state["terminated"]["exitCode"] != 0 {
                failed = Some(reason.clone());
            }
        } else if status["ready"] == true && state["running"].is_object() {
            running = true;
        }
    }
    if reason == "Completed" {
        if running && is_true(value, "Ready") {
            return "Running".to_owned();
        }
        if let Some(failed) = failed {
            return failed;
        }
        if running {
            return "NotReady".to_owned();
        }
    }
    reason
}

/// How far the init containers are, while they are not done.
fn initializing(value: &Value) -> Option<String> {
    if is_true(value, "Initialized") {
        return None;
    }
    let total = value["spec"]["initContainers"].as_array().map_or(0, Vec::len);
    let statuses = value["status"]["initContainerStatuses"].as_array()?;
    let (at, status) =
        statuses.iter().enumerate().find(|(_, status)| status["state"]["terminated"]["exitCode"] != 0)?;
    let state = &status["state"];
    if state["terminated"].is_object() {
        return Some(ended(&state["terminated"], "Init:"));
    }
    match state["waiting"]["reason"].as_str() {
        Some(reason) if !reason.is_empty() && reason != "PodInitializing" => Some(format!("Init:{reason}")),
        _ => Some(format!("Init:{at}/{total}")),
    }
}

fn ended(terminated: &Value, prefix: &str) -> String {
    match terminated["reason"].as_str().filter(|reason| !reason.is_empty()) {
        Some(reason) => format!("{prefix}{reason}"),
        None if count(terminated, &["signal"], 0) != 0 => {
            format!("{prefix}Signal:{}", count(terminated, &["signal"], 0))
        }
        None => format!("{prefix}ExitCode:{}", count(terminated, &["exitCode"], 0)),
    }
}

fn of_status(value: &Value, field: &str) -> i64 {
    count(value, &["status", field], 0)
}

/// Names and images of a template's containers.
fn containers(template: &Value) -> [Value; 2] {
    let join = |field: &str| {
        let containers = template["spec"]["containers"].as_array().into_iter().flatten();
        containers.filter_map(|container| container[field].as_str()).collect::<Vec<_>>().join(",").into()
    };
    [join("name"), join("image")]
}

pub(super) fn deployment(value: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let [names, images] = containers(&value["spec"]["template"]);
    vec![
        object::name(value).into(),
        format!("{}/{}", of_status(value, "readyReplicas"), count(value, &["spec", "replicas"], 0)).into(),
        of_status(value, "updatedReplicas").into(),
        of_status(value, "availableReplicas").into(),
        own_age(value, now),
        names,
        images,
        selector(&value["spec"]["selector"]).into(),
    ]
}

pub(super) fn replica_set(value: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let [names, images] = containers(&value["spec"]["template"]);
    vec![
        object::name(value).into(),
        count(value, &["spec", "replicas"], 0).into(),
        of_status(value, "replicas").into(),
        of_status(value, "readyReplicas").into(),
        own_age(value, now),
        names,
        images,
        selector(&value["spec"]["selector"]).into(),
    ]
}

pub(super) fn stateful_set(value: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let [names, images] = containers(&value["spec"]["template"]);
    vec![
        object::name(value).into(),
        format!("{}/{}", of_status(value, "readyReplicas"), count(value, &["spec", "replicas"], 0)).into(),
        own_age(value, now),
        names,
        images,
    ]
}

pub(super) fn daemon_set(value: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let [names, images] = containers(&value["spec"]["template"]);
    vec![
        object::name(value).into(),
        of_status(value, "desiredNumberScheduled").into(),
        of_status(value, "currentNumberScheduled").into(),
        of_status(value, "numberReady").into(),
        of_status(value, "updatedNumberScheduled").into(),
        of_status(value, "numberAvailable").into(),
        pairs(&value["spec"]["template"]["spec"]["nodeSelector"]).into(),
        own_age(value, now),
        names,
        images,
        selector(&value["spec"]["selector"]).into(),
    ]
}

pub(super) fn job(value: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let [names, images] = containers(&value["spec"]["template"]);
    let succeeded = of_status(value, "succeeded");
    let completions = match (value["spec"]["completions"].as_i64(), count(value, &["spec", "parallelism"], 0)) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let duration = time(value, &["status", "startTime"]).map(|started| {
        let ended = time(value, &["status", "completionTime"]).unwrap_or(now);
        human(ended.duration_since(started).as_secs())
    });
    vec![
        object::name(value).into(),
        job_status(value).into(),
        completions.into(),
        duration.unwrap_or_default().into(),
        own_age(value, now),
        names,
        images,
        selector(&value["spec"]["selector"]).into(),
    ]
}

fn job_status(value: &Value) -> &'static str {
    match () {
        () if is_true(value, "Complete") => "Complete",
        () if is_true(value, "Failed") => "Failed",
        () if object::is_deleting(value) => "Terminating",
        () if is_true(value, "Suspended") => "Suspended",
        () if is_true(value, "FailureTarget") => "FailureTarget",
        () if is_true(value, "SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

pub(super) fn cron_job(value: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let job = &value["spec"]["jobTemplate"]["spec"];
    let [names, images] = containers(&job["template"]);
    let suspend = match value["spec"]["suspend"].as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    let last = &value["status"]["lastScheduleTime"];
    vec![
        object::name(value).into(),
        value["spec"]["schedule"].clone(),
        or_none(&value["spec"]["timeZone"]).into(),
        suspend.into(),
        json!(value["status"]["active"].as_array().map_or(0, Vec::len)),
        if last.is_null() { NONE.into() } else { age(last, now).into() },
        own_age(value, now),
        names,
        images,
        selector(&job["selector"]).into(),
    ]
}
