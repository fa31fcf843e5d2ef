//! Values of expressions.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use argosy_engine::schema::quantity::Quantity;
use base64::Engine as _;
use serde_json::{Map, Value};

use super::types::{Type, escape};

/// What an expression evaluates to.
#[derive(Clone, Debug)]
pub(super) enum Val {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Rc<str>),
    Bytes(Rc<[u8]>),
    Duration(jiff::SignedDuration),
    Timestamp(jiff::Timestamp),
    Quantity(Quantity),
    Url(Rc<url::Url>),
    Type(&'static str),
    List(Rc<Vec<Val>>),
    /// A list whose order says nothing, as `x-kubernetes-list-type: set` has it.
    Unordered(Rc<Vec<Val>>),
    Map(Rc<BTreeMap<Key, Val>>),
    Optional(Option<Rc<Val>>),
}

/// What entries of a map are found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Bool(bool),
    Int(i128),
    Text(Rc<str>),
}

// === impl Val ===

impl Val {
    /// What rules see of a value, of the type its schema gives it.
    pub(super) fn of(value: &Value, schema: &Value, is_root: bool) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => {
                let is_double = schema.get("type").and_then(Value::as_str) == Some("number");
                match number.as_i64() {
                    Some(whole) if !is_double => Self::Int(whole),
                    _ => Self::Double(number.as_f64().unwrap_or_default()),
                }
            }
            Value::String(text) => of_text(text, schema),
            Value::Array(items) => {
                let inner = schema.get("items").unwrap_or(&Value::Null);
                let all = items.iter().map(|item| Self::of(item, inner, is_embedded(inner)));
                let all = Rc::new(all.collect());
                match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
                    Some("set" | "map") => Self::Unordered(all),
                    _ => Self::List(all),
                }
            }
            Value::Object(fields) => of_fields(fields, schema, is_root || is_embedded(schema)),
        }
    }

    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(items))
    }

    /// Its items, where it has an order.
    pub(super) fn items(&self) -> Option<&Rc<Vec<Self>>> {
        match self {
            Self::List(items) | Self::Unordered(items) => Some(items),
            _ => None,
        }
    }

    /// What finds it in a map.
    pub(super) fn key(&self) -> Option<Key> {
        match self {
            Self::Bool(flag) => Some(Key::Bool(*flag)),
            Self::Int(n) => Some(Key::Int((*n).into())),
            Self::Uint(n) => Some(Key::Int((*n).into())),
            Self::Text(text) => Some(Key::Text(text.clone())),
            _ => None,
        }
    }

    /// The name of its type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Url(_) => "kubernetes.URL",
            Self::Type(_) => "type",
            Self::List(_) | Self::Unordered(_) => "list",
            Self::Map(_) => "map",
            Self::Optional(_) => "optional_type",
        }
    }

    /// Which comes first; `None` where they cannot be compared.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (a, b) => match (a.whole(), b.whole()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => a.number()?.partial_cmp(&b.number()?),
            },
        }
    }

    pub(super) fn whole(&self) -> Option<i128> {
        match self {
            Self::Int(n) => Some((*n).into()),
            Self::Uint(n) => Some((*n).into()),
            _ => None,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "numbers of two kinds are compared as doubles")]
            Self::Int(n) => Some(*n as f64),
            #[expect(clippy::cast_precision_loss, reason = "numbers of two kinds are compared as doubles")]
            Self::Uint(n) => Some(*n as f64),
            Self::Double(n) => Some(*n),
            _ => None,
        }
    }

    /// How much of it there is, for what looking at all of it costs.
    pub(super) fn bulk(&self) -> u64 {
        let length = match self {
            Self::Text(text) => text.len() / 10,
            Self::Bytes(bytes) => bytes.len() / 10,
            Self::List(items) | Self::Unordered(items) => items.len(),
            Self::Map(entries) => entries.len(),
            _ => 0,
        };
        length as u64
    }
}

impl PartialEq for Val {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::Quantity(a), Self::Quantity(b)) => a == b,
            (Self::Url(a), Self::Url(b)) => a == b,
            (Self::Optional(a), Self::Optional(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            (Self::Unordered(a), Self::Unordered(b)) => a.len() == b.len() && a.iter().all(|item| b.contains(item)),
            (a, b) => match (a.items(), b.items()) {
                (Some(a), Some(b)) => a == b,
                _ => a.order(b) == Some(Ordering::Equal),
            },
        }
    }
}

fn is_embedded(schema: &Value) -> bool {
    schema.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true))
}

fn of_text(text: &str, schema: &Value) -> Val {
    let read = match schema.get("format").and_then(Value::as_str).unwrap_or("") {
        "byte" => base64::engine::general_purpose::STANDARD.decode(text).ok().map(|bytes| Val::Bytes(bytes.into())),
        "duration" => super::times::duration(text).map(Val::Duration),
        "date-time" => super::times::timestamp(text).map(Val::Timestamp),
        "date" => super::times::timestamp(&format!("{text}T00:00:00Z")).map(Val::Timestamp),
        _ => None,
    };
    read.unwrap_or_else(|| Val::text(text))
}

fn of_fields(fields: &Map<String, Value>, schema: &Value, is_root: bool) -> Val {
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut entries = BTreeMap::new();
    if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
        for (name, value) in fields {
            entries.insert(Key::Text(name.as_str().into()), Val::of(value, inner, is_embedded(inner)));
        }
        return Val::Map(Rc::new(entries));
    }
    for (name, value) in fields {
        let seen = match name.as_str() {
            "apiVersion" | "kind" if is_root => Some(Val::of(value, &Value::Null, false)),
            "metadata" if is_root => {
                let names = ["name", "generateName"].into_iter();
                let names =
                    names.filter_map(|name| Some((Key::Text(name.into()), Val::text(value.get(name)?.as_str()?))));
                Some(Val::Map(Rc::new(names.collect())))
            }
            _ => {
                let inner = properties.and_then(|properties| properties.get(name));
                inner
                    .filter(|inner| Type::of(inner, is_embedded(inner)).is_some())
                    .map(|inner| Val::of(value, inner, false))
            }
        };
        if let (Some(name), Some(seen)) = (escape(name), seen) {
            entries.insert(Key::Text(name.into()), seen);
        }
    }
    Val::Map(Rc::new(entries))
}
