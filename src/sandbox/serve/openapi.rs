//! The OpenAPI documents: one for each group and version, and the old one in a
//! single piece.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use http::{HeaderMap, header};
use prost::Message as _;
use serde_json::{Map, Value, json};

use crate::kinds::{KUBERNETES_VERSION, Kind, Kinds, builtin_document, builtin_document_names, custom};

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
        "swagger": "2.0", "info": {"title": "Kubernetes", "version": KUBERNETES_VERSION},
        "paths": paths, "definitions": definitions,
    });
    document.to_string().replace("#/components/schemas/", "#/definitions/")
}

/// Media type of [`swagger_without_kinds`].
pub(super) const SWAGGER_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Whether the old document is asked for as protobuf. kubectl does for what it does not
/// leave to the server to check, such as a List in a file.
pub(super) fn wants_protobuf(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("proto-openapi.spec.v2"))
}

/// `/openapi/v2` as protobuf, and without definitions: a client checks no kind that it
/// does not find there. What it sends the server checks, and of unknown fields it warns.
pub(super) fn swagger_without_kinds() -> Vec<u8> {
    let info = Info { title: "Kubernetes".to_owned(), version: KUBERNETES_VERSION.to_owned() };
    Swagger { swagger: "2.0".to_owned(), info: Some(info) }.encode_to_vec()
}

/// What every document has, numbered as in gnostic's `OpenAPIv2.proto`.
#[derive(Clone, PartialEq, prost::Message)]
struct Swagger {
    #[prost(string, tag = "1")]
    swagger: String,
    #[prost(message, optional, tag = "2")]
    info: Option<Info>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Info {
    #[prost(string, tag = "1")]
    title: String,
    #[prost(string, tag = "2")]
    version: String,
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
