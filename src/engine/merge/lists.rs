//! Lists: merged by key, merged as a set, or replaced.
//!
//! Items are paired by all their keys (`containerPort` and `protocol`), with
//! declared defaults for missing ones, although a strategic merge patch knows
//! only the first. Where that first key is not enough to tell the items apart,
//! the API server would merge the wrong ones, so the list is sent whole
//! (`$patch: replace`), with the live fields nobody asked to change.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::schema::{FieldType, ListType, TypeRef};

use super::apply::{apply_map, interleave};
use super::compare::{covers, same_scalar};
use super::generate::Generator;

type Object = Map<String, Value>;

/// How the items of one list are told apart.
#[derive(Clone, Copy)]
pub(crate) struct ItemKeys<'a> {
    keys: &'a [Arc<str>],
    /// Used where there are no `keys`.
    single: Option<&'a str>,
    item: Option<TypeRef<'a>>,
}

// === impl ItemKeys ===

impl<'a> ItemKeys<'a> {
    /// The keys of a list, or `None` when its items have none.
    pub(crate) fn of(list: TypeRef<'a>) -> Option<Self> {
        let keys = if list.list_type() == ListType::Map { list.map_keys() } else { &[] };
        let single = list.merge_key();
        (!keys.is_empty() || single.is_some()).then(|| Self { keys, single, item: list.items() })
    }

    /// Whether two items have the same keys.
    pub(crate) fn same(&self, a: &Value, b: &Value) -> bool {
        let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return false };
        if self.keys.is_empty() {
            return self.single.is_some_and(|key| self.same_key(key, a, b));
        }
        self.keys.iter().all(|key| self.same_key(key, a, b))
    }

    fn same_key(&self, key: &str, a: &Object, b: &Object) -> bool {
        let ty = match self.item.map(|t| t.field(key)) {
            Some(FieldType::Declared(t)) => Some(t),
            _ => None,
        };
        let default = || ty.and_then(TypeRef::default_value);
        let a = a.get(key).filter(|v| !v.is_null()).or_else(default);
        let b = b.get(key).filter(|v| !v.is_null()).or_else(default);
        match (a, b) {
            (Some(a), Some(b)) => same_scalar(a, b, ty),
            (None, None) => true,
            _ => false,
        }
    }

    /// The item like this one. Lists are mostly in the same order on both sides,
    /// so the search begins where the last one ended.
    pub(crate) fn find(&self, items: &[Value], like: &Value, hint: usize) -> Option<usize> {
        let start = hint.min(items.len());
        (start..items.len()).chain(0..start).find(|&i| self.same(&items[i], like))
    }
}

/// What a keyed list's items need.
struct KeyedChanges {
    /// One for each wanted item: the live item it is, and the changes to it.
    pairs: Vec<(Option<usize>, Object)>,
    /// Live items that were applied once and are wanted no more.
    gone: Vec<usize>,
}

// === impl KeyedChanges ===

impl KeyedChanges {
    fn is_reordered(&self) -> bool {
        !self.pairs.iter().filter_map(|(live, _)| *live).is_sorted()
    }

    /// Whether any item has changes, is new, or is to go; order apart.
    fn has_changes(&self) -> bool {
        !self.gone.is_empty() || self.pairs.iter().any(|(live, changes)| live.is_none() || !changes.is_empty())
    }

    fn is_paired(&self, live: usize) -> bool {
        self.pairs.iter().any(|(found, _)| *found == Some(live))
    }
}

// === impl Generator ===

impl Generator {
    /// Adds the changes of one list to the patch of the map that holds it.
    pub(super) fn list(
        &self,
        (key, last): (&String, Option<&Vec<Value>>),
        target: &[Value],
        live: &[Value],
        ty: Option<TypeRef<'_>>,
        patch: &mut Object,
    ) {
        if let Some(ty) = ty.filter(|t| self.strategic && t.merges()) {
            if let (Some(merge_key), Some(keys)) = (ty.merge_key(), ItemKeys::of(ty))
                && target.iter().chain(live).all(|item| item.get(merge_key).is_some_and(|v| !v.is_null()))
            {
                return self.keyed_list((key, last), target, live, (ty, merge_key, keys), patch);
            }
            if ty.merge_key().is_none() && target.iter().chain(live).all(is_scalar) {
                return scalar_set((key, last), target, live, patch);
            }
        }
        let as_value = |items: &[Value]| Value::Array(items.to_vec());
        let items = ty.and_then(TypeRef::items);
        let covered = target.len() == live.len()
            && (0..target.len()).all(|i| covers(last.and_then(|l| l.get(i)), &target[i], &live[i], items));
        if !covered {
            patch.insert(key.clone(), self.fresh(&as_value(target), ty));
        }
    }

