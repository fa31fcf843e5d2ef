//! The result of a rendering, shared by all applications of equal content.

use std::sync::Arc;

use serde_json::Value;

use crate::source::SourceType;

/// Objects as the source has them: no tracking, no namespace but their own.
#[derive(Debug)]
pub struct Rendered {
    /// In the order of files, then of documents.
    pub manifests: Vec<Arc<Value>>,
    /// How they were made.
    pub source_type: SourceType,
    /// Memory held, roughly, in bytes.
    pub bytes: u64,
}

// === impl Rendered ===

impl Rendered {
    /// Measures and shares the objects.
    pub fn new(manifests: Vec<Value>, source_type: SourceType) -> Self {
        let bytes = size_of::<Self>() + manifests.iter().map(footprint).sum::<usize>();
        Self { manifests: manifests.into_iter().map(Arc::new).collect(), source_type, bytes: bytes as u64 }
    }
}

/// Memory of a value: its own slot and what it points to. A map's entry also bears
/// its share of the tree's nodes.
fn footprint(value: &Value) -> usize {
    const ENTRY: usize = 2 * size_of::<String>();
    size_of::<Value>()
        + match value {
            Value::String(s) => s.len(),
            Value::Array(items) => items.iter().map(footprint).sum(),
            Value::Object(fields) => fields.iter().map(|(k, v)| ENTRY + k.len() + footprint(v)).sum(),
            _ => 0,
        }
}
