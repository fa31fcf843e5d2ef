//! What Go calls the types of values: for messages about wrong ones.

use serde_json::Value;

use super::decode::reference;

pub(super) fn go_int(format: &str) -> &'static str {
    if format == "int64" { "int64" } else { "int32" }
}

/// `v1.PodSpec` of a definition's name.
pub(super) fn go_struct(definition: &str) -> String {
    let mut parts = definition.rsplit('.');
    let name = parts.next().unwrap_or_default();
    let package = parts.next().unwrap_or_default();
    format!("{package}.{name}")
}

fn go_type(schema: &Value) -> String {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or("");
    match (reference(schema), schema.get("type").and_then(Value::as_str)) {
        (Some(name), _) => go_struct(name),
        (None, Some("integer")) => go_int(format).to_owned(),
        (None, Some("boolean")) => "bool".to_owned(),
        (None, Some("array")) => go_list(schema),
        (None, Some("object")) => go_map(schema),
        _ if format == "byte" => "[]uint8".to_owned(),
        _ => "string".to_owned(),
    }
}

pub(super) fn go_list(schema: &Value) -> String {
    format!("[]{}", schema.get("items").map_or_else(|| "interface {}".to_owned(), go_type))
}

pub(super) fn go_map(schema: &Value) -> String {
    format!("map[string]{}", schema.get("additionalProperties").map_or_else(|| "interface {}".to_owned(), go_type))
}