    fn keyed_list(
        &self,
        (key, last): (&String, Option<&Vec<Value>>),
        target: &[Value],
        live: &[Value],
        (ty, merge_key, keys): (TypeRef<'_>, &str, ItemKeys<'_>),
        patch: &mut Object,
    ) {
        let changes = self.keyed_changes(last.map_or(&[], Vec::as_slice), target, live, (ty, keys));
        let reordered = changes.is_reordered();
        if !reordered && !changes.has_changes() {
            return;
        }
        let unpaired = (0..live.len()).filter(|j| !changes.is_paired(*j)).map(|j| &live[j]);
        if has_duplicates(target.iter().chain(unpaired), merge_key) {
            // The API server puts items of one merge key side by side, so their
            // order is not the target's to choose.
            if changes.has_changes() {
                patch.insert(key.clone(), self.whole_list(target, live, (ty, merge_key), &changes));
            }
            return;
        }
        let mut items = Vec::new();
        for (wanted, (found, change)) in target.iter().zip(changes.pairs) {
            if found.is_none() {
                items.push(self.fresh(wanted, ty.items()));
            } else if !change.is_empty() {
                let mut item = change;
                item.insert(merge_key.to_owned(), wanted[merge_key].clone());
                items.push(Value::Object(item));
            }
        }
        items.extend(changes.gone.iter().map(|&i| json!({merge_key: live[i][merge_key], "$patch": "delete"})));
        if !items.is_empty() {
            patch.insert(key.clone(), Value::Array(items));
        }
        if !target.is_empty() {
            let order = target.iter().map(|item| json!({merge_key: item[merge_key]})).collect();
            patch.insert(format!("$setElementOrder/{key}"), Value::Array(order));
        }
    }

    fn keyed_changes(
        &self,
        last: &[Value],
        target: &[Value],
        live: &[Value],
        (ty, keys): (TypeRef<'_>, ItemKeys<'_>),
    ) -> KeyedChanges {
        let mut taken = vec![false; live.len()];
        let mut pairs = Vec::with_capacity(target.len());
        let mut hint = 0;
        for (i, wanted) in target.iter().enumerate() {
            let found = keys.find(live, wanted, hint).filter(|&j| !taken[j]);
            let mut changes = Object::new();
            if let Some(j) = found {
                taken[j] = true;
                hint = j + 1;
                if let (Some(wanted), Some(current)) = (wanted.as_object(), live[j].as_object()) {
                    let before = keys.find(last, &target[i], i).and_then(|k| last[k].as_object());
                    changes = self.inner_map(before, wanted, current, ty.items());
                    if !changes.is_empty() {
                        self.add_retained_keys(&mut changes, wanted, Some(ty));
                    }
                }
            }
            pairs.push((found, changes));
        }
        let mut gone: Vec<usize> = last
            .iter()
            .enumerate()
            .filter(|(i, was)| keys.find(target, was, *i).is_none())
            .filter_map(|(i, was)| keys.find(live, was, i))
            .filter(|&j| !taken[j])
            .collect();
        gone.sort_unstable();
        gone.dedup();
        KeyedChanges { pairs, gone }
    }

    /// The list as it shall be, to be put in place of the live one.
    fn whole_list(
        &self,
        target: &[Value],
        live: &[Value],
        (ty, merge_key): (TypeRef<'_>, &str),
        changes: &KeyedChanges,
    ) -> Value {
        let ordered = target
            .iter()
            .zip(&changes.pairs)
            .map(|(wanted, (found, change))| match found.map(|j| (j, live[j].as_object())) {
                Some((j, Some(current))) => {
                    let mut item = current.clone();
                    apply_map(&mut item, change, ty.items());
                    (Some(j), Value::Object(item))
                }
                _ => (None, self.fresh(wanted, ty.items())),
            })
            .collect();
        let rest = (0..live.len())
            .filter(|j| !changes.is_paired(*j) && !changes.gone.contains(j))
            .map(|j| (j, live[j].clone()))
            .collect();
        let mut items = interleave(rest, ordered);
        let keys: Vec<Value> = items.iter().map(|item| item[merge_key].clone()).collect();
        items.sort_by_cached_key(|item| keys.iter().position(|key| *key == item[merge_key]));
        items.insert(0, json!({"$patch": "replace"}));
        Value::Array(items)
    }
}

/// A set of scalars (finalizers): order says nothing.
fn scalar_set((key, last): (&String, Option<&Vec<Value>>), target: &[Value], live: &[Value], patch: &mut Object) {
    let missing: Vec<Value> = target.iter().filter(|v| !live.contains(v)).cloned().collect();
    let mut gone: Vec<Value> = Vec::new();
    for was in last.into_iter().flatten() {
        if !target.contains(was) && live.contains(was) && !gone.contains(was) {
            gone.push(was.clone());
        }
    }
    if missing.is_empty() && gone.is_empty() {
        return;
    }
    if !missing.is_empty() {
        patch.insert(key.clone(), Value::Array(missing));
    }
    if !gone.is_empty() {
        patch.insert(format!("$deleteFromPrimitiveList/{key}"), Value::Array(gone));
    }
    if !target.is_empty() {
        patch.insert(format!("$setElementOrder/{key}"), Value::Array(target.to_vec()));
    }
}

fn is_scalar(value: &Value) -> bool {
    !value.is_object() && !value.is_array() && !value.is_null()
}

/// Whether two items have the same merge key.
fn has_duplicates<'a>(mut items: impl Iterator<Item = &'a Value>, merge_key: &str) -> bool {
    let mut seen = std::collections::HashSet::new();
    items.any(|item| !seen.insert(item[merge_key].to_string()))
}
