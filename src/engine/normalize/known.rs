//! `knownTypeFields`: fields of custom resources that hold types of the API
//! server. Both sides are rewritten there as it would store them.

use std::borrow::Cow;

use serde_json::Value;

use crate::merge::{child, stored_as_nothing};
use crate::schema::{Scalar, Schemas, Shape, TypeRef, quantity};

use super::rule::Selector;

/// A field of a custom resource and the type it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownTypeField {
    /// API group, a glob.
    pub group: String,
    /// Kind, a glob.
    pub kind: String,
    /// Dotted path from the root; lists on the way are entered by themselves.
    pub field: String,
    /// `core/v1/PodSpec`, `core/Quantity`, `meta/v1/Duration` and the like.
    pub type_name: String,
}

#[derive(Debug)]
pub(super) struct KnownType {
    pub(super) selector: Selector,
    path: Vec<String>,
    kind: TypeName,
}

#[derive(Debug)]
enum TypeName {
    Quantity,
    Duration,
    Definition(String),
}

// === impl KnownType ===

impl KnownType {
    pub(super) fn new(field: &KnownTypeField) -> Self {
        let parts: Vec<&str> = field.type_name.split('/').collect();
        let kind = match parts.as_slice() {
            [.., "Quantity" | "quantity"] => TypeName::Quantity,
            [.., "Duration" | "duration"] => TypeName::Duration,
            ["meta", version, kind] => {
                TypeName::Definition(format!("io.k8s.apimachinery.pkg.apis.meta.{version}.{kind}"))
            }
            [group, version, kind] => {
                // Package names have the first word of the group only.
                let group = group.split('.').next().unwrap_or(group);
                TypeName::Definition(format!("io.k8s.api.{group}.{version}.{kind}"))
            }
            _ => TypeName::Definition(field.type_name.clone()),
        };
        Self {
            selector: Selector::new(&field.group, &field.kind, "", ""),
            path: field
                .field
                .split('.')
                .filter(|p| !p.is_empty())
                .map(|p| p.trim_end_matches("[]").to_owned())
                .collect(),
            kind,
        }
    }

    /// Rewrites the field where it is there and its type is known.
    pub(super) fn rewrite(&self, object: &mut Cow<'_, Value>, schemas: &Schemas) {
        if self.path.is_empty() || !leads_somewhere(object, &self.path) {
            return;
        }
        match &self.kind {
            TypeName::Quantity => visit(object.to_mut(), &self.path, &|v| rewrite_scalar(v, Scalar::Quantity)),
            TypeName::Duration => visit(object.to_mut(), &self.path, &|v| rewrite_scalar(v, Scalar::Duration)),
            TypeName::Definition(name) => {
                if let Some(ty) = schemas.definition(name) {
                    visit(object.to_mut(), &self.path, &|v| rewrite_as(v, ty));
                }
            }
        }
    }
}

fn leads_somewhere(value: &Value, path: &[String]) -> bool {
    match (value, path.split_first()) {
        (Value::Array(items), _) => items.iter().any(|item| leads_somewhere(item, path)),
        (_, None) => true,
        (Value::Object(map), Some((first, rest))) => map.get(first).is_some_and(|v| leads_somewhere(v, rest)),
        _ => false,
    }
}

fn visit(value: &mut Value, path: &[String], rewrite: &dyn Fn(&mut Value)) {
    match (&mut *value, path.split_first()) {
        (Value::Object(map), Some((first, rest))) => {
            if let Some(value) = map.get_mut(first) {
                visit(value, rest, rewrite);
            }
        }
        (Value::Array(items), _) => items.iter_mut().for_each(|item| visit(item, path, rewrite)),
        (_, None) => rewrite(value),
        _ => {}
    }
}

fn rewrite_as(value: &mut Value, ty: TypeRef<'_>) {
    match value {
        Value::Object(map) => {
            let in_map = ty.shape() == Shape::Map;
            map.retain(|key, value| {
                let (field, undeclared) = child(Some(ty), key);
                if undeclared {
                    return false;
                }
                if let Some(field) = field {
                    rewrite_as(value, field);
                }
                !(value.is_null() || field.is_some() && stored_as_nothing(value, field, in_map))
            });
        }
        Value::Array(items) => {
            if let Some(item) = ty.items() {
                items.iter_mut().for_each(|value| rewrite_as(value, item));
            }
        }
        scalar => {
            if let Some(kind) = ty.scalar() {
                rewrite_scalar(scalar, kind);
            }
        }
    }
}

fn rewrite_scalar(value: &mut Value, kind: Scalar) {
    let canonical = match kind {
        Scalar::Quantity => quantity::canonical(value),
        Scalar::Duration => quantity::canonical_duration(value),
        _ => None,
    };
    if let Some(text) = canonical {
        *value = Value::String(text);
    }
}
