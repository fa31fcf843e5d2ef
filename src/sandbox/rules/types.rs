//! Types of expressions, and those that schemas give to what they describe.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

/// What an expression may be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    /// Only known when it is evaluated.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Duration,
    Timestamp,
    Quantity,
    Url,
    /// A type as a value.
    Kind,
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    /// Fields by their escaped names.
    Object(Arc<BTreeMap<String, Type>>),
    Optional(Box<Type>),
    /// `A` or `B` of a signature.
    Any(char),
}

const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

// === impl Type ===

impl Type {
    /// The type of what a schema describes; `None` where rules cannot see it.
    pub(super) fn of(schema: &Value, is_root: bool) -> Option<Self> {
        let is_set = |name: &str| schema.get(name) == Some(&json!(true));
        if is_set("x-kubernetes-int-or-string") {
            return Some(Self::Dyn);
        }
        let text = |name: &str| schema.get(name).and_then(Value::as_str).unwrap_or("");
        let embedded = |schema: &Value| schema.get("x-kubernetes-embedded-resource") == Some(&json!(true));
        let kind = if is_root { "object" } else { text("type") };
        match kind {
            "array" => {
                let items = schema.get("items")?;
                Some(Self::List(Box::new(Self::of(items, embedded(items))?)))
            }
            "object" => {
                if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
                    let inner = Self::of(inner, embedded(inner))?;
                    return Some(Self::Map(Box::new(Self::Text), Box::new(inner)));
                }
                let mut fields = BTreeMap::new();
                let properties = schema.get("properties").and_then(Value::as_object);
                for (name, inner) in properties.into_iter().flatten() {
                    if let (Some(name), Some(inner)) = (escape(name), Self::of(inner, embedded(inner))) {
                        fields.insert(name, inner);
                    }
                }
                if is_root {
                    let metadata = ["name", "generateName"].map(|name| (name.to_owned(), Self::Text));
                    fields.insert("apiVersion".to_owned(), Self::Text);
                    fields.insert("kind".to_owned(), Self::Text);
                    fields.insert("metadata".to_owned(), Self::Object(Arc::new(metadata.into())));
                }
                Some(Self::Object(Arc::new(fields)))
            }
            "string" => Some(match text("format") {
                "byte" => Self::Bytes,
                "duration" => Self::Duration,
                "date" | "date-time" => Self::Timestamp,
                _ => Self::Text,
            }),
            "boolean" => Some(Self::Bool),
            "number" => Some(Self::Double),
            "integer" => Some(Self::Int),
            _ => None,
        }
    }

    /// What its items, values or fields are; `None` where there are none.
    pub(super) fn below(&self, field: &str) -> Option<&Self> {
        match self {
            Self::List(inner) | Self::Map(_, inner) => Some(inner),
            Self::Object(fields) => fields.get(field),
            _ => None,
        }
    }

    /// Whether a value of another type can be given where this is wanted; `bound` has
    /// what the variables of the signature stand for.
    pub(super) fn takes(&self, other: &Self, bound: &mut BTreeMap<char, Self>) -> bool {
        if let Self::Any(name) = self {
            let Some(known) = bound.get(name).cloned() else {
                bound.insert(*name, other.clone());
                return true;
            };
            let fits = known.takes(other, bound) || other.takes(&known, bound);
            if fits && known.is_vague() {
                bound.insert(*name, other.clone());
            }
            return fits;
        }
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => a.takes(b, bound),
            (Self::Map(k, v), Self::Map(l, w)) => k.takes(l, bound) && v.takes(w, bound),
            (Self::Object(_) | Self::Optional(_) | Self::Duration | Self::Timestamp, Self::Null)
            | (Self::Null, Self::Object(_) | Self::Optional(_) | Self::Duration | Self::Timestamp) => true,
            (a, b) => a == b,
        }
    }

    fn is_vague(&self) -> bool {
        match self {
            Self::Dyn | Self::Null => true,
            Self::List(inner) | Self::Optional(inner) | Self::Map(_, inner) => inner.is_vague(),
            _ => false,
        }
    }

    /// The same with variables replaced.
    pub(super) fn resolved(&self, bound: &BTreeMap<char, Self>) -> Self {
        let inner = |inner: &Self| Box::new(inner.resolved(bound));
        match self {
            Self::Any(name) => bound.get(name).cloned().unwrap_or(Self::Dyn),
            Self::List(a) => Self::List(inner(a)),
            Self::Optional(a) => Self::Optional(inner(a)),
            Self::Map(k, v) => Self::Map(inner(k), inner(v)),
            other => other.clone(),
        }
    }

    /// Reads a type of a signature; `Dyn` where it is not one.
    pub(super) fn read(text: &str) -> Self {
        let inner = |prefix: &str| text.strip_prefix(prefix)?.strip_suffix('>');
        if let Some(item) = inner("list<") {
            return Self::List(Box::new(Self::read(item)));
        }
        if let Some(item) = inner("optional<") {
            return Self::Optional(Box::new(Self::read(item)));
        }
        if let Some((key, value)) = inner("map<").and_then(|both| both.split_once(',')) {
            return Self::Map(Box::new(Self::read(key)), Box::new(Self::read(value)));
        }
        match text {
            "null" => Self::Null,
            "bool" => Self::Bool,
            "int" => Self::Int,
            "uint" => Self::Uint,
            "double" => Self::Double,
            "string" => Self::Text,
            "bytes" => Self::Bytes,
            "duration" => Self::Duration,
            "timestamp" => Self::Timestamp,
            "quantity" => Self::Quantity,
            "url" => Self::Url,
            "type" => Self::Kind,
            "A" => Self::Any('A'),
            "B" => Self::Any('B'),
            _ => Self::Dyn,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::Text => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Duration => f.write_str("duration"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Quantity => f.write_str("kubernetes.Quantity"),
            Self::Url => f.write_str("kubernetes.URL"),
            Self::Kind => f.write_str("type"),
            Self::List(inner) => write!(f, "list({inner})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Object(_) => f.write_str("object"),
            Self::Optional(inner) => write!(f, "optional_type({inner})"),
            Self::Any(name) => write!(f, "{name}"),
        }
    }
}

/// A property as rules call it; `None` where they cannot.
pub(super) fn escape(name: &str) -> Option<String> {
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(fits) {
        return None;
    }
    let escaped = name.replace("__", "__underscores__");
    Some(escaped.replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__"))
}
