//! Reading and editing Kubernetes objects of any kind, held as JSON values.
//! Every reader is total: what is absent or of another type reads as empty.

use serde_json::{Map, Value};

/// A string below `metadata`, or `""`.
fn metadata_str<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get("metadata").and_then(|m| m.get(field)).and_then(Value::as_str).unwrap_or("")
}

/// `metadata.name`.
pub fn name(object: &Value) -> &str {
    metadata_str(object, "name")
}

/// `metadata.namespace`, empty for cluster-scoped objects.
pub fn namespace(object: &Value) -> &str {
    metadata_str(object, "namespace")
}

/// `metadata.uid`.
pub fn uid(object: &Value) -> &str {
    metadata_str(object, "uid")
}

/// `metadata.resourceVersion`.
pub fn resource_version(object: &Value) -> &str {
    metadata_str(object, "resourceVersion")
}

/// `metadata.generateName`.
pub fn generate_name(object: &Value) -> &str {
    metadata_str(object, "generateName")
}

/// Whether the API server has marked the object for deletion.
pub fn is_deleting(object: &Value) -> bool {
    !metadata_str(object, "deletionTimestamp").is_empty()
}

/// One annotation's value.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// One label's value.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("labels")?.get(key)?.as_str()
}

/// `metadata.finalizers` that are strings.
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    object
        .get("metadata")
        .and_then(|m| m.get("finalizers"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// The items of a comma-separated annotation, trimmed, empty ones left out.
pub fn annotation_list<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    annotation(object, key).unwrap_or("").split(',').map(str::trim).filter(|s| !s.is_empty())
}

/// Sets an annotation, making the maps above it where they are missing.
pub fn set_annotation(object: &mut Value, key: &str, value: &str) {
    if let Some(map) = metadata_map(object, "annotations") {
        map.insert(key.to_owned(), Value::String(value.to_owned()));
    }
}

/// Sets a label, making the maps above it where they are missing.
pub fn set_label(object: &mut Value, key: &str, value: &str) {
    if let Some(map) = metadata_map(object, "labels") {
        map.insert(key.to_owned(), Value::String(value.to_owned()));
    }
}

/// Removes an annotation, and the map when it was the last.
pub fn remove_annotation(object: &mut Value, key: &str) {
    remove_from(object, "annotations", key);
}

/// Removes a label, and the map when it was the last.
pub fn remove_label(object: &mut Value, key: &str) {
    remove_from(object, "labels", key);
}

/// Sets `metadata.namespace`; an empty one removes the field.
pub fn set_namespace(object: &mut Value, namespace: &str) {
    let Some(metadata) = metadata(object) else { return };
    if namespace.is_empty() {
        metadata.remove("namespace");
    } else {
        metadata.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
    }
}

/// Follows a path of field names.
pub fn get<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, field| value.get(field))
}

/// The `metadata` map, made where it is missing; `None` when the object is not
/// a map or its metadata is something else.
pub fn metadata(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let metadata = object.as_object_mut()?.entry("metadata").or_insert(Value::Null);
    if metadata.is_null() {
        *metadata = Value::Object(Map::new());
    }
    metadata.as_object_mut()
}

fn metadata_map<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Map<String, Value>> {
    let map = metadata(object)?.entry(field).or_insert(Value::Null);
    if map.is_null() {
        *map = Value::Object(Map::new());
    }
    map.as_object_mut()
}

fn remove_from(object: &mut Value, field: &str, key: &str) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let Some(map) = metadata.get_mut(field).and_then(Value::as_object_mut) else { return };
    map.remove(key);
    if map.is_empty() {
        metadata.remove(field);
    }
}
