//! Who owns which fields: `metadata.managedFields` read into trees.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Deepest nesting read; the API server's own limit on objects is far lower.
const MAX_DEPTH: usize = 100;

/// The fields somebody owns, as a tree. A node without children is a field owned
/// whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldSet {
    /// The place itself is owned, apart from what lies below it.
    pub own: bool,
    /// Fields of a map, by name.
    pub fields: BTreeMap<String, FieldSet>,
    /// Items of a list.
    pub items: Vec<(ItemKey, FieldSet)>,
}

/// How an item of a list is named.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKey {
    /// By the values of its keys.
    Keys(Map<String, Value>),
    /// By its value.
    Value(Value),
    /// By its place.
    Index(usize),
}

/// One entry of `managedFields`.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The manager's name.
    pub manager: &'a str,
    /// `Apply` or `Update`.
    pub operation: &'a str,
    /// `status` and the like; empty for the object itself.
    pub subresource: &'a str,
    fields: &'a Value,
}

/// The entries of an object.
pub fn entries(object: &Value) -> impl Iterator<Item = Entry<'_>> {
    fn text<'a>(entry: &'a Value, field: &str) -> &'a str {
        entry.get(field).and_then(Value::as_str).unwrap_or("")
    }
    let list = object.get("metadata").and_then(|m| m.get("managedFields")).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|entry| {
        Some(Entry {
            manager: text(entry, "manager"),
            operation: text(entry, "operation"),
            subresource: text(entry, "subresource"),
            fields: entry.get("fieldsV1")?,
        })
    })
}

/// All the fields of the entries that `wanted` picks.
pub fn owned_by(object: &Value, wanted: impl Fn(&Entry<'_>) -> bool) -> FieldSet {
    let mut set = FieldSet::default();
    for entry in entries(object).filter(|e| wanted(e)) {
        set.merge(FieldSet::parse(entry.fields));
    }
    set
}

// === impl FieldSet ===

impl FieldSet {
    /// Reads a `fieldsV1`. What is not understood is left out.
    pub fn parse(fields: &Value) -> Self {
        Self::parse_below(fields, 0)
    }

    fn parse_below(fields: &Value, depth: usize) -> Self {
        let mut set = Self::default();
        let Some(map) = fields.as_object().filter(|_| depth < MAX_DEPTH) else { return set };
        for (key, below) in map {
            if key == "." {
                set.own = true;
                continue;
            }
            let Some((tag, rest)) = key.split_once(':') else { continue };
            let item = match tag {
                "f" => {
                    set.fields.insert(rest.to_owned(), Self::parse_below(below, depth + 1));
                    continue;
                }
                "k" => serde_json::from_str(rest).ok().map(ItemKey::Keys),
                "v" => serde_json::from_str(rest).ok().map(ItemKey::Value),
                "i" => rest.parse().ok().map(ItemKey::Index),
                _ => None,
            };
            set.items.extend(item.map(|item| (item, Self::parse_below(below, depth + 1))));
        }
        set
    }

    /// Whether nothing is owned at all.
    pub fn is_empty(&self) -> bool {
        !self.own && self.is_leaf()
    }

    /// Whether the place is owned whole: nothing is said about what is below.
    pub fn is_leaf(&self) -> bool {
        self.fields.is_empty() && self.items.is_empty()
    }

    /// Adds the fields of another set.
    pub fn merge(&mut self, other: Self) {
        self.own |= other.own;
        for (name, below) in other.fields {
            self.fields.entry(name).or_default().merge(below);
        }
        for (key, below) in other.items {
            match self.items.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => known.merge(below),
                None => self.items.push((key, below)),
            }
        }
    }

    /// What is owned of one item of a list.
    pub fn item(&self, item: &Value, index: usize) -> Option<&Self> {
        self.items.iter().find(|(key, _)| key.names(item, index)).map(|(_, below)| below)
    }
}

// === impl ItemKey ===

impl ItemKey {
    /// Whether this names the given item. A key that the item leaves out counts
    /// as said: the API server names items after defaulting them.
    pub fn names(&self, item: &Value, index: usize) -> bool {
        match self {
            Self::Keys(keys) => {
                item.is_object()
                    && keys.iter().all(|(key, value)| item.get(key).is_none_or(|v| v == value))
                    && keys.keys().any(|key| item.get(key).is_some())
            }
            Self::Value(value) => value == item,
            Self::Index(i) => *i == index,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_items_and_values_are_read() {
        let set = FieldSet::parse(&json!({
            "f:metadata": {"f:finalizers": {"v:\"a\"": {}}},
            "f:spec": {".": {}, "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}},
            "x": {}, "q:z": {}
        }));
        let spec = &set.fields["spec"];
        assert!(spec.own && !spec.is_leaf());
        let ports = &spec.fields["ports"];
        assert!(ports.item(&json!({"port": 80}), 0).is_some());
        assert!(ports.item(&json!({"port": 80, "protocol": "UDP"}), 0).is_none());
        assert!(set.fields["metadata"].fields["finalizers"].item(&json!("a"), 3).is_some());
    }

    #[test]
    fn entries_of_one_manager_are_joined() {
        let object = json!({"metadata": {"managedFields": [
            {"manager": "a", "operation": "Apply", "fieldsV1": {"f:x": {}}},
            {"manager": "b", "operation": "Apply", "fieldsV1": {"f:y": {}}},
            {"manager": "a", "operation": "Update", "fieldsV1": {"f:z": {}}},
            7
        ]}});
        let set = owned_by(&object, |e| e.manager == "a");
        assert_eq!(set.fields.keys().collect::<Vec<_>>(), ["x", "z"]);
    }
}
