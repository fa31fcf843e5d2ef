//! Sets of fields as trees, keyed the way `fieldsV1` spells its keys: `f:name`,
//! `k:{"name":"a"}`, `v:"x"`.

use std::collections::BTreeMap;

use argosy_engine::schema::{FieldType, ListType, Shape, TypeRef};
use serde_json::{Map, Value};

/// Deepest nesting read.
const MAX_DEPTH: usize = 128;

/// Some fields of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// The place itself is in the set.
    own: bool,
    below: BTreeMap<String, FieldSet>,
}

/// What differs between two states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// New or with another value.
    pub changed: FieldSet,
    /// Gone.
    pub removed: FieldSet,
}

// === impl FieldSet ===

impl FieldSet {
    /// Reads a `fieldsV1`.
    pub fn parse(fields: &Value) -> Self {
        fn parse(fields: &Value, depth: usize) -> FieldSet {
            let mut set = FieldSet::default();
            let Some(map) = fields.as_object().filter(|_| depth < MAX_DEPTH) else {
                // Nothing is below it, and a place with nothing is one that is owned.
                set.own = depth > 0;
                return set;
            };
            for (key, below) in map {
                if key == "." {
                    set.own = true;
                } else {
                    set.below.insert(key.clone(), parse(below, depth + 1));
                }
            }
            set.own |= set.below.is_empty() && depth > 0;
            set
        }
        parse(fields, 0)
    }

    /// Writes it as `fieldsV1`.
    pub fn write(&self) -> Value {
        let mut map: Map<String, Value> = self.below.iter().map(|(key, below)| (key.clone(), below.write())).collect();
        if self.own && !map.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        Value::Object(map)
    }

    /// The fields that a value gives.
    pub fn of(value: &Value, ty: Option<TypeRef<'_>>) -> Self {
        let mut set = Self::default();
        match value {
            Value::Object(fields) if !fields.is_empty() && !ty.is_some_and(TypeRef::is_atomic_map) => {
                for (name, inner) in fields {
                    let declared = field(ty, name);
                    let mut below = Self::of(inner, declared);
                    // A map that nothing is known of is a field of its own, too.
                    below.own |= declared.is_none() && inner.as_object().is_some_and(|fields| !fields.is_empty());
                    set.below.insert(format!("f:{name}"), below);
                }
            }
            Value::Array(items) if !items.is_empty() => match keyed(items, ty) {
                Some(keyed) => {
                    for (key, item) in keyed {
                        let mut below = Self::of(item, ty.and_then(TypeRef::items));
                        below.own = true;
                        set.below.insert(key, below);
                    }
                }
                None => set.own = true,
            },
            _ => set.own = true,
        }
        set
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        !self.own && self.below.is_empty()
    }

    /// Adds what is in the other.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        self.own |= other.own;
        for (key, theirs) in &other.below {
            let ours = self.below.remove(key).unwrap_or_default();
            self.below.insert(key.clone(), ours.union(theirs));
        }
        self
    }

    /// Takes out what is in the other.
    #[must_use]
    pub fn difference(mut self, other: &Self) -> Self {
        self.own &= !other.own;
        for (key, theirs) in &other.below {
            if let Some(ours) = self.below.remove(key) {
                let rest = ours.difference(theirs);
                if !rest.is_empty() {
                    self.below.insert(key.clone(), rest);
                }
            }
        }
        self
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let both = self.below.iter().filter_map(|(key, ours)| {
            let both = ours.intersection(other.below.get(key)?);
            (!both.is_empty()).then(|| (key.clone(), both))
        });
        Self { below: both.collect(), own: self.own && other.own }
    }

    /// Without a whole field and all below it.
    pub fn remove_field(&mut self, path: &[&str]) {
        let Some((first, rest)) = path.split_first() else { return };
        let key = format!("f:{first}");
        if rest.is_empty() {
            self.below.remove(&key);
        } else if let Some(below) = self.below.get_mut(&key) {
            below.remove_field(rest);
            if below.is_empty() {
                self.below.remove(&key);
            }
        }
    }

    /// Without what nobody owns: identity, and what only the server writes.
    #[must_use]
    pub fn without_identity(mut self) -> Self {
        const SERVERS: [&str; 8] = [
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "generation",
            "managedFields",
            "resourceVersion",
        ];
        self.own = false;
        self.remove_field(&["apiVersion"]);
        self.remove_field(&["kind"]);
        for field in SERVERS {
            self.remove_field(&["metadata", field]);
        }
        if let Some(metadata) = self.below.get_mut("f:metadata") {
            metadata.own = false;
            if metadata.is_empty() {
                self.below.remove("f:metadata");
            }
        }
        self
    }

    /// The fields as messages show them: `.spec.containers[name="a"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.collect_paths("", &mut all);
        all
    }

    fn collect_paths(&self, prefix: &str, all: &mut Vec<String>) {
        if self.own {
            all.push(prefix.to_owned());
        }
        for (key, below) in &self.below {
            below.collect_paths(&format!("{prefix}{}", shown(key)), all);
        }
    }
}

