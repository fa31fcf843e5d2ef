//! CronJobs: a Job at each time of a schedule.

use std::sync::Arc;
use std::time::Duration;

use argosy_model::cron::Schedule;
use argosy_model::object;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::condition;
use super::event;
use super::kind::{CRON_JOB, JOB};
use super::world::{Next, WorkError, World, control_reference, count, text, time, until};
use crate::lifecycle::Propagation;
use crate::stamp::seconds;
use crate::store::{Object, ObjectKey};

/// Starts what is due, forgets what is old, and waits for the next time.
pub(super) fn reconcile(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let Some(cron) = world.store.get(key) else { return Ok(None) };
    let cron = &cron.value;
    if object::is_deleting(cron) {
        return Ok(None);
    }
    let mut jobs = world.controlled(cron, &JOB);
    jobs.sort_by_key(|job| text(&job.value, &["metadata", "creationTimestamp"]).to_owned());
    tidy(world, cron, &jobs)?;
    let now = world.stamps.timestamp();
    let mut status = status(cron, &jobs);
    let next = match plan(cron, now) {
        Plan::Never => None,
        Plan::At(then) => Some(until(now, then)),
        Plan::Now(due) => {
            if let Some(job) = start(world, cron, &jobs, due)? {
                let mut active = status["active"].as_array().cloned().unwrap_or_default();
                active.push(reference(&job.value));
                status["active"] = active.into();
            }
            status["lastScheduleTime"] = seconds(due).into();
            Some(Duration::ZERO)
        }
    };
    world.set_status(key, status)?;
    Ok(next)
}

#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// It is suspended, or its schedule has no more times.
    Never,
    At(jiff::Timestamp),
    /// Due since then.
    Now(jiff::Timestamp),
}

fn plan(cron: &Value, now: jiff::Timestamp) -> Plan {
    if cron["spec"]["suspend"] == true {
        return Plan::Never;
    }
    let Ok(schedule) = Schedule::parse(text(cron, &["spec", "schedule"])) else { return Plan::Never };
    let zone = match text(cron, &["spec", "timeZone"]) {
        "" => TimeZone::UTC,
        name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    };
    let created = time(cron, &["metadata", "creationTimestamp"]).unwrap_or(now);
    let last = time(cron, &["status", "lastScheduleTime"]).unwrap_or(created);
    // What was missed for long is made up for once, by the latest of it.
    let earliest = now.checked_sub(jiff::SignedDuration::from_hours(24)).unwrap_or(now).max(last);
    let mut due = None;
    let mut from = earliest;
    loop {
        let civil = from.to_zoned(zone.clone()).datetime();
        let next = schedule.next(civil).and_then(|next| next.to_zoned(zone.clone()).ok());
        let Some(next) = next.map(|next| next.timestamp()).filter(|next| *next > from) else {
            return due.map_or(Plan::Never, Plan::Now);
        };
        if next > now {
            let allowed = cron["spec"]["startingDeadlineSeconds"].as_i64();
            let in_time = |due: &jiff::Timestamp| allowed.is_none_or(|max| now.duration_since(*due).as_secs() <= max);
            return due.filter(in_time).map_or(Plan::At(next), Plan::Now);
        }
        due = Some(next);
        from = next;
    }
}

fn start(
    world: &World,
    cron: &Value,
    jobs: &[Arc<Object>],
    due: jiff::Timestamp,
) -> Result<Option<Arc<Object>>, WorkError> {
    let running: Vec<&Arc<Object>> = jobs.iter().filter(|job| !is_over(&job.value)).collect();
    match text(cron, &["spec", "concurrencyPolicy"]) {
        "Forbid" if !running.is_empty() => {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            event::tell(world, &CRON_JOB, cron, "Normal", "JobAlreadyActive", message)?;
            return Ok(None);
        }
        "Replace" => {
            for job in running {
                let key = JOB.key(object::namespace(&job.value), object::name(&job.value));
                world.delete(&key, Propagation::Background)?;
            }
        }
        _ => {}
    }
    let template = &cron["spec"]["jobTemplate"];
    let name = format!("{}-{}", object::name(cron), due.as_second() / 60);
    let mut metadata = json!({
        "name": name,
        "namespace": object::namespace(cron),
        "annotations": template["metadata"]["annotations"],
        "labels": template["metadata"]["labels"],
        "ownerReferences": [control_reference(&CRON_JOB, cron)],
    });
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.retain(|_, value| !value.is_null());
    }
    let mut job = json!({"metadata": metadata, "spec": template["spec"], "status": {}});
    object::set_annotation(&mut job, "batch.kubernetes.io/cronjob-scheduled-timestamp", &seconds(due));
    complete(&mut job);
    let made = world.create(&JOB, job)?;
    if made.is_some() {
        event::tell(world, &CRON_JOB, cron, "Normal", "SuccessfulCreate", &format!("Created job {name}"))?;
    }
    Ok(made)
}

/// What the API server would have filled in.
fn complete(job: &mut Value) {
    for (field, value) in [
        ("backoffLimit", json!(6)),
        ("completions", json!(1)),
        ("parallelism", json!(1)),
        ("completionMode", json!("NonIndexed")),
        ("suspend", json!(false)),
    ] {
        if job["spec"][field].is_null() {
            job["spec"][field] = value;
        }
    }
}

fn is_over(job: &Value) -> bool {
    condition::is_true(job, "Complete") || condition::is_true(job, "Failed")
}

fn reference(job: &Value) -> Value {
    json!({
        "apiVersion": JOB.api_version(),
        "kind": JOB.name,
        "name": object::name(job),
        "namespace": object::namespace(job),
        "uid": object::uid(job),
        "resourceVersion": object::resource_version(job),
    })
}

fn status(cron: &Value, jobs: &[Arc<Object>]) -> Value {
    let mut status = json!({});
    let active: Vec<Value> = jobs.iter().filter(|job| !is_over(&job.value)).map(|job| reference(&job.value)).collect();
    if !active.is_empty() {
        status["active"] = active.into();
    }
    if !cron["status"]["lastScheduleTime"].is_null() {
        status["lastScheduleTime"] = cron["status"]["lastScheduleTime"].clone();
    }
    let succeeded = jobs.iter().filter_map(|job| job.value["status"]["completionTime"].as_str());
    let succeeded = succeeded.chain(cron["status"]["lastSuccessfulTime"].as_str()).max();
    if let Some(time) = succeeded {
        status["lastSuccessfulTime"] = time.into();
    }
    status
}

/// Removes Jobs that are over beyond the limits of the history.
fn tidy(world: &World, cron: &Value, jobs: &[Arc<Object>]) -> Result<(), WorkError> {
    for (kind, field, default) in
        [("Complete", "successfulJobsHistoryLimit", 3), ("Failed", "failedJobsHistoryLimit", 1)]
    {
        let limit = usize::try_from(count(cron, &["spec", field], default)).unwrap_or(0);
        let over: Vec<&Arc<Object>> = jobs.iter().filter(|job| condition::is_true(&job.value, kind)).collect();
        for job in over.iter().take(over.len().saturating_sub(limit)) {
            let key = JOB.key(object::namespace(&job.value), object::name(&job.value));
            world.delete(&key, Propagation::Background)?;
        }
    }
    Ok(())
}
