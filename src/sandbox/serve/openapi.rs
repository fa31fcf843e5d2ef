//! The OpenAPI documents: one for each group and version, and the old one in a
//! single piece.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::kinds::{Kind, Kinds, builtin_document, builtin_document_names, custom};

/// `/openapi/v3`.
pub(super) fn index(kinds: &Kinds) -> Value {
    let builtin = builtin_document_names().into_iter().map(|name| (name, 0));
    let generation = kinds.generation();
    let custom = custom_documents(kinds).into_keys().map(|name| (name, generation));
    let paths: Map<String, Value> = builtin
        .chain(custom)
        .map(|(name, generation)| {
            let mut hasher = DefaultHasher::new();
            (&name, generation).hash(&mut hasher);
            let url = format!("/openapi/v3/{name}?hash={:016X}", hasher.finish());
            (name, json!({"serverRelativeURL": url}))
        })
        .collect();
    json!({"paths": paths})
}

/// One document.
pub(super) fn document(kinds: &Kinds, name: &str) -> Option<Arc<str>> {
    if let Some(document) = builtin_document(name) {
        return Some(document);
    }
    let documents = custom_documents(kinds);
    let kinds = documents.get(name)?;
    Some(custom::document_of(kinds).to_string().into())
}

/// `/openapi/v2`: the same definitions under their old name.
pub(super) fn swagger(kinds: &Kinds) -> String {
    let mut definitions = Map::new();
    let mut paths = Map::new();
    let builtin = builtin_document_names().into_iter().filter_map(|name| builtin_document(&name));
    let builtin = builtin.filter_map(|text| serde_json::from_str::<Value>(&text).ok());
    let custom = custom_documents(kinds).into_values().map(|kinds| custom::document_of(&kinds));
    for document in builtin.chain(custom) {
        for (from, into) in [("/paths", &mut paths), ("/components/schemas", &mut definitions)] {
            if let Some(part) = document.pointer(from).and_then(Value::as_object) {
                into.extend(part.clone());
            }
        }
    }
    let document = json!({
        "swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.36.3"},
        "paths": paths, "definitions": definitions,
    });
    document.to_string().replace("#/components/schemas/", "#/definitions/")
}

fn custom_documents(kinds: &Kinds) -> BTreeMap<String, Vec<Arc<Kind>>> {
    let mut documents: BTreeMap<String, Vec<Arc<Kind>>> = BTreeMap::new();
    for group in kinds.groups() {
        for version in group.versions {
            for kind in version.kinds.into_iter().filter(|k| k.custom.is_some()) {
                documents.entry(format!("apis/{}/{}", kind.group, kind.version)).or_default().push(kind);
            }
        }
    }
    documents
}
