//! Server-side apply, predicted: what the API server makes of an apply of the
//! target by one manager, from the ownership that live records.
//!
//! The target's fields are set. Fields that the manager applied before and the
//! target names no more are removed, unless somebody else owns them too. Lists
//! are merged by their declared keys, or as sets, or replaced. Nothing here can
//! fail on a schema: a field that is not declared is plain JSON, or is left out
//! where the API server would drop it.

use serde_json::{Map, Value};

use crate::schema::{ListType, Shape, TypeRef};

use super::apply::interleave;
use super::compare::{conform, covers, stored_as_nothing};
use super::lists::ItemKeys;
use super::ownership::{self, FieldSet};
use super::{child, is_volatile};

type Object = Map<String, Value>;

/// What live becomes when `manager` applies `target`, forcing conflicts. The
/// prediction has no `managedFields`: they are most of an object's size and the
/// API server's to write.
pub fn predict_apply(live: &Value, target: &Value, manager: &str, schema: Option<TypeRef<'_>>) -> Value {
    let is_ours = |e: &ownership::Entry<'_>| e.manager == manager && e.operation == "Apply" && e.subresource.is_empty();
    let ours = ownership::owned_by(live, is_ours);
    let theirs = ownership::owned_by(live, |e| !is_ours(e));
    let mut predicted = without_managed_fields(live);
    let (Value::Object(object), Value::Object(wanted)) = (&mut predicted, target) else { return predicted };
    release_map(object, Some(wanted), &ours, Some(&theirs), schema);
    set_root(object, wanted, schema);
    predicted
}

/// The predicted state with the changes of others taken back: what `manager`
/// owns in neither state is as it is live. For a server's dry run, where
/// mutating webhooks have had their say.
pub fn without_foreign_changes(predicted: &Value, live: &Value, manager: &str) -> Value {
    let mut owned = ownership::owned_by(predicted, |e| e.manager == manager);
    owned.merge(ownership::owned_by(live, |e| e.manager == manager));
    if owned.is_empty() {
        return predicted.clone();
    }
    take_back(predicted, live, &owned)
}

fn without_managed_fields(live: &Value) -> Value {
    let Value::Object(fields) = live else { return live.clone() };
    let copy = |(key, value): (&String, &Value)| match value {
        Value::Object(metadata) if key == "metadata" => {
            let kept = metadata.iter().filter(|(key, _)| *key != "managedFields");
            (key.clone(), Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect()))
        }
        value => (key.clone(), value.clone()),
    };
    Value::Object(fields.iter().map(copy).collect())
}

/// Identity and volatile metadata are never the target's to set.
fn set_root(object: &mut Object, wanted: &Object, ty: Option<TypeRef<'_>>) {
    for (key, value) in wanted.iter().filter(|(key, _)| *key != "apiVersion" && *key != "kind") {
        let (field, undeclared) = child(ty, key);
        if key != "metadata" {
            set_field(object, key, value, (field, undeclared, false));
            continue;
        }
        let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Object::new()));
        if let (Value::Object(metadata), Value::Object(wanted)) = (metadata, value) {
            for (key, value) in wanted.iter().filter(|(key, _)| !is_volatile(key)) {
                let (below, undeclared) = child(field, key);
                set_field(metadata, key, value, (below, undeclared, false));
            }
        }
    }
}

