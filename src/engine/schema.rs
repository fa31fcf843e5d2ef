//! The types of one cluster, as its own OpenAPI v3 documents describe them.
//!
//! Nothing here knows a Kubernetes kind by heart: merge keys, list types,
//! defaults and the scalars that the API server rewrites (quantities, times) all
//! come from the documents. A document is inserted when its group and version
//! are first needed, and again when it changes; what was never inserted is
//! simply unknown, and the callers fall back to plain JSON.
//!
//! Definitions that several documents repeat (`ObjectMeta`, `PodSpec`) are kept
//! once, by name, and field names are interned. All of a stock cluster's
//! documents together take about 2 MB.

mod parse;
pub mod quantity;
mod type_ref;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use argosy_model::Gvk;
use serde_json::Value;

pub use type_ref::{FieldType, ListType, Scalar, Shape, TypeRef};

/// Why a document could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SchemaError {
    /// The document has no `components.schemas` map.
    #[error("the OpenAPI document of {0} has no components.schemas")]
    NoSchemas(String),
}

/// Every type known of one cluster. Share it behind an `Arc`; cloning copies two
/// tables of pointers, not the definitions.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    /// Definition name to index in `definitions`.
    names: HashMap<Arc<str>, u32>,
    definitions: Vec<Definition>,
    kinds: HashMap<Gvk, Kind>,
    strings: HashSet<Arc<str>>,
}

/// A definition, or the place kept for one that was only referred to so far.
#[derive(Clone, Debug)]
struct Definition {
    name: Arc<str>,
    node: Option<Arc<type_ref::Node>>,
    /// The document it came from: only that one may replace it.
    owner: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug)]
struct Kind {
    definition: u32,
    /// The server's own word that it takes strategic merge patches.
    strategic: bool,
}

// === impl Schemas ===

impl Schemas {
    /// Reads one document of `/openapi/v3`. `group_version` is `apps/v1`, or `v1`
    /// for the core group (the `apis/` and `api/` of the index are accepted too).
    /// A second insertion replaces the first. Returns how many kinds it brought.
    ///
    /// # Errors
    /// [`SchemaError::NoSchemas`] when the document is something else; what was
    /// known before stays.
    pub fn insert_document(&mut self, group_version: &str, document: &Value) -> Result<usize, SchemaError> {
        let group_version = trim_index_prefix(group_version);
        let schemas = document
            .get("components")
            .and_then(|c| c.get("schemas"))
            .and_then(Value::as_object)
            .ok_or_else(|| SchemaError::NoSchemas(group_version.to_owned()))?;
        self.remove_document(group_version);
        let owner = self.intern(group_version);
        let strategic = parse::strategic_kinds(document);
        let mut count = 0;
        for (name, schema) in schemas {
            let index = self.index_of(name);
            if self.definitions[index as usize].node.is_none() {
                let node = Arc::new(parse::definition(self, name, schema));
                let slot = &mut self.definitions[index as usize];
                slot.node = Some(node);
                slot.owner = Some(owner.clone());
            }
            for gvk in parse::kinds(schema).filter(|gvk| gvk.api_version() == group_version) {
                let strategic = strategic.contains(&gvk);
                self.kinds.insert(gvk, Kind { definition: index, strategic });
                count += 1;
            }
        }
        Ok(count)
    }

    /// Forgets the kinds and definitions one document brought.
    pub fn remove_document(&mut self, group_version: &str) {
        let group_version = trim_index_prefix(group_version);
        self.kinds.retain(|gvk, _| gvk.api_version() != group_version);
        for definition in &mut self.definitions {
            if definition.owner.as_deref() == Some(group_version) {
                definition.node = None;
                definition.owner = None;
            }
        }
    }

    /// The type of a kind, when its document was inserted.
    pub fn get(&self, gvk: &Gvk) -> Option<TypeRef<'_>> {
        let kind = self.kinds.get(gvk)?;
        TypeRef::of_kind(self, kind.definition, kind.strategic)
    }

    /// A definition by its full name, such as `io.k8s.api.core.v1.PodSpec`, with
    /// the rules of the API server's own types.
    pub fn definition(&self, name: &str) -> Option<TypeRef<'_>> {
        TypeRef::of_kind(self, *self.names.get(name)?, true)
    }

    /// Whether any kind is known.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    fn node(&self, index: u32) -> Option<&type_ref::Node> {
        self.definitions.get(index as usize)?.node.as_deref()
    }

    fn name(&self, index: u32) -> &str {
        self.definitions.get(index as usize).map_or("", |d| &d.name)
    }

    /// The index of a definition, kept free for it when it is not known yet.
    fn index_of(&mut self, name: &str) -> u32 {
        if let Some(&index) = self.names.get(name) {
            return index;
        }
        let index = u32::try_from(self.definitions.len()).expect("a cluster has fewer than 2^32 types");
        let name = self.intern(name);
        self.names.insert(name.clone(), index);
        self.definitions.push(Definition { name, node: None, owner: None });
        index
    }

    fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.strings.get(text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        self.strings.insert(text.clone());
        text
    }
}

fn trim_index_prefix(group_version: &str) -> &str {
    let trimmed = group_version.trim_start_matches('/');
    trimmed.strip_prefix("apis/").or_else(|| trimmed.strip_prefix("api/")).unwrap_or(trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn crd(field_type: &str) -> Value {
        json!({
            "paths": {"/apis/example.com/v1/foos/{name}": {"patch": {
                "x-kubernetes-group-version-kind": {"group": "example.com", "version": "v1", "kind": "Foo"},
                "requestBody": {"content": {"application/merge-patch+json": {}}}
            }}},
            "components": {"schemas": {"com.example.v1.Foo": {
                "type": "object",
                "properties": {"size": {"type": field_type}, "any": {"x-kubernetes-preserve-unknown-fields": true}},
                "x-kubernetes-group-version-kind": [{"group": "example.com", "version": "v1", "kind": "Foo"}]
            }}}
        })
    }

    #[test]
    fn a_custom_kind_is_known_but_never_strategic() {
        let mut schemas = Schemas::default();
        assert_eq!(schemas.insert_document("apis/example.com/v1", &crd("string")), Ok(1));
        let foo = schemas.get(&Gvk::new("example.com", "v1", "Foo")).expect("known");
        assert!(!foo.is_strategic());
        assert!(matches!(foo.field("size"), FieldType::Declared(t) if t.scalar() == Some(Scalar::String)));
        assert!(matches!(foo.field("nope"), FieldType::Undeclared));
        assert!(matches!(foo.field("any"), FieldType::Declared(t) if t.shape() == Shape::Any));
        assert!(schemas.get(&Gvk::new("example.com", "v2", "Foo")).is_none());
    }

    #[test]
    fn inserting_a_document_again_replaces_it() {
        let mut schemas = Schemas::default();
        schemas.insert_document("example.com/v1", &crd("string")).expect("inserts");
        schemas.insert_document("example.com/v1", &crd("boolean")).expect("inserts");
        let foo = schemas.get(&Gvk::new("example.com", "v1", "Foo")).expect("known");
        assert!(matches!(foo.field("size"), FieldType::Declared(t) if t.scalar() == Some(Scalar::Boolean)));
        schemas.remove_document("example.com/v1");
        assert!(schemas.is_empty());
    }

    #[test]
    fn what_is_not_a_document_is_refused_and_changes_nothing() {
        let mut schemas = Schemas::default();
        schemas.insert_document("example.com/v1", &crd("string")).expect("inserts");
        assert!(schemas.insert_document("example.com/v1", &json!({"paths": {}})).is_err());
        assert!(!schemas.is_empty());
    }
}
