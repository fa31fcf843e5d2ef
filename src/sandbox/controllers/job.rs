//! Jobs: Pods until enough of them have succeeded, or too many have failed.

use std::sync::Arc;
use std::time::Duration;

use argosy_model::object;
use serde_json::{Value, json};

use super::condition::{self, Condition};
use super::event;
use super::kind::{JOB, POD};
use super::template::{self, PodName};
use super::world::{Next, WorkError, World, count, nonzero, text, time, until};
use crate::lifecycle::Propagation;
use crate::stamp::seconds;
use crate::store::{Object, ObjectKey};

const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// What is known of a Job's Pods.
struct Tally {
    active: Vec<Arc<Object>>,
    ready: i64,
    succeeded: i64,
    failed: i64,
    /// Starts of containers again, which count as failures of a Job whose Pods restart.
    restarts: i64,
}

/// Does the next step of a Job.
pub(super) fn reconcile(world: &World, key: &ObjectKey) -> Result<Next, WorkError> {
    let Some(job) = world.store.get(key) else { return Ok(None) };
    let job = &job.value;
    if object::is_deleting(job) {
        return Ok(None);
    }
    if job["spec"]["selector"].is_null() {
        world.update(key, complete)?;
        return Ok(Some(Duration::ZERO));
    }
    let now = world.stamps.timestamp();
    if is_over(job) {
        return expire(world, key, job, now);
    }
    let tally = Tally::of(job, &world.controlled(job, &POD));
    let verdict = judge(job, &tally, now);
    if verdict.is_some() || job["spec"]["suspend"] == true {
        remove(world, &tally.active)?;
    } else {
        let missing = missing(job, &tally);
        create(world, job, missing)?;
    }
    if let Some((kind, reason, message)) = &verdict {
        let (severity, told) = if *kind == "Complete" { ("Normal", "Completed") } else { ("Warning", *reason) };
        event::tell(world, &JOB, job, severity, told, message)?;
    }
    let status = plan_status(job, &tally, verdict.as_ref(), now);
    let next = deadline(job, &status, now);
    let over = verdict.is_some();
    world.set_status(key, status)?;
    // Its time to live begins at once.
    Ok(if over { Some(Duration::ZERO) } else { next })
}