fn shown(key: &str) -> String {
    let Some((tag, rest)) = key.split_once(':') else { return key.to_owned() };
    match tag {
        "f" => format!(".{rest}"),
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(rest).unwrap_or_default();
            let pairs: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", pairs.join(","))
        }
        "v" => format!("[={rest}]"),
        _ => format!("[{rest}]"),
    }
}

/// What differs from `old` to `new`.
pub fn compare(old: &Value, new: &Value, ty: Option<TypeRef<'_>>) -> Comparison {
    let mut comparison = Comparison::default();
    compare_into(Some(old), Some(new), ty, &mut comparison.changed, &mut comparison.removed);
    comparison
}

fn compare_into(
    old: Option<&Value>,
    new: Option<&Value>,
    ty: Option<TypeRef<'_>>,
    changed: &mut FieldSet,
    removed: &mut FieldSet,
) {
    match (old, new) {
        (None, Some(new)) => *changed = whole(new, ty),
        (Some(old), None) => *removed = whole(old, ty),
        (Some(Value::Null), Some(new @ (Value::Object(_) | Value::Array(_)))) => {
            *changed = whole(new, ty);
            changed.own &= changed.below.is_empty();
        }
        (Some(Value::Object(old)), Some(Value::Object(new))) if !ty.is_some_and(TypeRef::is_atomic_map) => {
            let keys = |k: &String| format!("f:{k}");
            for name in old.keys().chain(new.keys().filter(|k| !old.contains_key(*k))) {
                step(old.get(name), new.get(name), field(ty, name), &keys(name), changed, removed);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => match (keyed(old, ty), keyed(new, ty)) {
            (Some(old), Some(new)) => {
                let old: BTreeMap<String, &Value> = old.into_iter().collect();
                let new: BTreeMap<String, &Value> = new.into_iter().collect();
                let items = ty.and_then(TypeRef::items);
                for key in old.keys().chain(new.keys().filter(|k| !old.contains_key(*k))) {
                    step(old.get(key).copied(), new.get(key).copied(), items, key, changed, removed);
                }
            }
            _ => changed.own = old != new,
        },
        (Some(old), Some(new)) => changed.own = old != new,
        (None, None) => {}
    }
}

fn step(
    old: Option<&Value>,
    new: Option<&Value>,
    ty: Option<TypeRef<'_>>,
    key: &str,
    changed: &mut FieldSet,
    removed: &mut FieldSet,
) {
    let (mut below_changed, mut below_removed) = (FieldSet::default(), FieldSet::default());
    compare_into(old, new, ty, &mut below_changed, &mut below_removed);
    if !below_changed.is_empty() {
        changed.below.insert(key.to_owned(), below_changed);
    }
    if !below_removed.is_empty() {
        removed.below.insert(key.to_owned(), below_removed);
    }
}

/// A value that is wholly new or wholly gone: every place on the way counts too.
fn whole(value: &Value, ty: Option<TypeRef<'_>>) -> FieldSet {
    fn own_all(set: &mut FieldSet) {
        set.own = true;
        set.below.values_mut().for_each(own_all);
    }
    let mut set = FieldSet::of(value, ty);
    own_all(&mut set);
    set
}

fn field<'a>(ty: Option<TypeRef<'a>>, name: &str) -> Option<TypeRef<'a>> {
    match ty?.field(name) {
        FieldType::Declared(ty) => Some(ty),
        FieldType::Undeclared | FieldType::Free => None,
    }
}

/// The items of a list by their keys; `None` where the list is one value.
fn keyed<'a>(items: &'a [Value], ty: Option<TypeRef<'_>>) -> Option<Vec<(String, &'a Value)>> {
    let ty = ty.filter(|t| t.shape() == Shape::List)?;
    match ty.list_type() {
        ListType::Atomic => None,
        ListType::Set => Some(items.iter().map(|item| (format!("v:{item}"), item)).collect()),
        ListType::Map => {
            let key = |item: &'a Value| {
                let mut keys = Map::new();
                for name in ty.map_keys() {
                    let default = || field(ty.items(), name).and_then(|t| t.default_value().cloned());
                    if let Some(value) = item.get(&**name).cloned().or_else(default) {
                        keys.insert(name.to_string(), value);
                    }
                }
                (format!("k:{}", Value::Object(keys)), item)
            };
            Some(items.iter().map(key).collect())
        }
    }
}
