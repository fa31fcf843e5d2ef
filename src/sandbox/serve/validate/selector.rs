//! Label selectors in objects.

use serde_json::{Map, Value};

use super::texts::{items, labels, not_label_value, not_qualified, refuse, text};
use crate::failure::Fault;

/// Whether it selects by nothing.
pub(super) fn is_empty(selector: &Value) -> bool {
    let labels = selector.get("matchLabels").and_then(Value::as_object).is_none_or(Map::is_empty);
    labels && items(selector, "/matchExpressions").next().is_none()
}

/// What is wrong with it.
pub(super) fn all(field: &str, selector: &Value, faults: &mut Vec<Fault>) {
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    labels(&format!("{field}.matchLabels"), wanted, faults);
    for (i, one) in items(selector, "/matchExpressions") {
        let place = format!("{field}.matchExpressions[{i}]");
        let some = items(one, "/values").next().is_some();
        match text(one, "/operator") {
            "In" | "NotIn" if !some => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                faults.push(Fault::required(format!("{place}.values"), detail));
            }
            "Exists" | "DoesNotExist" if some => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                faults.push(Fault::forbidden(format!("{place}.values"), detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                faults.push(Fault::invalid(
                    format!("{place}.operator"),
                    &other.into(),
                    "not a valid selector operator",
                ));
            }
        }
        refuse(&format!("{place}.key"), text(one, "/key"), not_qualified(text(one, "/key")), faults);
        for (j, value) in items(one, "/values") {
            let value = value.as_str().unwrap_or("");
            refuse(&format!("{place}.values[{j}]"), value, not_label_value(value), faults);
        }
    }
}

/// Whether labels are selected.
pub(super) fn matches(selector: &Value, labels: &Map<String, Value>) -> bool {
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    wanted.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
        && items(selector, "/matchExpressions").all(|(_, one)| {
            let label = labels.get(text(one, "/key"));
            let is_among = label.is_some_and(|label| items(one, "/values").any(|(_, value)| value == label));
            match text(one, "/operator") {
                "In" => is_among,
                "NotIn" => !is_among,
                "Exists" => label.is_some(),
                "DoesNotExist" => label.is_none(),
                _ => false,
            }
        })
}
