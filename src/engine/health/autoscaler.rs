//! HorizontalPodAutoscalers of every version. `autoscaling/v1` has its
//! conditions as JSON in an annotation, the later ones in `status`.

use argosy_model::object;
use serde_json::Value;

use super::Status::{Degraded, Healthy, Progressing, Unknown};
use super::{Health, items, text};

const CONDITIONS_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/conditions";

pub(super) fn autoscaler(live: &Value, version: &str) -> Health {
    if version == "v1" {
        return match object::annotation(live, CONDITIONS_ANNOTATION).map(serde_json::from_str::<Value>) {
            None => judge(std::iter::empty()),
            Some(Ok(conditions)) => judge(items(&conditions, &[])),
            Some(Err(error)) => Health::new(Unknown, format!("failed to read the conditions annotation: {error}")),
        };
    }
    judge(items(live, &["status", "conditions"]))
}

/// The first condition that says something decides, in the order in which the
/// controller writes them: able to scale, scaling active, scaling limited.
fn judge<'a>(conditions: impl Iterator<Item = &'a Value>) -> Health {
    for condition in conditions {
        let message = text(condition, &["message"]);
        if is_failing(condition) {
            return Health::new(Degraded, message);
        }
        if matches!(text(condition, &["type"]), "AbleToScale" | "ScalingLimited")
            && text(condition, &["status"]) == "True"
        {
            return Health::new(Healthy, message);
        }
    }
    Health::new(Progressing, "Waiting to Autoscale")
}

fn is_failing(condition: &Value) -> bool {
    let reason = text(condition, &["reason"]);
    match text(condition, &["type"]) {
        "AbleToScale" => matches!(reason, "FailedGetScale" | "FailedUpdateScale"),
        "ScalingActive" => {
            reason == "InvalidSelector"
                || reason.starts_with("FailedCompute")
                || (reason.starts_with("FailedGet") && reason.ends_with("Metric"))
        }
        _ => false,
    }
}
