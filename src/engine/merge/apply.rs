//! What a patch makes of an object: the API server's side of the dialect.

use serde_json::{Map, Value};

use crate::schema::TypeRef;

use super::child;

type Object = Map<String, Value>;

const SET_ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// Applies a strategic merge patch. Total: a patch the API server would refuse
/// is followed as far as it makes sense.
pub fn apply_strategic(live: &Value, patch: &Value, schema: Option<TypeRef<'_>>) -> Value {
    let mut result = live.clone();
    match (&mut result, patch) {
        (Value::Object(object), Value::Object(patch)) => apply_map(object, patch, schema),
        _ => result = without_directives(patch),
    }
    result
}

/// Applies a JSON merge patch (RFC 7396).
pub fn apply_json_merge(live: &Value, patch: &Value) -> Value {
    let mut result = live.clone();
    merge_json(&mut result, patch);
    result
}

/// The JSON merge patch (RFC 7396) from one value to the other, `None` when they
/// are equal. Nulls inside the new value cannot be expressed and read as absent.
pub fn two_way_json_merge(old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(a), Value::Object(b)) = (old, new) else {
        return (old != new).then(|| new.clone());
    };
    let mut patch = Object::new();
    for (key, value) in b {
        match a.get(key) {
            Some(before) if before == value => {}
            Some(before @ Value::Object(_)) if value.is_object() => {
                if let Some(inner) = two_way_json_merge(before, value) {
                    patch.insert(key.clone(), inner);
                }
            }
            None if value.is_null() => {}
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in a.keys().filter(|key| !b.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

fn merge_json(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Object::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge_json(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Applies a strategic merge patch to a map in place.
pub(super) fn apply_map(object: &mut Object, patch: &Object, ty: Option<TypeRef<'_>>) {
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *object = patch.iter().filter(|(k, _)| *k != "$patch").map(|(k, v)| (k.clone(), v.clone())).collect();
            return;
        }
        Some("delete") => {
            object.clear();
            return;
        }
        _ => {}
    }
    if let Some(Value::Array(keys)) = patch.get("$retainKeys") {
        object.retain(|key, _| keys.iter().any(|k| k.as_str() == Some(key)));
    }
    for (key, gone) in patch.iter().filter_map(|(k, v)| Some((k.strip_prefix(DELETE_FROM)?, v.as_array()?))) {
        if let Some(Value::Array(items)) = object.get_mut(key) {
            items.retain(|item| !gone.contains(item));
        }
    }
    let orders: Vec<(&str, &Vec<Value>, usize)> = patch
        .iter()
        .filter_map(|(key, order)| Some((key.strip_prefix(SET_ORDER)?, order.as_array()?)))
        .map(|(key, order)| (key, order, object.get(key).and_then(Value::as_array).map_or(0, Vec::len)))
        .collect();
    for (key, value) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        let (field, _) = child(ty, key);
        match (object.get_mut(key), value) {
            (_, Value::Null) => {
                object.remove(key);
            }
            (Some(Value::Object(inner)), Value::Object(value)) => apply_map(inner, value, field),
            (Some(Value::Array(items)), Value::Array(changes)) => apply_list(items, changes, field),
            _ => {
                object.insert(key.clone(), without_directives(value));
            }
        }
    }
    for (key, order, known) in orders {
        let (field, _) = child(ty, key);
        if let Some(Value::Array(items)) = object.get_mut(key) {
            set_order(items, known, order, field.and_then(TypeRef::merge_key));
        }
    }
}

fn apply_list(items: &mut Vec<Value>, changes: &[Value], ty: Option<TypeRef<'_>>) {
    let directive = |item: &Value| item.get("$patch").and_then(Value::as_str).map(str::to_owned);
    let replaces = changes.iter().any(|c| directive(c).as_deref() == Some("replace"));
    let Some(ty) = ty.filter(|t| t.merges() && !replaces) else {
        *items = changes.iter().filter(|c| directive(c).is_none()).map(without_directives).collect();
        return;
    };
    let Some(merge_key) = ty.merge_key() else {
        let missing: Vec<Value> = changes.iter().filter(|c| !items.contains(c)).cloned().collect();
        items.extend(missing);
        return;
    };
    for change in changes {
        let like = |item: &Value| item.get(merge_key) == change.get(merge_key);
        if directive(change).as_deref() == Some("delete") {
            items.retain(|item| !like(item));
        } else if let Some(item) = items.iter_mut().find(|item| like(item)) {
            match (item, change) {
                (Value::Object(item), Value::Object(change)) => apply_map(item, change, ty.items()),
                (item, change) => *item = change.clone(),
            }
        } else {
            items.push(without_directives(change));
        }
    }
}

/// Puts the named items in the given order, the others between them as they were.
/// Items from `known` on were added by the patch and had no place before.
fn set_order(items: &mut Vec<Value>, known: usize, order: &[Value], merge_key: Option<&str>) {
    let rank = |item: &Value| {
        order.iter().position(|o| match merge_key {
            Some(key) => o.get(key) == item.get(key),
            None => o == item,
        })
    };
    let mut ordered = Vec::new();
    let mut rest = Vec::new();
    for (i, item) in std::mem::take(items).into_iter().enumerate() {
        match rank(&item) {
            Some(rank) => ordered.push((rank, (i < known).then_some(i), item)),
            None => rest.push((i, item)),
        }
    }
    ordered.sort_by_key(|(rank, _, _)| *rank);
    *items = interleave(rest, ordered.into_iter().map(|(_, i, item)| (i, item)).collect());
}

/// Weaves the items nobody ordered into the ordered ones: each goes before the
/// first ordered item that used to stand after it, never before one that was
/// woven in earlier. Numbers are the places the items had; new ones have none.
pub(super) fn interleave(rest: Vec<(usize, Value)>, ordered: Vec<(Option<usize>, Value)>) -> Vec<Value> {
    let mut result = Vec::with_capacity(rest.len() + ordered.len());
    let mut ordered = ordered.into_iter().peekable();
    for (place, item) in rest {
        while let Some((_, next)) = ordered.next_if(|(was, _)| was.is_none_or(|was| was < place)) {
            result.push(next);
        }
        result.push(item);
    }
    result.extend(ordered.map(|(_, item)| item));
    result
}

fn without_directives(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(key, v)| {
                    !v.is_null()
                        && *key != "$patch"
                        && *key != "$retainKeys"
                        && !key.starts_with(SET_ORDER)
                        && !key.starts_with(DELETE_FROM)
                })
                .map(|(key, v)| (key.clone(), without_directives(v)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_directives).collect()),
        scalar => scalar.clone(),
    }
}
