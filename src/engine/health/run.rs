//! Things with an outcome of their own: Jobs and Workflows, which run to an
//! end, and volume claims, which get bound.

use serde_json::Value;

use super::Status::{Degraded, Healthy, Progressing, Suspended, Unknown};
use super::{Health, condition, text};

pub(super) fn job(live: &Value) -> Health {
    let holds = |kind| condition(live, kind).filter(|c| text(c, &["status"]) == "True");
    let (status, of) = if let Some(failed) = holds("Failed") {
        (Degraded, failed)
    } else if let Some(complete) = holds("Complete") {
        (Healthy, complete)
    } else if let Some(suspended) = holds("Suspended") {
        (Suspended, suspended)
    } else {
        return Health::new(Progressing, "");
    };
    Health::new(status, text(of, &["message"]))
}

pub(super) fn workflow(live: &Value) -> Health {
    let status = match text(live, &["status", "phase"]) {
        "" | "Pending" | "Running" => Progressing,
        "Succeeded" => Healthy,
        "Failed" | "Error" => Degraded,
        _ => Unknown,
    };
    Health::new(status, text(live, &["status", "message"]))
}

pub(super) fn claim(live: &Value) -> Health {
    let status = match text(live, &["status", "phase"]) {
        "Lost" => Degraded,
        "Pending" => Progressing,
        "Bound" => Healthy,
        _ => Unknown,
    };
    Health::new(status, "")
}
