//! Reading and changing fields by their path.

use argosy_model::object;
use serde_json::{Map, Value};

/// A string at a path; empty when there is none.
pub(super) fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    object::get(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a field is there and neither null nor false.
pub(super) fn is_set(value: &Value, path: &[&str]) -> bool {
    object::get(value, path).is_some_and(|v| !matches!(v, Value::Null | Value::Bool(false)))
}

/// Whether a field is there and not null.
pub(super) fn is_present(value: &Value, path: &[&str]) -> bool {
    object::get(value, path).is_some_and(|v| !v.is_null())
}

/// How many items an array at a path has.
pub(super) fn length(value: &Value, path: &[&str]) -> usize {
    object::get(value, path).and_then(Value::as_array).map_or(0, Vec::len)
}

/// A number, also one written as text.
pub(super) fn number(value: &Value, path: &[&str]) -> Option<i64> {
    match object::get(value, path)? {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_i64(),
    }
}

/// Sets a field, making the maps above it where they are missing.
///
/// # Errors
/// When something on the way is no map.
pub(super) fn set(value: &mut Value, path: &[&str], to: impl Into<Value>) -> Result<(), String> {
    let Some((last, above)) = path.split_last() else { return Ok(()) };
    let mut at = value;
    for field in above {
        at = map(at, path)?.entry(*field).or_insert(Value::Null);
    }
    map(at, path)?.insert((*last).to_owned(), to.into());
    Ok(())
}

/// Removes a field, if it is there.
pub(super) fn remove(value: &mut Value, path: &[&str]) {
    let Some((last, above)) = path.split_last() else { return };
    let parent = above.iter().try_fold(value, |at, field| at.get_mut(*field));
    if let Some(Value::Object(parent)) = parent {
        parent.remove(*last);
    }
}

/// Sets an annotation.
///
/// # Errors
/// When the object has no room for annotations.
pub(super) fn annotate(value: &mut Value, key: &str, to: impl Into<Value>) -> Result<(), String> {
    set(value, &["metadata", "annotations", key], to)
}

/// Removes an annotation.
pub(super) fn unannotate(value: &mut Value, key: &str) {
    remove(value, &["metadata", "annotations", key]);
}

fn map<'a>(value: &'a mut Value, path: &[&str]) -> Result<&'a mut Map<String, Value>, String> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().ok_or_else(|| format!("{} cannot be set: something above it is no map", path.join(".")))
}

/// Without nulls, at any depth: what an API server shows as null was never set.
pub(super) fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}
