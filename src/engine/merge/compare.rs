//! Equality as the API server sees it: two values are the same when it would
//! store the same.

use serde_json::{Map, Value};

use crate::schema::quantity::{Quantity, parse_duration_nanos, parse_time_micros};
use crate::schema::{Scalar, Shape, TypeRef};

use super::child;

/// Whether two scalars are spellings of one value.
pub(crate) fn same_scalar(a: &Value, b: &Value, ty: Option<TypeRef<'_>>) -> bool {
    if a == b {
        return true;
    }
    if let (Value::Number(a), Value::Number(b)) = (a, b) {
        return (a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64();
    }
    match ty.and_then(TypeRef::scalar) {
        Some(Scalar::Quantity) => same_by(a, b, Quantity::parse),
        Some(Scalar::Time) => same_by(a, b, |v| parse_time_micros(v).map(|t| t.div_euclid(1_000_000))),
        Some(Scalar::MicroTime) => same_by(a, b, parse_time_micros),
        Some(Scalar::Duration) => same_by(a, b, parse_duration_nanos),
        Some(Scalar::Bytes) => same_by(a, b, |v| v.as_str().map(|s| s.replace(['\r', '\n'], ""))),
        _ => false,
    }
}

fn same_by<T: PartialEq>(a: &Value, b: &Value, read: impl Fn(&Value) -> Option<T>) -> bool {
    matches!((read(a), read(b)), (Some(a), Some(b)) if a == b)
}

/// Whether the API server would store nothing where this value is given. Values
/// of maps are always stored; `in_map` says that this is one.
///
/// Go's `omitempty` drops zero values of optional fields. Which optional fields
/// are pointers, whose zero values stay, is not in the documents; a zero value
/// that live does not have is taken as dropped, for the other reading would
/// report a drift that no sync can repair.
pub(crate) fn stored_as_nothing(value: &Value, ty: Option<TypeRef<'_>>, in_map: bool) -> bool {
    let Some(ty) = ty else {
        return value.is_null() || is_empty_container(value);
    };
    if value.is_null() {
        return true;
    }
    if !ty.is_typed() || in_map {
        return false;
    }
    match (ty.shape(), value) {
        (Shape::Scalar(_), Value::String(s)) => s.is_empty(),
        (Shape::Scalar(_), Value::Bool(b)) => !b,
        (Shape::Scalar(_), Value::Number(n)) => n.as_f64() == Some(0.0),
        (Shape::List, Value::Array(items)) => items.is_empty(),
        (Shape::Map, Value::Object(map)) => map.values().all(Value::is_null),
        // The documents give `{}` as the default of structs held by value; one
        // held by a pointer is stored even when it is empty.
        (Shape::Struct, Value::Object(map)) => {
            ty.default_value().is_some_and(is_empty_container)
                && map.iter().all(|(key, v)| {
                    let (field, undeclared) = child(Some(ty), key);
                    undeclared || stored_as_nothing(v, field, false)
                })
        }
        _ => false,
    }
}

fn is_empty_container(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Whether two values are the same as stored.
pub(crate) fn same(a: &Value, b: &Value, ty: Option<TypeRef<'_>>) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let in_map = ty.is_some_and(|t| t.shape() == Shape::Map);
            let only = |from: &Map<String, Value>, other: &Map<String, Value>| {
                from.iter().filter(|(key, _)| !other.contains_key(*key)).all(|(key, value)| {
                    let (field, undeclared) = child(ty, key);
                    undeclared || stored_as_nothing(value, field, in_map)
                })
            };
            a.iter().all(|(key, x)| {
                b.get(key).is_none_or(|y| {
                    let (field, undeclared) = child(ty, key);
                    undeclared
                        || same(x, y, field)
                        || (stored_as_nothing(x, field, in_map) && stored_as_nothing(y, field, in_map))
                })
            }) && only(a, b)
                && only(b, a)
        }
        (Value::Array(a), Value::Array(b)) => {
            let items = ty.and_then(TypeRef::items);
            a.len() == b.len() && a.iter().zip(b).all(|(x, y)| same(x, y, items))
        }
        _ => same_scalar(a, b, ty),
    }
}

/// Whether `live` is what `target` becomes once stored: everything that target
/// says, and beyond it only what the API server may have filled in. For values
/// that are replaced as a whole, so that defaults inside them have no other way
/// to be told from drift.
pub(crate) fn covers(last: Option<&Value>, target: &Value, live: &Value, ty: Option<TypeRef<'_>>) -> bool {
    match (target, live) {
        (Value::Object(target), Value::Object(live)) => covers_map(last.and_then(Value::as_object), target, live, ty),
        (Value::Array(target), Value::Array(live)) => {
            let items = ty.and_then(TypeRef::items);
            let last = last.and_then(Value::as_array);
            target.len() == live.len()
                && (0..target.len()).all(|i| covers(last.and_then(|l| l.get(i)), &target[i], &live[i], items))
        }
        _ => same_scalar(target, live, ty),
    }
}

fn covers_map(
    last: Option<&Map<String, Value>>,
    target: &Map<String, Value>,
    live: &Map<String, Value>,
    ty: Option<TypeRef<'_>>,
) -> bool {
    let in_map = ty.is_some_and(|t| t.shape() == Shape::Map);
    let said = target.iter().all(|(key, wanted)| {
        let (field, undeclared) = child(ty, key);
        let last = last.and_then(|l| l.get(key));
        undeclared
            || match live.get(key) {
                Some(current) if !wanted.is_null() => covers(last, wanted, current, field),
                _ => stored_as_nothing(wanted, field, in_map),
            }
    });
    let is_wanted = |key: &str| target.get(key).is_some_and(|v| !v.is_null());
    said && live.iter().filter(|(key, _)| !is_wanted(key)).all(|(key, value)| {
        let was_applied = last.and_then(|l| l.get(key)).is_some_and(|v| !v.is_null());
        let (field, _) = child(ty, key);
        stored_as_nothing(value, field, in_map) || (!was_applied && may_be_filled_in(key, value, field, in_map))
    })
}

/// Whether the API server may have put this value where target has none. In its
/// own types it fills in scalars (and the declared default, where one is
/// declared) and status; anything bigger was put there by somebody. What fills
/// in custom resources is not known, so anything may be.
fn may_be_filled_in(key: &str, value: &Value, ty: Option<TypeRef<'_>>, in_map: bool) -> bool {
    let Some(ty) = ty else { return true };
    if let Some(default) = ty.default_value() {
        return default == value || is_empty_container(default) && key == "status";
    }
    if !ty.is_typed() || key == "status" {
        return true;
    }
    !in_map && !value.is_object() && !value.is_array()
}

/// The value without what the API server drops: nulls and undeclared fields.
pub(crate) fn conform(value: &Value, ty: Option<TypeRef<'_>>) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(_, v)| !v.is_null())
                .filter_map(|(key, v)| {
                    let (field, undeclared) = child(ty, key);
                    (!undeclared).then(|| (key.clone(), conform(v, field)))
                })
                .collect(),
        ),
        Value::Array(items) => {
            let item = ty.and_then(TypeRef::items);
            Value::Array(items.iter().map(|v| conform(v, item)).collect())
        }
        scalar => scalar.clone(),
    }
}
