//! Structural schemas of custom resources: what they drop, fill in and refuse.

use serde_json::{Map, Value};

use super::formats;
use crate::failure::Fault;

/// Deepest nesting looked at.
const MAX_DEPTH: usize = 96;

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn below(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// Drops what the schema does not declare, and notes where it was.
pub(super) fn prune(schema: &Value, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    prune_below(schema, value, path, unknown, 0);
}

fn prune_below(schema: &Value, value: &mut Value, path: &str, unknown: &mut Vec<String>, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Array(items) => {
            let Some(inner) = schema.get("items") else { return };
            for (i, item) in items.iter_mut().enumerate() {
                prune_below(inner, item, &format!("{path}[{i}]"), unknown, depth + 1);
            }
        }
        Value::Object(fields) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let additional = schema.get("additionalProperties").filter(|a| **a != Value::Bool(false));
            let keeps = flag(schema, "x-kubernetes-preserve-unknown-fields");
            let embedded = flag(schema, "x-kubernetes-embedded-resource") || depth == 0;
            let declared = |field: &str| properties.and_then(|p| p.get(field)).or(additional.filter(|a| a.is_object()));
            let is_type = |field: &str| embedded && matches!(field, "apiVersion" | "kind" | "metadata");
            if !keeps && additional.is_none() {
                let dropped: Vec<String> =
                    fields.keys().filter(|f| declared(f).is_none() && !is_type(f)).cloned().collect();
                for field in dropped {
                    fields.remove(&field);
                    unknown.push(below(path, &field));
                }
            }
            if embedded && depth > 0 {
                let mut whole = Value::Object(std::mem::take(fields));
                let place = if path.is_empty() { String::new() } else { format!("{path}.") };
                let given = whole.get("metadata").cloned();
                if super::custom::read_metadata(&mut whole, &place, unknown).is_err()
                    && let (Some(given), Some(metadata)) = (given, whole.get_mut("metadata"))
                {
                    *metadata = given;
                }
                if let Value::Object(whole) = whole {
                    *fields = whole;
                }
            }
            for (field, inner) in fields.iter_mut().filter(|(field, _)| !is_type(field)) {
                if let Some(declared) = declared(field) {
                    prune_below(declared, inner, &below(path, field), unknown, depth + 1);
                }
            }
        }
        _ => {}
    }
}

/// Fills in the defaults of a schema. Nulls that may not be null are dropped.
pub(super) fn complete(schema: &Value, value: &mut Value) {
    match value {
        // A whole number is written as one.
        Value::Number(number) if number.is_f64() && schema.get("type").and_then(Value::as_str) == Some("integer") => {
            let whole = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15);
            if let Some(whole) = whole.and_then(|n| format!("{n:.0}").parse::<i64>().ok()) {
                *value = whole.into();
            }
        }
        Value::Array(items) => {
            if let Some(inner) = schema.get("items") {
                items.iter_mut().for_each(|item| complete(inner, item));
            }
        }
        Value::Object(fields) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            for (name, inner) in properties.into_iter().flatten() {
                if fields.get(name).is_some_and(Value::is_null) && !flag(inner, "nullable") {
                    fields.remove(name);
                }
                if let Some(default) = inner.get("default")
                    && !fields.contains_key(name)
                {
                    fields.insert(name.clone(), default.clone());
                }
                if let Some(value) = fields.get_mut(name) {
                    complete(inner, value);
                }
            }
            if let Some(inner) = schema.get("additionalProperties").filter(|a| a.is_object()) {
                let is_declared = |name: &str| properties.is_some_and(|p| p.contains_key(name));
                fields.iter_mut().filter(|(name, _)| !is_declared(name)).for_each(|(_, value)| complete(inner, value));
            }
        }
        _ => {}
    }
}

/// What is wrong with a value, in the API server's words.
pub fn validate(schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>) {
    validate_below(schema, value, path, faults, 0);
}

