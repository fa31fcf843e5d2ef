//! Saying how a wanted specification differs from the one that is there.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use tonic::Status;

/// What is said to somebody who creates what exists with another specification;
/// `None` where both are the same.
///
/// # Errors
/// `Internal` when one of them cannot be written as JSON, and so not be compared.
pub(crate) fn refusal<T: Serialize>(entity: &str, existing: &T, wanted: &T) -> Result<Option<String>, Status> {
    let json = |specification| {
        serde_json::to_value(specification).map_err(|error| {
            tracing::warn!(entity, %error, "a specification cannot be written as JSON");
            Status::internal(format!("the {entity} cannot be compared with the one that exists"))
        })
    };
    let mut keys = BTreeSet::new();
    collect(&json(existing)?, &json(wanted)?, "", &mut keys);
    if keys.is_empty() {
        return Ok(None);
    }
    let keys: Vec<String> = keys.into_iter().collect();
    Ok(Some(format!(
        "existing {entity} spec is different; use upsert flag to force update; difference in keys {:?}",
        keys.join(",")
    )))
}

/// Paths at which the two differ, by their JSON names.
fn collect(a: &Value, b: &Value, path: &str, found: &mut BTreeSet<String>) {
    if a == b {
        return;
    }
    let (Value::Object(left), Value::Object(right)) = (a, b) else {
        found.insert(path.to_owned());
        return;
    };
    for key in left.keys().chain(right.keys()) {
        let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let get = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
        collect(&get(left), &get(right), &inner, found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_paths_that_differ_are_named_and_equal_specifications_are_not_refused() {
        assert_eq!(refusal("project", &json!({"a": 1}), &json!({"a": 1})).unwrap(), None);
        let message = refusal("project", &json!({"a": {"b": 1}, "c": 2}), &json!({"a": {"b": 2}})).unwrap().unwrap();
        assert!(message.ends_with(r#"difference in keys "a.b,c""#), "{message}");
    }
}
