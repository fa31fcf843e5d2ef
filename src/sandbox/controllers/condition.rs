//! Conditions in a status: set, and stamped when they turn.

use serde_json::{Value, json};

use super::world::text;
use crate::stamp::seconds;

/// What a condition says.
#[derive(Clone, Debug)]
pub(crate) struct Condition<'a> {
    pub(crate) kind: &'a str,
    /// `True`, `False` or `Unknown`.
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

/// The conditions with one of them set. Its `lastTransitionTime` moves only when
/// its status does; `updates` keeps a `lastUpdateTime` too, which moves with anything.
pub(crate) fn set(conditions: &Value, new: &Condition<'_>, now: jiff::Timestamp, updates: bool) -> Value {
    let mut conditions = conditions.as_array().cloned().unwrap_or_default();
    let old = conditions.iter().position(|one| one["type"] == new.kind);
    let earlier = old.map(|at| conditions[at].clone()).unwrap_or_default();
    let now = seconds(now);
    let same_status = earlier["status"] == new.status;
    let same = same_status && earlier["reason"] == new.reason && earlier["message"] == new.message;
    if same {
        return conditions.into();
    }
    let since = if same_status { text(&earlier, &["lastTransitionTime"]) } else { now.as_str() };
    let mut condition = json!({"type": new.kind, "status": new.status, "lastTransitionTime": since});
    if !new.reason.is_empty() {
        condition["reason"] = new.reason.into();
    }
    if !new.message.is_empty() {
        condition["message"] = new.message.into();
    }
    if updates {
        condition["lastUpdateTime"] = now.into();
    }
    match old {
        Some(at) => conditions[at] = condition,
        None => conditions.push(condition),
    }
    conditions.into()
}

/// A condition by its type, or null.
pub(crate) fn find<'a>(value: &'a Value, kind: &str) -> &'a Value {
    let conditions = value["status"]["conditions"].as_array();
    conditions.and_then(|all| all.iter().find(|one| one["type"] == kind)).unwrap_or(&Value::Null)
}

/// Whether a condition is there and true.
pub(crate) fn is_true(value: &Value, kind: &str) -> bool {
    find(value, kind)["status"] == "True"
}
