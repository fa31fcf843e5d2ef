//! Ownership of fields and patches, over JSON of any kind.

use argosy_engine::merge::{apply_json_merge, apply_strategic, three_way_patch, two_way_json_merge};
use argosy_engine::schema::{FieldType, TypeRef};
use serde_json::{Map, Value, json};

use super::{FieldSet, Managed, Writer, compare};
use crate::kinds::Kinds;

fn read(input: &[u8], names: [&str; 2]) -> Option<[Value; 2]> {
    let Ok(Value::Object(mut given)) = serde_json::from_slice(input) else { return None };
    Some(names.map(|name| given.remove(name).unwrap_or_default()))
}

/// `{"old": …, "new": …}`: two states of a Deployment, with entries of owners.
pub(crate) fn managed(input: &[u8]) {
    let Some([old, new]) = read(input, ["old", "new"]) else { return };
    let kind = Kinds::new().find("apps", "v1", "deployments").expect("it is built in");
    for ty in [kind.schema(), None] {
        sets(&old, &new, ty);
        ownership(&old, &new, ty);
    }
}

fn sets(old: &Value, new: &Value, ty: Option<TypeRef<'_>>) {
    let (a, b) = (FieldSet::of(old, ty), FieldSet::of(new, ty));
    assert_eq!(a.clone().union(&a), a);
    assert_eq!(a.clone().union(&b), b.clone().union(&a));
    assert!(a.clone().difference(&a).is_empty());
    assert!(a.intersection(&b).difference(&a).is_empty());
    assert!(a.clone().difference(&b).intersection(&b).is_empty());
    assert_eq!(a.is_empty(), a.paths().is_empty());
    let none = compare(old, old, ty);
    assert!(none.changed.is_empty() && none.removed.is_empty(), "{old} differs from itself");
    // What is written is read again; a set that is read settles at once.
    for given in [old, new] {
        let set = FieldSet::parse(given);
        assert_eq!(FieldSet::parse(&set.write()), set, "{given}");
    }
}

fn ownership(old: &Value, new: &Value, ty: Option<TypeRef<'_>>) {
    let entries = |managed: &Managed| json!({"metadata": {"managedFields": managed.write()}});
    let before = Managed::read(old);
    let settled = Managed::read(&entries(&before));
    assert_eq!(Managed::read(&entries(&settled)), settled, "{old}");
    let writer =
        Writer { manager: "fuzzer", operation: "Update", api_version: "apps/v1", subresource: "", now: Some("now") };
    let mut after = settled.clone();
    after.update(old, new, ty, &writer, &[]);
    let mut same = after.clone();
    same.update(new, new, ty, &writer, &[]);
    assert_eq!(same, after, "nothing was written and somebody owns it");
}

/// `{"old": …, "new": …}`: patches that lead from one to the other, and `new` as a patch.
pub(crate) fn merge(input: &[u8]) {
    let Some([old, new]) = read(input, ["old", "new"]) else { return };
    let once = apply_json_merge(&old, &new);
    assert_eq!(apply_json_merge(&once, &new), once, "{new} patches twice");
    let wanted = without_nulls(&new);
    let reached = two_way_json_merge(&old, &wanted).map_or_else(|| old.clone(), |patch| apply_json_merge(&old, &patch));
    assert_eq!(reached, wanted, "from {old}");
    let kind = Kinds::new().find("apps", "v1", "deployments").expect("it is built in");
    for ty in [kind.schema(), None] {
        apply_strategic(&old, &new, ty);
        three_ways(&old, &wanted, ty);
    }
}

/// What was reached by a patch needs none.
fn three_ways(live: &Value, target: &Value, ty: Option<TypeRef<'_>>) {
    let Ok(patch) = three_way_patch(None, target, live, ty) else { return };
    let reached = patch.apply(live, ty);
    if [target, live].into_iter().any(|value| has_directives(value) || !is_proper(value, ty)) {
        return;
    }
    let Ok(rest) = three_way_patch(None, target, &reached, ty) else { return };
    assert!(rest.is_empty(), "{target} on {live} gives {reached}, which still needs {:?}", rest);
}

/// Words that mean something in a patch are no fields of objects.
fn has_directives(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| name.starts_with('$') || has_directives(value)),
        Value::Array(items) => items.iter().any(has_directives),
        _ => false,
    }
}

/// Whether items of lists can be told apart where that is how lists are merged; the API
/// server refuses the others.
fn is_proper(value: &Value, ty: Option<TypeRef<'_>>) -> bool {
    match value {
        Value::Object(fields) => fields.iter().all(|(name, value)| {
            let below = match ty.map(|ty| ty.field(name)) {
                Some(FieldType::Declared(below)) => Some(below),
                _ => None,
            };
            is_proper(value, below)
        }),
        Value::Array(items) => {
            let merged = ty.filter(|ty| ty.merges());
            let names: Vec<Option<&Value>> = match merged.map(|ty| ty.merge_key()) {
                Some(Some(key)) => items.iter().map(|item| item.get(key)).collect(),
                Some(None) => items.iter().map(Some).collect(),
                None => Vec::new(),
            };
            let is_name = |name: &Option<&Value>| name.is_some_and(|name| name.is_string() || name.is_number());
            names.iter().all(is_name)
                && (1..names.len()).all(|at| !names[..at].contains(&names[at]))
                && items.iter().all(|item| is_proper(item, ty.and_then(TypeRef::items)))
        }
        _ => true,
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}
