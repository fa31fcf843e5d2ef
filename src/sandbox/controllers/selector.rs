//! Label selectors as objects have them.

use serde_json::Value;

/// Whether a selector of `matchLabels` and `matchExpressions` selects labels (a
/// map or null). An empty selector selects everything, an absent one nothing.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let Some(selector) = selector.as_object() else { return false };
    let exact = selector.get("matchLabels").is_none_or(|wanted| has_all(wanted, labels));
    let expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    exact && expressions.into_iter().all(|expression| holds(expression, labels))
}

/// Whether labels have all pairs of a map.
pub(crate) fn has_all(wanted: &Value, labels: &Value) -> bool {
    wanted.as_object().is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

fn holds(expression: &Value, labels: &Value) -> bool {
    let label = expression["key"].as_str().and_then(|key| labels.get(key));
    let listed = || label.is_some_and(|label| expression["values"].as_array().is_some_and(|v| v.contains(label)));
    match expression["operator"].as_str() {
        Some("In") => listed(),
        Some("NotIn") => !listed(),
        Some("Exists") => label.is_some(),
        Some("DoesNotExist") => label.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pairs_and_expressions_must_all_hold() {
        let labels = json!({"app": "web", "tier": "front"});
        let expressions = |operator, values: Value| json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": operator, "values": values}]});
        assert!(selects(&expressions("In", json!(["front", "back"])), &labels));
        assert!(!selects(&expressions("NotIn", json!(["front"])), &labels));
        assert!(selects(&expressions("Exists", Value::Null), &labels));
        assert!(!selects(&expressions("DoesNotExist", Value::Null), &labels));
        assert!(!selects(&json!({"matchLabels": {"app": "db"}}), &labels));
    }

    #[test]
    fn an_empty_selector_selects_all_and_none_selects_nothing() {
        assert!(selects(&json!({}), &Value::Null));
        assert!(!selects(&Value::Null, &json!({"a": "b"})));
    }
}
