//! Objects as they are kept: as text, which takes a tenth of the memory that a tree
//! of values takes, and is what readers are sent. Store, history and readers share it.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use argosy_model::object;
use serde_json::Value;

/// An object as it was at one version. `metadata.resourceVersion` of the value
/// says the same version.
#[derive(Debug, PartialEq)]
pub struct Object {
    /// The whole object, with `apiVersion` and `kind`.
    pub value: Json,
    /// The version of its last write.
    pub version: u64,
}

/// A JSON value as text. It is read when somebody first looks into it, for as long
/// as this lives.
pub struct Json {
    text: Arc<str>,
    value: OnceLock<Value>,
}

/// An object that nobody looks into.
#[derive(Clone)]
pub(super) struct Kept {
    text: Arc<str>,
    version: u64,
}

// === impl Object ===

impl Object {
    /// An object of its value, which must not be [`is_too_deep`].
    pub fn new(value: Value, version: u64) -> Self {
        Self { value: Json::from(value), version }
    }

    /// The same, after `metadata.resourceVersion` was set.
    pub(super) fn at(mut value: Value, version: u64) -> Self {
        set_version(&mut value, version);
        Self::new(value, version)
    }

    pub(super) fn kept(&self) -> Kept {
        Kept { text: self.value.text.clone(), version: self.version }
    }
}

// === impl Json ===

impl Json {
    /// The text: fields sorted by name, nothing between the tokens.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Deref for Json {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.value.get_or_init(|| serde_json::from_str(&self.text).expect("it was written by serde_json"))
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self { text: text_of(&value).into(), value: value.into() }
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// === impl Kept ===

impl Kept {
    /// For somebody who may look into it.
    pub(super) fn object(&self) -> Arc<Object> {
        let value = Json { text: self.text.clone(), value: OnceLock::new() };
        Arc::new(Object { value, version: self.version })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }
}

/// Whether lists and maps are so deep within each other that their text could not be
/// read again: more than 127 of them.
pub fn is_too_deep(value: &Value) -> bool {
    fn exceeds(value: &Value, depth: usize) -> bool {
        match value {
            Value::Array(items) => depth == 0 || items.iter().any(|item| exceeds(item, depth - 1)),
            Value::Object(fields) => depth == 0 || fields.values().any(|item| exceeds(item, depth - 1)),
            _ => false,
        }
    }
    exceeds(value, 127)
}

/// The one text of a value.
pub(super) fn text_of(value: &Value) -> String {
    serde_json::to_string(value).expect("a JSON value can be written as JSON")
}

pub(super) fn set_version(value: &mut Value, version: u64) {
    if let Some(metadata) = object::metadata(value) {
        metadata.insert("resourceVersion".to_owned(), version.to_string().into());
    }
}
