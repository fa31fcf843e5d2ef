//! Who owns which field after a write.

use argosy_model::object;
use serde_json::{Value, json};

use super::api::{Api, Ask};
use crate::failure::Failure;
use crate::fields::{Applied, Managed, Writer};

/// Writes who owns what into the new state.
pub(super) fn own(
    api: &Api,
    ask: &Ask<'_>,
    old: Option<&Value>,
    new: &mut Value,
    applied: Option<&Value>,
) -> Result<(), Failure> {
    let now = api.stamps.now();
    let subresource = match ask.route.subresource {
        "status" | "scale" => ask.route.subresource,
        _ => "",
    };
    let api_version = ask.kind.api_version();
    let operation = if applied.is_some() { "Apply" } else { "Update" };
    // Scaling has no time.
    let now = Some(&*now).filter(|_| subresource != "scale");
    let writer = Writer { manager: &ask.field_manager, operation, api_version: &api_version, subresource, now };
    let status: &[&[&str]] = &[&["status"]];
    let all_else: &[&[&str]] = &[&["spec"], &["metadata"]];
    let reset: &[&[&str]] = match (subresource, ask.kind.has_status()) {
        ("status", _) => all_else,
        ("", true) => status,
        _ => &[],
    };
    let given = object::get(new, &["metadata", "managedFields"]).cloned();
    let is_reset = matches!(&given, Some(Value::Array(entries)) if entries.is_empty() || entries[..] == [json!({})]);
    let is_entry = |entry: &Value| {
        matches!(entry.get("operation").and_then(Value::as_str), Some("Apply" | "Update"))
            && entry.get("fieldsType").and_then(Value::as_str) == Some("FieldsV1")
    };
    let given = match given {
        Some(Value::Array(entries)) if !is_reset && !entries.iter().all(is_entry) => None,
        given => given,
    };
    let mut managed = match (&given, old) {
        (Some(Value::Array(entries)), _) if !entries.is_empty() && !is_reset => Managed::read(new),
        (None | Some(Value::Null), Some(old)) => Managed::read(old),
        _ => Managed::default(),
    };
    // What nobody owned before an update stays so: ownership begins with a creation or an apply.
    if applied.is_none() && old.is_some() && managed.is_empty() && !is_reset {
        set_managed(new, Value::Array(Vec::new()));
        return Ok(());
    }
    // Compared without what ownership itself says.
    let skeleton;
    let before = match old {
        Some(old) => old,
        None => {
            skeleton = ask.kind.skeleton();
            &skeleton
        }
    };
    if is_reset && old.is_some() {
        set_managed(new, Value::Array(Vec::new()));
        return Ok(());
    }
    match applied {
        Some(applied) => {
            let force = ask.query.is_true("force");
            managed.apply(before, new, Applied { value: applied, force }, ask.kind.schema(), &writer, reset)?;
        }
        None => managed.update(before, new, ask.kind.schema(), &writer, reset),
    }
    set_managed(new, managed.write());
    Ok(())
}

fn set_managed(value: &mut Value, entries: Value) {
    let Some(metadata) = object::metadata(value) else { return };
    if entries.as_array().is_some_and(Vec::is_empty) {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), entries);
    }
}