fn validate_below(schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>, depth: usize) {
    if depth > MAX_DEPTH || (value.is_null() && flag(schema, "nullable")) {
        return;
    }
    let in_body = if path.is_empty() { "<nil>" } else { path };
    if let Some(wanted) = wrong_type(schema, value) {
        let detail =
            format!("Invalid value: \"{0}\": {in_body} in body must be of type {wanted}: \"{0}\"", type_name(value));
        faults.push(Fault::mistyped(if path.is_empty() { "<nil>" } else { path }, &detail));
        if wanted == "integer" && value.is_number() {
            let detail = format!("Checked value must be of type integer (default format) in {path}");
            faults.push(Fault::invalid("<nil>", &"".into(), &detail));
        }
        if wanted == "integer,string" {
            validate_junctions(schema, value, path, faults, depth);
        }
        return;
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let names: Vec<String> =
            allowed.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), |text| format!("\"{text}\""))).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", names.join(", "));
        faults.push(Fault { reason: "FieldValueNotSupported", field: path.to_owned(), message });
    }
    match value {
        Value::String(text) => validate_text(schema, text, path, faults),
        Value::Number(number) => validate_number(schema, number, path, faults),
        Value::Array(items) => validate_items(schema, items, path, faults, depth),
        Value::Object(fields) => validate_fields(schema, fields, path, faults, depth),
        _ => {}
    }
    validate_junctions(schema, value, path, faults, depth);
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn wrong_type<'a>(schema: &'a Value, value: &Value) -> Option<&'a str> {
    if flag(schema, "x-kubernetes-int-or-string") {
        let fits = matches!(value, Value::String(_)) || value.is_i64() || value.is_u64();
        return (!fits).then_some("integer,string");
    }
    let wanted = schema.get("type").and_then(Value::as_str).filter(|t| !t.is_empty())?;
    let fits = match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|f| f.fract() == 0.0),
        _ => true,
    };
    (!fits).then_some(wanted)
}

fn validate_text(schema: &Value, text: &str, path: &str, faults: &mut Vec<Fault>) {
    let value = Value::String(text.to_owned());
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    let length = text.chars().count() as u64;
    if let Some(most) = bound("maxLength").filter(|most| length > *most) {
        let message = format!("Too long: may not be more than {most} bytes");
        faults.push(Fault { reason: "FieldValueTooLong", field: path.to_owned(), message });
        return;
    }
    if let Some(least) = bound("minLength").filter(|least| length < *least) {
        faults.push(Fault::invalid(path, &value, &format!("{path} in body should be at least {least} chars long")));
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && regex::Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text))
    {
        faults.push(Fault::invalid(path, &value, &format!("{path} in body should match '{pattern}'")));
    }
    let format = schema.get("format").and_then(Value::as_str).unwrap_or("");
    let fits = formats::fits(format, text);
    if !fits {
        let detail = format!("Invalid value: {value}: {path} in body must be of type {format}: {value}");
        faults.push(Fault::mistyped(path, &detail));
    }
}

fn validate_number(schema: &Value, number: &serde_json::Number, path: &str, faults: &mut Vec<Fault>) {
    let is_small = number.as_i64().is_some_and(|whole| i32::try_from(whole).is_ok());
    if schema.get("format").and_then(Value::as_str) == Some("int32") && !is_small {
        let detail = format!("Checked value must be of type integer with format int32 in {path}");
        faults.push(Fault::invalid("<nil>", &"".into(), &detail));
    }
    let value = Value::Number(number.clone());
    let Some(n) = number.as_f64() else { return };
    if let Some(least) = schema
        .get("minimum")
        .filter(|m| m.as_f64().is_some_and(|m| n < m || (n == m && flag(schema, "exclusiveMinimum"))))
    {
        let how = if flag(schema, "exclusiveMinimum") { "greater than" } else { "greater than or equal to" };
        faults.push(Fault::invalid(path, &value, &format!("{path} in body should be {how} {least}")));
    }
    if let Some(most) = schema
        .get("maximum")
        .filter(|m| m.as_f64().is_some_and(|m| n > m || (n == m && flag(schema, "exclusiveMaximum"))))
    {
        let how = if flag(schema, "exclusiveMaximum") { "less than" } else { "less than or equal to" };
        faults.push(Fault::invalid(path, &value, &format!("{path} in body should be {how} {most}")));
    }
    if let Some(step) = schema.get("multipleOf").and_then(Value::as_f64).filter(|s| *s > 0.0 && (n / s).fract() != 0.0)
    {
        faults.push(Fault::invalid(path, &value, &format!("{path} in body should be a multiple of {step}")));
    }
}

