//! From an OpenAPI v3 schema to a compact node. Total: what is not understood
//! becomes [`Shape::Any`], which every walker treats as plain JSON.

use std::collections::HashSet;
use std::sync::Arc;

use argosy_model::Gvk;
use serde_json::Value;

use super::Schemas;
use super::type_ref::{ListRules, ListType, Node, NodeShape, Scalar, StructShape};

/// Deepest nesting of inline schemas read; what lies below is taken as free-form.
/// Real documents nest through `$ref`, and custom ones by a few dozen levels.
const MAX_DEPTH: usize = 64;

const STRATEGIC: &str = "application/strategic-merge-patch+json";
const REF_PREFIX: &str = "#/components/schemas/";

/// The kinds whose PATCH operation accepts a strategic merge patch.
pub(super) fn strategic_kinds(document: &Value) -> HashSet<Gvk> {
    let paths = document.get("paths").and_then(Value::as_object);
    paths
        .into_iter()
        .flat_map(|p| p.values())
        .filter_map(|item| item.get("patch"))
        .filter(|patch| patch.pointer("/requestBody/content").is_some_and(|c| c.get(STRATEGIC).is_some()))
        .filter_map(|patch| gvk(patch.get("x-kubernetes-group-version-kind")?))
        .collect()
}

/// The kinds a definition says it is.
pub(super) fn kinds(schema: &Value) -> impl Iterator<Item = Gvk> + '_ {
    schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array).into_iter().flatten().filter_map(gvk)
}

fn gvk(value: &Value) -> Option<Gvk> {
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    Some(Gvk::new(text("group")?, text("version")?, text("kind")?))
}

/// A named definition. The scalars that Go code marshals in its own way are
/// known by their names, for their schemas say no more than "string".
pub(super) fn definition(schemas: &mut Schemas, name: &str, schema: &Value) -> Node {
    let mut node = node(schemas, schema, 0);
    let scalar = match name {
        "io.k8s.apimachinery.pkg.api.resource.Quantity" => Scalar::Quantity,
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString" => Scalar::IntOrString,
        "io.k8s.apimachinery.pkg.apis.meta.v1.Time" => Scalar::Time,
        "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime" => Scalar::MicroTime,
        "io.k8s.apimachinery.pkg.apis.meta.v1.Duration" => Scalar::Duration,
        _ => return node,
    };
    node.shape = NodeShape::Scalar(scalar);
    node
}

fn node(schemas: &mut Schemas, schema: &Value, depth: usize) -> Node {
    let flag = |key: &str| schema.get(key).and_then(Value::as_bool).unwrap_or(false);
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    let strategy = text("x-kubernetes-patch-strategy").unwrap_or("");
    let merge_key = text("x-kubernetes-patch-merge-key").map(|key| schemas.intern(key));
    let map_keys: Box<[Arc<str>]> = schema
        .get("x-kubernetes-list-map-keys")
        .and_then(Value::as_array)
        .map(|keys| keys.iter().filter_map(Value::as_str).map(|key| schemas.intern(key)).collect())
        .unwrap_or_default();
    let list_type = text("x-kubernetes-list-type").map(|t| match t {
        "map" => ListType::Map,
        "set" => ListType::Set,
        _ => ListType::Atomic,
    });
    let list = (merge_key.is_some() || list_type.is_some() || !map_keys.is_empty())
        .then(|| Box::new(ListRules { merge_key, list_type: list_type.unwrap_or(ListType::Atomic), map_keys }));
    Node {
        shape: if depth > MAX_DEPTH { NodeShape::Any } else { shape(schemas, schema, depth) },
        default: schema.get("default").filter(|d| !d.is_null()).map(|d| Box::new(d.clone())),
        list,
        merges: strategy.split(',').any(|s| s == "merge"),
        retains_keys: strategy.split(',').any(|s| s == "retainKeys"),
        replaces: strategy.split(',').any(|s| s == "replace"),
        atomic_map: text("x-kubernetes-map-type") == Some("atomic"),
        embedded: flag("x-kubernetes-embedded-resource"),
    }
}

fn shape(schemas: &mut Schemas, schema: &Value, depth: usize) -> NodeShape {
    let flag = |key: &str| schema.get(key).and_then(Value::as_bool).unwrap_or(false);
    if flag("x-kubernetes-int-or-string") {
        return NodeShape::Scalar(Scalar::IntOrString);
    }
    if let Some(reference) = reference(schema) {
        return NodeShape::Ref(schemas.index_of(reference));
    }
    let format = schema.get("format").and_then(Value::as_str);
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => object(schemas, schema, depth),
        Some("array") => match schema.get("items") {
            Some(items) => NodeShape::List(Box::new(node(schemas, items, depth + 1))),
            None => NodeShape::Any,
        },
        Some("string") if format == Some("byte") => NodeShape::Scalar(Scalar::Bytes),
        Some("string") => NodeShape::Scalar(Scalar::String),
        Some("integer" | "number") => NodeShape::Scalar(Scalar::Number),
        Some("boolean") => NodeShape::Scalar(Scalar::Boolean),
        _ if format == Some("int-or-string") => NodeShape::Scalar(Scalar::IntOrString),
        _ => NodeShape::Any,
    }
}

fn object(schemas: &mut Schemas, schema: &Value, depth: usize) -> NodeShape {
    let open = schema.get("x-kubernetes-preserve-unknown-fields").and_then(Value::as_bool).unwrap_or(false);
    let additional = match schema.get("additionalProperties") {
        Some(Value::Bool(true)) => return NodeShape::Any,
        Some(values @ Value::Object(_)) => Some(node(schemas, values, depth + 1)),
        _ => None,
    };
    let properties = schema.get("properties").and_then(Value::as_object).filter(|p| !p.is_empty());
    match (properties, additional) {
        (None, Some(values)) => NodeShape::Map(Box::new(values)),
        (None, None) => NodeShape::Any,
        (Some(properties), additional) => {
            // serde_json's maps are sorted, which is what the search relies on.
            let mut fields: Vec<(Arc<str>, Node)> =
                properties.iter().map(|(name, s)| (schemas.intern(name), node(schemas, s, depth + 1))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            NodeShape::Struct(Box::new(StructShape { fields: fields.into(), open: open || additional.is_some() }))
        }
    }
}

/// `$ref`, alone or as the only content of `allOf`.
fn reference(schema: &Value) -> Option<&str> {
    let direct = schema.get("$ref").and_then(Value::as_str);
    let wrapped = || {
        if schema.get("type").is_some() {
            return None;
        }
        schema.get("allOf")?.as_array()?.iter().find_map(|s| s.get("$ref")?.as_str())
    };
    direct.or_else(wrapped)?.strip_prefix(REF_PREFIX)
}
