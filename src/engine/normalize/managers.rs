//! `managedFieldsManagers`: where the two sides differ in a field that one of the
//! listed managers owns, the field is removed from both.

use serde_json::Value;

use crate::merge::ownership::{FieldSet, ItemKey};

/// Removes the differing owned fields below one place. Absent sides are `None`.
pub(super) fn remove_owned(target: Option<&mut Value>, live: Option<&mut Value>, owned: &FieldSet) {
    let (mut target, mut live) = (target, live);
    for (name, below) in &owned.fields {
        let a = target.as_deref_mut().and_then(|v| v.get_mut(name));
        let b = live.as_deref_mut().and_then(|v| v.get_mut(name));
        if a.as_deref() == b.as_deref() {
            continue;
        }
        if !below.is_leaf() {
            remove_owned(a, b, below);
            continue;
        }
        for side in [&mut target, &mut live] {
            if let Some(Value::Object(map)) = side.as_deref_mut() {
                map.remove(name);
            }
        }
    }
    for (key, below) in &owned.items {
        let a = position(target.as_deref(), key);
        let b = position(live.as_deref(), key);
        match (a, b) {
            (Some(a), Some(b)) => {
                let a = target.as_deref_mut().and_then(|v| v.get_mut(a));
                let b = live.as_deref_mut().and_then(|v| v.get_mut(b));
                remove_owned(a, b, below);
            }
            // Only one side has the item: it goes, if it is theirs as a whole.
            (Some(i), None) if below.own || below.is_leaf() => remove_item(target.as_deref_mut(), i),
            (None, Some(i)) if below.own || below.is_leaf() => remove_item(live.as_deref_mut(), i),
            _ => {}
        }
    }
}

fn position(list: Option<&Value>, key: &ItemKey) -> Option<usize> {
    list?.as_array()?.iter().enumerate().position(|(i, item)| key.names(item, i))
}

fn remove_item(list: Option<&mut Value>, index: usize) {
    if let Some(Value::Array(items)) = list {
        items.remove(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_differing_fields_of_the_manager_go() {
        let mut target = json!({"spec": {"replicas": 1, "same": 2, "mine": 3, "c": [{"name": "a", "image": "x"}]}});
        let mut live = json!({"spec": {"replicas": 5, "same": 2, "mine": 4,
            "c": [{"name": "a", "image": "y"}, {"name": "sidecar"}]}});
        let owned = FieldSet::parse(&json!({"f:spec": {"f:replicas": {}, "f:same": {}, "f:c": {
            "k:{\"name\":\"a\"}": {"f:image": {}}, "k:{\"name\":\"sidecar\"}": {".": {}, "f:name": {}}}}}));
        remove_owned(Some(&mut target), Some(&mut live), &owned);
        assert_eq!(target, json!({"spec": {"same": 2, "mine": 3, "c": [{"name": "a"}]}}));
        assert_eq!(live, json!({"spec": {"same": 2, "mine": 4, "c": [{"name": "a"}]}}));
    }
}
