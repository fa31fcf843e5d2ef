//! Cron jobs and jobs.

use argosy_model::object;
use serde_json::{Value, json};

use super::edit::{is_present, is_set, set, text, without_nulls};
use super::{Action, Call, Effect, When};

const CRON_JOB: &[(&str, &str)] = &[("batch", "CronJob")];
const JOB: &[(&str, &str)] = &[("batch", "Job")];
const SUSPEND: &[&str] = &["spec", "suspend"];

pub(super) const ROWS: &[Action] = &[
    Action {
        kinds: CRON_JOB,
        name: "create-job",
        icon: "fa fa-fw fa-plus",
        label: "Create Job",
        effect: Effect::Create(create_job),
        ..Action::BLANK
    },
    Action {
        kinds: CRON_JOB,
        name: "resume",
        icon: "fa fa-fw fa-play",
        when: |o| When::shown_if(is_set(o, SUSPEND)),
        effect: Effect::Patch(resume),
        ..Action::BLANK
    },
    Action {
        kinds: CRON_JOB,
        name: "suspend",
        icon: "fa fa-fw fa-pause",
        when: |o| When::shown_if(!is_set(o, SUSPEND)),
        effect: Effect::Patch(suspend),
        ..Action::BLANK
    },
    Action {
        kinds: JOB,
        name: "resume",
        icon: "fa fa-fw fa-play",
        when: |o| When::shown_if(!has_ended(o) && is_set(o, SUSPEND)),
        effect: Effect::Patch(resume),
        ..Action::BLANK
    },
    Action {
        kinds: JOB,
        name: "suspend",
        icon: "fa fa-fw fa-pause",
        when: |o| When::shown_if(!has_ended(o) && !is_set(o, SUSPEND)),
        effect: Effect::Patch(suspend),
        ..Action::BLANK
    },
    Action {
        kinds: JOB,
        name: "terminate",
        icon: "fa fa-fw fa-stop",
        when: |o| When::shown_if(!has_ended(o) && is_present(o, &["status"])),
        effect: Effect::Patch(terminate),
        ..Action::BLANK
    },
];

/// `spec.suspend: true`, as many kinds have it.
pub(super) fn suspend(object: &mut Value, _: &Call<'_>) -> Result<(), String> {
    set(object, SUSPEND, true)
}

/// `spec.suspend: false`, where it is true.
pub(super) fn resume(object: &mut Value, _: &Call<'_>) -> Result<(), String> {
    if is_set(object, SUSPEND) { set(object, SUSPEND, false) } else { Ok(()) }
}

/// A job as the cron job would make it now.
fn create_job(cron: &Value, call: &Call<'_>) -> Value {
    let template = |field| object::get(cron, &["spec", "jobTemplate", field]).map(without_nulls);
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": template("metadata").filter(Value::is_object).unwrap_or_else(|| json!({})),
        "spec": template("spec").unwrap_or_else(|| json!({})),
    });
    object::set_annotation(&mut job, "cronjob.kubernetes.io/instantiate", "manual");
    job["metadata"]["name"] = format!("{}-{}", object::name(cron), call.stamp("%y%m%d%H%M")).into();
    object::set_namespace(&mut job, object::namespace(cron));
    let mut owner = owner(cron);
    owner["blockOwnerDeletion"] = true.into();
    owner["controller"] = true.into();
    job["metadata"]["ownerReferences"] = json!([owner]);
    job
}

/// A reference to the object that another is made of.
pub(super) fn owner(object: &Value) -> Value {
    json!({
        "apiVersion": text(object, &["apiVersion"]),
        "kind": text(object, &["kind"]),
        "name": object::name(object),
        "uid": object::uid(object),
    })
}

fn has_ended(job: &Value) -> bool {
    let conditions = object::get(job, &["status", "conditions"]).and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| {
        let ends = ["Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"];
        ends.contains(&text(c, &["type"])) && text(c, &["status"]) == "True"
    })
}

/// The condition that makes the job's controller stop it.
fn terminate(job: &mut Value, call: &Call<'_>) -> Result<(), String> {
    if has_ended(job) || !is_present(job, &["status"]) {
        return Ok(());
    }
    let known = object::get(job, &["status", "conditions"]).and_then(Value::as_array);
    let mut conditions = known.cloned().unwrap_or_default();
    conditions.push(json!({
        "lastTransitionTime": call.rfc3339(),
        "message": "Job was terminated explicitly through Argo CD",
        "reason": "ManuallyTerminated",
        "status": "True",
        "type": "FailureTarget",
    }));
    set(job, &["status", "conditions"], conditions)
}