fn validate_items(schema: &Value, items: &[Value], path: &str, faults: &mut Vec<Fault>, depth: usize) {
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    let count = items.len() as u64;
    if let Some(most) = bound("maxItems").filter(|most| count > *most) {
        let message = format!("Too many: {count}: must have at most {most} items");
        faults.push(Fault { reason: "FieldValueTooMany", field: path.to_owned(), message });
    }
    if let Some(least) = bound("minItems").filter(|least| count < *least) {
        faults.push(Fault::invalid(path, &count.into(), &format!("{path} in body should have at least {least} items")));
    }
    let list_type = schema.get("x-kubernetes-list-type").and_then(Value::as_str).unwrap_or("");
    let keys: Vec<&str> = match schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array) {
        Some(keys) if list_type == "map" => keys.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mut seen: Vec<Value> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let place = format!("{path}[{i}]");
        if list_type == "set" || !keys.is_empty() {
            let identity = if keys.is_empty() { item.clone() } else { key_of(item, &keys) };
            if seen.contains(&identity) {
                faults.push(Fault::duplicate(place.clone(), &identity));
            }
            seen.push(identity);
        }
        if let Some(inner) = schema.get("items") {
            validate_below(inner, item, &place, faults, depth + 1);
        }
    }
}

fn key_of(item: &Value, keys: &[&str]) -> Value {
    Value::Object(keys.iter().filter_map(|k| Some(((*k).to_owned(), item.get(*k)?.clone()))).collect())
}

fn validate_fields(schema: &Value, fields: &Map<String, Value>, path: &str, faults: &mut Vec<Fault>, depth: usize) {
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    let count = fields.len() as u64;
    if let Some(most) = bound("maxProperties").filter(|most| count > *most) {
        let message = format!("Too many: {count}: must have at most {most} items");
        faults.push(Fault { reason: "FieldValueTooMany", field: path.to_owned(), message });
    }
    if let Some(least) = bound("minProperties").filter(|least| count < *least) {
        faults.push(Fault::invalid(
            path,
            &count.into(),
            &format!("{path} in body should have at least {least} properties"),
        ));
    }
    if flag(schema, "x-kubernetes-embedded-resource") {
        for name in ["apiVersion", "kind"] {
            if fields.get(name).and_then(Value::as_str).unwrap_or("").is_empty() {
                faults.push(Fault::required(below(path, name), ""));
            }
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let additional = schema.get("additionalProperties").filter(|a| a.is_object());
    for (name, value) in fields {
        // Metadata has rules of its own.
        if depth == 0 && matches!(name.as_str(), "metadata" | "apiVersion" | "kind") {
            continue;
        }
        if let Some(inner) = properties.and_then(|p| p.get(name)).or(additional) {
            validate_below(inner, value, &below(path, name), faults, depth + 1);
        }
    }
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            faults.push(Fault::required(below(path, name), ""));
        }
    }
}

fn validate_junctions(schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>, depth: usize) {
    let branches = |name: &str| schema.get(name).and_then(Value::as_array).filter(|b| !b.is_empty());
    let wrong = |branch: &Value| {
        let mut inner = Vec::new();
        validate_below(branch, value, path, &mut inner, depth + 1);
        inner
    };
    // What is said of the whole names no field.
    let refuse = |what: &str| Fault::invalid("<nil>", &"".into(), &format!("\"{path}\" must {what}"));
    if let Some(any) = branches("anyOf") {
        let tried: Vec<Vec<Fault>> = any.iter().map(wrong).collect();
        if tried.iter().all(|faults| !faults.is_empty()) {
            faults.push(refuse("validate at least one schema (anyOf)"));
            faults.extend(tried.into_iter().next().unwrap_or_default());
        }
    }
    if let Some(one) = branches("oneOf") {
        let tried: Vec<Vec<Fault>> = one.iter().map(wrong).collect();
        let count = tried.iter().filter(|faults| faults.is_empty()).count();
        if count != 1 {
            let found =
                if count == 0 { "Found none valid".to_owned() } else { format!("Found {count} valid alternatives") };
            faults.push(refuse(&format!("validate one and only one schema (oneOf). {found}")));
            if count == 0 {
                faults.extend(tried.into_iter().next().unwrap_or_default());
            }
        }
    }
    if let Some(all) = branches("allOf") {
        let tried: Vec<Fault> = all.iter().flat_map(wrong).collect();
        if !tried.is_empty() {
            faults.extend(tried);
            faults.push(refuse("validate all the schemas (allOf)"));
        }
    }
    if let Some(not) = schema.get("not")
        && wrong(not).is_empty()
    {
        faults.push(refuse("not validate the schema (not)"));
    }
}
