//! Values of an OpenAPI 2 schema: is this one, and make some.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// How deep made values go; below, objects are empty.
const DEPTH: u32 = 4;

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|at| at.strip_prefix('#')) {
        Some(at) => document.pointer(at).unwrap_or(&Value::Null),
        None => schema,
    }
}

/// Whether a value is one of the schema; else where it is not. A field that is not
/// described is a mistake, too.
pub(super) fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = resolved(document, schema);
    // Absent and null are alike, to Go.
    if value.is_null() {
        return Ok(());
    }
    let is_of = match schema["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") if schema["format"] == "int-or-string" => value.is_string() || value.is_i64(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some(other) => return Err(format!("{at}: there is no type {other}")),
    };
    if !is_of {
        return Err(format!("{at}: {value} is no {}", schema["type"]));
    }
    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
        check(document, &schema["items"], item, &format!("{at}[{i}]"))?;
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(described), _) | (None, Some(described)) => check(document, described, field, &at)?,
            (None, None) if schema.get("properties").is_some() => return Err(format!("{at} is not described")),
            (None, None) => {}
        }
    }
    Ok(())
}

/// Texts that mean something to the API, and texts that mean nothing.
pub(super) fn text() -> BoxedStrategy<String> {
    prop_oneof![
        prop::sample::select(vec![
            "",
            "one",
            "default",
            "argocd",
            "admin",
            "in-cluster",
            "https://kubernetes.default.svc",
            "git",
            "HEAD",
            "a/b",
            "team=a",
            "applications",
            "get",
            "normal",
            "v1",
            "ConfigMap",
            "*",
            "https://127.0.0.1:1/none.git",
            "..",
        ])
        .prop_map(str::to_owned),
        "[a-z][a-z0-9-]{0,20}",
        ".{0,24}",
    ]
    .boxed()
}

/// Values of a schema, mostly.
pub(super) fn values(document: &Value, schema: &Value) -> BoxedStrategy<Value> {
    of_depth(document, schema, DEPTH)
}

fn of_depth(document: &Value, schema: &Value, depth: u32) -> BoxedStrategy<Value> {
    let schema = resolved(document, schema);
    match schema["type"].as_str() {
        Some("string") => text().prop_map(Value::from).boxed(),
        Some("boolean") => any::<bool>().prop_map(Value::from).boxed(),
        Some("integer") => prop_oneof![-1..10_i64, any::<i64>()].prop_map(Value::from).boxed(),
        Some("number") => any::<i32>().prop_map(Value::from).boxed(),
        Some("array") if depth == 0 => Just(json!([])).boxed(),
        Some("array") => vec(of_depth(document, &schema["items"], depth - 1), 0..3).prop_map(Value::from).boxed(),
        Some("object") if depth == 0 => Just(json!({})).boxed(),
        Some("object") => object(document, schema, depth - 1),
        _ => prop_oneof![Just(json!({})), Just(Value::Null), text().prop_map(Value::from)].boxed(),
    }
}

fn object(document: &Value, schema: &Value, depth: u32) -> BoxedStrategy<Value> {
    if let Some(described) = schema.get("additionalProperties") {
        let entries = btree_map(text(), of_depth(document, described, depth), 0..3);
        return entries.prop_map(|entries| entries.into_iter().collect::<Map<_, _>>().into()).boxed();
    }
    let fields = schema["properties"].as_object().into_iter().flatten();
    let fields: Vec<_> = fields
        .map(|(name, described)| {
            let value = prop::option::weighted(0.4, of_depth(document, described, depth));
            (Just(name.clone()), value)
        })
        .collect();
    fields
        .prop_map(|fields| {
            let there = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
            there.collect::<Map<_, _>>().into()
        })
        .boxed()
}
