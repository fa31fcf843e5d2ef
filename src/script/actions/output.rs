//! Reading what the scripts of actions return.

use argosy_proto::v1alpha1::ResourceAction;
use serde_json::{Map, Value};

use super::{Impacted, Operation};
use crate::ScriptError;

fn wrong(reason: impl Into<String>) -> ScriptError {
    ScriptError::Output(reason.into())
}

/// Actions by the names under which they were returned; an empty table is none.
pub(super) fn actions(table: Value) -> Result<Vec<(String, ResourceAction)>, ScriptError> {
    let fields = match table {
        Value::Array(items) if items.is_empty() => Map::new(),
        Value::Object(fields) => fields,
        _ => return Err(wrong("error unmarshaling action table: it is an array")),
    };
    let read = |(name, value): (String, Value)| {
        let action = match value {
            // An empty table: an action without properties.
            Value::Array(_) => ResourceAction { name: name.clone(), ..ResourceAction::default() },
            Value::Object(mut fields) => {
                // Parameters of an action without any.
                fields.entry("name").or_insert_with(|| name.clone().into());
                serde_json::from_value(Value::Object(fields))
                    .map_err(|e| wrong(format!("error unmarshaling resource action: {e}")))?
            }
            _ => return Err(wrong(format!("error unmarshaling resource action: {name} is no table"))),
        };
        Ok((name, action))
    };
    fields.into_iter().map(read).collect()
}

/// The objects an action returned: one, which is a patch, or a list that says of
/// each what to do.
pub(super) fn impacted(table: Value, source: &Value) -> Result<Vec<Impacted>, ScriptError> {
    let Value::Array(items) = table else {
        return Ok(vec![impact(Operation::Patch, table, source)?]);
    };
    let read = |item: Value| {
        let Value::Object(mut item) = item else { return Err(wrong("an impacted resource is no table")) };
        let operation = match item.get("operation") {
            Some(Value::String(word)) if word == "create" => Operation::Create,
            Some(Value::String(word)) if word == "patch" => Operation::Patch,
            other => return Err(wrong(format!("unsupported operation: {}", other.unwrap_or(&Value::Null)))),
        };
        let object = item.remove("resource").ok_or_else(|| wrong("an impacted resource has no resource"))?;
        impact(operation, object, source)
    };
    items.into_iter().map(read).collect()
}

fn impact(operation: Operation, mut object: Value, source: &Value) -> Result<Impacted, ScriptError> {
    if object.get("kind").and_then(Value::as_str).unwrap_or_default().is_empty() {
        return Err(wrong("Object 'Kind' is missing in the output of the script"));
    }
    if operation == Operation::Patch {
        restore(&mut object, source);
    }
    Ok(Impacted { operation, object })
}

/// Gives back what a way through Lua lost: empty maps that came back as arrays,
/// and numbers that a float cannot hold or tell from an integer.
fn restore(new: &mut Value, source: &Value) {
    match (new, source) {
        (Value::Object(new), Value::Object(source)) => {
            for (key, source) in source {
                if let Some(new) = new.get_mut(key) {
                    restore(new, source);
                }
            }
        }
        (Value::Array(new), Value::Array(source)) => {
            new.iter_mut().zip(source).for_each(|(new, source)| restore(new, source));
        }
        (new @ Value::Array(_), Value::Object(_)) if new.as_array().is_some_and(Vec::is_empty) => {
            *new = Value::Object(Map::new());
        }
        (new @ Value::Number(_), Value::Number(number)) if new.as_f64() == number.as_f64() => {
            *new = Value::Number(number.clone());
        }
        _ => {}
    }
}