/// Gives a Job the selector and the labels of its Pods, as the API server does
/// with those that come as requests.
fn complete(job: &mut Value) {
    let (uid, name) = (object::uid(job).to_owned(), object::name(job).to_owned());
    job["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    let template = &mut job["spec"]["template"];
    for (label, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("job-name", &name),
    ] {
        object::set_label(template, label, value);
    }
}

// === impl Tally ===

impl Tally {
    fn of(job: &Value, pods: &[Arc<Object>]) -> Self {
        let phase = |pod: &Object| text(&pod.value, &["status", "phase"]).to_owned();
        let number = |wanted: &str| i64::try_from(pods.iter().filter(|pod| phase(pod) == wanted).count()).unwrap_or(0);
        let active: Vec<Arc<Object>> = pods
            .iter()
            .filter(|pod| !object::is_deleting(&pod.value) && !matches!(phase(pod).as_str(), "Succeeded" | "Failed"))
            .cloned()
            .collect();
        let ready = active.iter().filter(|pod| condition::is_true(&pod.value, "Ready")).count();
        Self {
            ready: i64::try_from(ready).unwrap_or(0),
            restarts: active
                .iter()
                .map(|pod| count(&pod.value["status"]["containerStatuses"][0], &["restartCount"], 0))
                .sum(),
            active,
            // Pods that were counted and then removed stay counted.
            succeeded: number("Succeeded").max(count(job, &["status", "succeeded"], 0)),
            failed: number("Failed").max(count(job, &["status", "failed"], 0)),
        }
    }
}

type Verdict = (&'static str, &'static str, String);

/// Whether the Job is over: the condition, its reason and its message.
fn judge(job: &Value, tally: &Tally, now: jiff::Timestamp) -> Option<Verdict> {
    let needed = job["spec"]["completions"].as_i64();
    let complete = match needed {
        Some(needed) => tally.succeeded >= needed,
        // Without a number, the first success ends it once the others have ended.
        None => tally.succeeded > 0 && tally.active.is_empty(),
    };
    if complete {
        let message = "Reached expected number of succeeded pods".to_owned();
        return Some(("Complete", "CompletionsReached", message));
    }
    let limit = count(job, &["spec", "backoffLimit"], 6);
    if tally.failed + tally.restarts > limit {
        let message = "Job has reached the specified backoff limit".to_owned();
        return Some(("Failed", "BackoffLimitExceeded", message));
    }
    let started = time(job, &["status", "startTime"])?;
    let allowed = job["spec"]["activeDeadlineSeconds"].as_i64()?;
    (now.duration_since(started).as_secs() >= allowed)
        .then(|| ("Failed", "DeadlineExceeded", "Job was active longer than specified deadline".to_owned()))
}

fn is_over(job: &Value) -> bool {
    condition::is_true(job, "Complete") || condition::is_true(job, "Failed")
}

/// How many Pods are to be made now.
fn missing(job: &Value, tally: &Tally) -> i64 {
    let parallelism = count(job, &["spec", "parallelism"], 1);
    let active = i64::try_from(tally.active.len()).unwrap_or(i64::MAX);
    let wanted = match job["spec"]["completions"].as_i64() {
        Some(completions) => parallelism.min(completions - tally.succeeded),
        None if tally.succeeded > 0 => active,
        None => parallelism,
    };
    (wanted - active).max(0)
}

fn create(world: &World, job: &Value, missing: i64) -> Result<(), WorkError> {
    if missing == 0 {
        return Ok(());
    }
    let indexed = text(job, &["spec", "completionMode"]) == "Indexed";
    let mut indexes = if indexed { free_indexes(world, job) } else { Vec::new() }.into_iter();
    for _ in 0..missing {
        let index = indexes.next();
        let prefix = match index {
            Some(index) => format!("{}-{index}-", object::name(job)),
            None => format!("{}-", object::name(job)),
        };
        let mut pod = template::pod(&JOB, job, &job["spec"]["template"], &PodName::Prefix(&prefix));
        if let Some(index) = index {
            object::set_label(&mut pod, INDEX, &index.to_string());
            object::set_annotation(&mut pod, INDEX, &index.to_string());
        }
        if let Some(pod) = world.create(&POD, pod)? {
            let message = format!("Created pod: {}", object::name(&pod.value));
            event::tell(world, &JOB, job, "Normal", "SuccessfulCreate", &message)?;
        }
    }
    Ok(())
}

/// Indexes without a Pod that runs or has succeeded, lowest first.
fn free_indexes(world: &World, job: &Value) -> Vec<i64> {
    let taken: Vec<i64> = world
        .controlled(job, &POD)
        .iter()
        .filter(|pod| text(&pod.value, &["status", "phase"]) != "Failed" && !object::is_deleting(&pod.value))
        .filter_map(|pod| object::annotation(&pod.value, INDEX)?.parse().ok())
        .collect();
    (0..count(job, &["spec", "completions"], 1)).filter(|index| !taken.contains(index)).collect()
}

fn remove(world: &World, pods: &[Arc<Object>]) -> Result<(), WorkError> {
    for pod in pods {
        let key = POD.key(object::namespace(&pod.value), object::name(&pod.value));
        world.delete(&key, Propagation::Background)?;
    }
    Ok(())
}

fn plan_status(job: &Value, tally: &Tally, verdict: Option<&Verdict>, now: jiff::Timestamp) -> Value {
    let suspended = job["spec"]["suspend"] == true;
    let active = if verdict.is_some() || suspended { 0 } else { tally.active.len() };
    let mut status = nonzero(&[
        ("active", i64::try_from(active).unwrap_or(i64::MAX)),
        ("succeeded", tally.succeeded),
        ("failed", tally.failed),
    ]);
    status["ready"] = if active == 0 { 0 } else { tally.ready }.into();
    status["terminating"] = 0.into();
    status["uncountedTerminatedPods"] = json!({});
    let started = text(job, &["status", "startTime"]);
    if !started.is_empty() && !suspended {
        status["startTime"] = started.into();
    } else if !suspended {
        status["startTime"] = seconds(now).into();
    }
    let mut conditions = job["status"]["conditions"].clone();
    let mut set = |kind: &str, status: &str, reason: &str, message: &str| {
        conditions = condition::set(&conditions, &Condition { kind, status, reason, message }, now, false);
    };
    if suspended {
        set("Suspended", "True", "JobSuspended", "Job suspended");
    } else if condition::is_true(job, "Suspended") {
        set("Suspended", "False", "JobResumed", "Job resumed");
    }
    if let Some((kind, reason, message)) = verdict {
        let before = if *kind == "Complete" { "SuccessCriteriaMet" } else { "FailureTarget" };
        set(before, "True", reason, message);
        set(kind, "True", reason, message);
        if *kind == "Complete" {
            status["completionTime"] = seconds(now).into();
        }
    }
    if !conditions.is_null() {
        for one in conditions.as_array_mut().into_iter().flatten() {
            if one.get("lastProbeTime").is_none() {
                one["lastProbeTime"] = one["lastTransitionTime"].clone();
            }
        }
        status["conditions"] = conditions;
    }
    if text(job, &["spec", "completionMode"]) == "Indexed" && tally.succeeded > 0 {
        status["completedIndexes"] = match tally.succeeded {
            1 => "0".to_owned(),
            many => format!("0-{}", many - 1),
        }
        .into();
    }
    status
}

fn deadline(job: &Value, status: &Value, now: jiff::Timestamp) -> Option<Duration> {
    let allowed = job["spec"]["activeDeadlineSeconds"].as_i64()?;
    let started = time(status, &["startTime"])?;
    Some(until(now, started.checked_add(jiff::SignedDuration::from_secs(allowed)).ok()?) + Duration::from_millis(1))
}

/// Removes a Job that is over when its time to live is.
fn expire(world: &World, key: &ObjectKey, job: &Value, now: jiff::Timestamp) -> Result<Next, WorkError> {
    let Some(seconds) = job["spec"]["ttlSecondsAfterFinished"].as_i64() else { return Ok(None) };
    let ended =
        ["Complete", "Failed"].iter().find_map(|kind| time(condition::find(job, kind), &["lastTransitionTime"]));
    let end = ended.unwrap_or(now).checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(now);
    let wait = until(now, end);
    if !wait.is_zero() {
        return Ok(Some(wait));
    }
    world.delete(key, Propagation::Foreground)?;
    Ok(None)
}