fn set_field(
    object: &mut Object,
    key: &String,
    wanted: &Value,
    (ty, undeclared, in_map): (Option<TypeRef<'_>>, bool, bool),
) {
    if wanted.is_null() || undeclared {
        return;
    }
    match object.get_mut(key).filter(|v| !v.is_null()) {
        Some(current) => set(current, wanted, ty),
        None if stored_as_nothing(wanted, ty, in_map) => {}
        None => {
            object.insert(key.clone(), conform(wanted, ty));
        }
    }
}

fn set(current: &mut Value, wanted: &Value, ty: Option<TypeRef<'_>>) {
    match (current, wanted) {
        (Value::Object(current), Value::Object(wanted)) if !ty.is_some_and(TypeRef::is_atomic_map) => {
            let in_map = ty.is_some_and(|t| t.shape() == Shape::Map);
            for (key, value) in wanted {
                let (field, undeclared) = child(ty, key);
                set_field(current, key, value, (field, undeclared, in_map));
            }
        }
        (Value::Array(items), Value::Array(wanted)) if merges_items(ty) => set_items(items, wanted, ty),
        (current, _) => {
            if !covers(None, wanted, current, ty) {
                *current = conform(wanted, ty);
            }
        }
    }
}

fn merges_items(ty: Option<TypeRef<'_>>) -> bool {
    ty.is_some_and(|t| t.list_type() != ListType::Atomic)
}

fn set_items(items: &mut Vec<Value>, wanted: &[Value], ty: Option<TypeRef<'_>>) {
    let keys = ty.filter(|t| t.list_type() == ListType::Map).and_then(ItemKeys::of);
    let item_type = ty.and_then(TypeRef::items);
    let mut old: Vec<Option<Value>> = std::mem::take(items).into_iter().map(Some).collect();
    let mut pairs: Vec<Option<usize>> = Vec::with_capacity(wanted.len());
    for item in wanted {
        let is_it = |o: &Value| keys.map_or_else(|| o == item, |keys| keys.same(o, item));
        let found =
            old.iter().enumerate().position(|(i, o)| o.as_ref().is_some_and(is_it) && !pairs.contains(&Some(i)));
        pairs.push(found);
    }
    for slot in weave(old.len(), &pairs) {
        match slot {
            Slot::Live(i) => items.extend(old[i].take()),
            Slot::Wanted(j) => match pairs[j].and_then(|i| old[i].take()) {
                Some(mut current) => {
                    set(&mut current, &wanted[j], item_type);
                    items.push(current);
                }
                None => items.push(conform(&wanted[j], item_type)),
            },
        }
    }
}

/// Where the next item of a merged list comes from.
enum Slot {
    /// Live's own, by place.
    Live(usize),
    /// The target's, by place, with the live item it is paired with.
    Wanted(usize),
}

/// The order of a merged list. `pairs` has the live place of each wanted item.
/// The target's order holds among what it names; live's own items come as soon
/// as the walk through live meets them, which is what the API server does too.
fn weave(live: usize, pairs: &[Option<usize>]) -> Vec<Slot> {
    let mut wanted_at = vec![None; live];
    for (j, place) in pairs.iter().enumerate() {
        if let Some(i) = place {
            wanted_at[*i] = Some(j);
        }
    }
    let mut shared = pairs.iter().enumerate().filter_map(|(j, place)| place.map(|_| j)).peekable();
    let mut order = Vec::with_capacity(live + pairs.len());
    let (mut l, mut r) = (0, 0);
    while l < live || r < pairs.len() {
        let here = wanted_at.get(l).copied();
        match here {
            // Live's own.
            Some(None) => {
                order.push(Slot::Live(l));
                l += 1;
                continue;
            }
            // Taken before, or not the one whose turn it is.
            Some(Some(j)) if j < r || shared.peek().is_some_and(|next| *next != j) => {
                l += 1;
                continue;
            }
            Some(Some(j)) if j == r => l += 1,
            _ => {}
        }
        if r < pairs.len() {
            order.push(Slot::Wanted(r));
            shared.next_if_eq(&r);
            r += 1;
        }
    }
    order
}

/// Removes what we own, others do not, and the target names no more.
fn release_map(
    object: &mut Object,
    wanted: Option<&Object>,
    ours: &FieldSet,
    theirs: Option<&FieldSet>,
    ty: Option<TypeRef<'_>>,
) {
    for (key, owned) in &ours.fields {
        let (field, _) = child(ty, key);
        let wanted = wanted.and_then(|w| w.get(key)).filter(|v| !v.is_null());
        let shared = theirs.and_then(|t| t.fields.get(key));
        let Some(current) = object.get_mut(key) else { continue };
        if release(current, wanted, owned, shared, field) {
            object.remove(key);
        }
    }
}

/// Releases one place; whether it is to go altogether.
fn release(
    current: &mut Value,
    wanted: Option<&Value>,
    ours: &FieldSet,
    theirs: Option<&FieldSet>,
    ty: Option<TypeRef<'_>>,
) -> bool {
    if wanted.is_none() && theirs.is_none() {
        // With what was filled in below it.
        return true;
    }
    match current {
        Value::Object(object) => release_map(object, wanted.and_then(Value::as_object), ours, theirs, ty),
        Value::Array(items) => release_items(items, wanted.and_then(Value::as_array), ours, theirs, ty),
        _ => {}
    }
    false
}

fn release_items(
    items: &mut Vec<Value>,
    wanted: Option<&Vec<Value>>,
    ours: &FieldSet,
    theirs: Option<&FieldSet>,
    ty: Option<TypeRef<'_>>,
) {
    let keys = ty.filter(|t| t.list_type() == ListType::Map).and_then(ItemKeys::of);
    let item_type = ty.and_then(TypeRef::items);
    let mut index = 0;
    items.retain_mut(|item| {
        index += 1;
        let Some(owned) = ours.item(item, index - 1) else { return true };
        let shared = theirs.and_then(|t| t.item(item, index - 1));
        let like = |w: &&Value| keys.map_or_else(|| **w == *item, |keys| keys.same(w, item));
        match wanted.and_then(|w| w.iter().find(like)) {
            Some(wanted) => {
                release(item, Some(wanted), owned, shared, item_type);
                true
            }
            // Who owns fields of an item but not the item cannot keep it.
            None if shared.is_none_or(|s| !s.own && !s.is_leaf()) => false,
            None => {
                release(item, None, owned, shared, item_type);
                true
            }
        }
    });
}

fn take_back(predicted: &Value, live: &Value, owned: &FieldSet) -> Value {
    if owned.is_leaf() {
        return predicted.clone();
    }
    match (predicted, live) {
        (Value::Object(predicted), Value::Object(live)) => {
            let mut result = Object::new();
            for (key, value) in predicted {
                match (owned.fields.get(key), live.get(key)) {
                    (Some(owned), Some(live)) => result.insert(key.clone(), take_back(value, live, owned)),
                    (Some(_), None) => result.insert(key.clone(), value.clone()),
                    (None, Some(live)) => result.insert(key.clone(), live.clone()),
                    (None, None) => None,
                };
            }
            for (key, value) in live {
                if !predicted.contains_key(key) && !owned.fields.contains_key(key) {
                    result.insert(key.clone(), value.clone());
                }
            }
            Value::Object(result)
        }
        (Value::Array(predicted), Value::Array(live)) => Value::Array(take_back_items(predicted, live, owned)),
        _ => predicted.clone(),
    }
}

fn take_back_items(predicted: &[Value], live: &[Value], owned: &FieldSet) -> Vec<Value> {
    // Ours are told apart by the names the API server gave them; the others,
    // which have none here, stay as they are live.
    let key_of = |item: &Value, i: usize| owned.items.iter().position(|(key, _)| key.names(item, i));
    let find =
        |items: &[Value], key: usize| items.iter().enumerate().position(|(i, item)| key_of(item, i) == Some(key));
    let mut ordered = Vec::new();
    for (i, item) in predicted.iter().enumerate() {
        let Some(key) = key_of(item, i) else { continue };
        match find(live, key) {
            Some(j) => ordered.push((Some(j), take_back(item, &live[j], &owned.items[key].1))),
            None => ordered.push((None, item.clone())),
        }
    }
    let rest = live.iter().enumerate().filter(|(j, item)| key_of(item, *j).is_none());
    interleave(rest.map(|(j, item)| (j, item.clone())).collect(), ordered)
}
