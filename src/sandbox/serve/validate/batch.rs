//! Jobs and CronJobs.

use argosy_model::object;
use serde_json::{Value, json};

use super::texts::{at_least, not_negative, one_of, text};
use super::{pod, schedule, selector};
use crate::failure::Fault;

/// What a Job's Pods' names leave of 63 bytes for the CronJob's.
const LONGEST_NAME: usize = 52;

pub(super) fn job(value: &Value, faults: &mut Vec<Fault>) {
    let spec = value.get("spec").cloned().unwrap_or_else(|| json!({}));
    let uid = object::uid(value);
    if spec.get("manualSelector") != Some(&json!(true)) {
        let wanted = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
        if let Some(given) = spec.get("selector").filter(|given| **given != wanted) {
            faults.push(Fault::invalid("spec.selector", given, "`selector` not auto-generated"));
        }
    }
    unselected(value, faults);
    job_spec(&spec, "spec", faults);
}

/// The template is what the selector selects. Of a change this is asked twice.
pub(super) fn unselected(value: &Value, faults: &mut Vec<Fault>) {
    let labels = value.pointer("/spec/template/metadata/labels").and_then(Value::as_object);
    if let (Some(given), Some(labels)) = (value.pointer("/spec/selector"), labels)
        && !selector::matches(given, labels)
    {
        let (shown, detail) = (Value::Object(labels.clone()), "`selector` does not match template `labels`");
        faults.push(Fault::invalid("spec.template.metadata.labels", &shown, detail));
    }
}

fn job_spec(spec: &Value, path: &str, faults: &mut Vec<Fault>) {
    not_negative(
        spec,
        path,
        &["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"],
        faults,
    );
    one_of(format!("{path}.completionMode"), spec.get("completionMode"), &["Indexed", "NonIndexed"], faults);
    let indexed = spec.get("completionMode") == Some(&json!("Indexed"));
    if indexed && spec.get("completions").is_none_or(Value::is_null) {
        let detail = "when completion mode is Indexed";
        faults.push(Fault::required(format!("{path}.completions"), detail));
    }
    let template = format!("{path}.template");
    pod::template(spec.get("template"), &template, faults);
    let policy = spec.pointer("/template/spec/restartPolicy").and_then(Value::as_str).unwrap_or("");
    if !matches!(policy, "OnFailure" | "Never") {
        let message = "Required value: valid values: \"OnFailure\", \"Never\"";
        let field = format!("{template}.spec.restartPolicy");
        faults.push(Fault { reason: "FieldValueRequired", field, message: message.to_owned() });
    }
}

pub(super) fn cron_job(value: &Value, faults: &mut Vec<Fault>) {
    let nothing = json!({});
    let spec = value.get("spec").unwrap_or(&nothing);
    let schedule = text(spec, "/schedule");
    if schedule.is_empty() {
        faults.push(Fault::required("spec.schedule", ""));
    } else if let Err(why) = schedule::read(schedule) {
        faults.push(Fault::invalid("spec.schedule", &schedule.into(), &why));
    }
    not_negative(spec, "spec", &["startingDeadlineSeconds"], faults);
    if let Some(zone) = spec.get("timeZone").and_then(Value::as_str) {
        if zone.is_empty() {
            faults.push(Fault::invalid("spec.timeZone", &"".into(), "timeZone must be nil or non-empty string"));
        } else if zone.eq_ignore_ascii_case("local") {
            faults.push(Fault::invalid(
                "spec.timeZone",
                &zone.into(),
                "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
            ));
        } else if jiff::tz::db().get(zone).is_err() {
            faults.push(Fault::invalid("spec.timeZone", &zone.into(), &format!("unknown time zone {zone}")));
        }
    }
    one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), &["Allow", "Forbid", "Replace"], faults);
    job_spec(spec.pointer("/jobTemplate/spec").unwrap_or(&nothing), "spec.jobTemplate.spec", faults);
    at_least(spec, "spec", &["successfulJobsHistoryLimit", "failedJobsHistoryLimit"], 0, faults);
}

/// The name of a new CronJob leaves room for its Jobs'.
pub(super) fn cron_job_name(value: &Value, faults: &mut Vec<Fault>) {
    let name = object::name(value);
    if name.len() > LONGEST_NAME {
        let detail = format!("must be no more than {LONGEST_NAME} characters");
        faults.push(Fault::invalid("metadata.name", &name.into(), &detail));
    }
}
