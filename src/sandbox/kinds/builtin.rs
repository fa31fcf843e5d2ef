//! Kubernetes' own kinds: discovery and OpenAPI of a real API server, embedded.
//! `tests/fixture.rs` makes the document and says when it is out of date.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use argosy_engine::schema::Schemas;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Group, Kind, Subresource, Version, paths_of};

/// Discovery, definitions, and which document has which of them.
static EMBEDDED: &[u8] = include_bytes!("builtin.json.gz");

/// The version of events.k8s.io stores what core's does.
pub(super) struct Builtin {
    pub(super) groups: Vec<Group>,
    pub(super) schemas: Schemas,
    /// Without descriptions.
    pub(super) definitions: HashMap<String, Value>,
}

#[derive(Deserialize)]
struct Document {
    groups: Vec<DocumentGroup>,
    /// `apis/apps/v1` to the names of its definitions.
    documents: BTreeMap<String, Vec<String>>,
    definitions: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct DocumentGroup {
    name: String,
    versions: Vec<DocumentVersion>,
}

#[derive(Deserialize)]
struct DocumentVersion {
    version: String,
    resources: Vec<DocumentResource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DocumentResource {
    resource: String,
    response_kind: DocumentKind,
    scope: String,
    singular_resource: String,
    verbs: Vec<String>,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    subresources: Vec<DocumentSubresource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DocumentSubresource {
    subresource: String,
    #[serde(default)]
    response_kind: DocumentKind,
    verbs: Vec<String>,
}

#[derive(Default, Deserialize)]
struct DocumentKind {
    group: String,
    version: String,
    kind: String,
}

/// Read on first use, once per process.
pub(super) fn load() -> &'static Builtin {
    static BUILTIN: LazyLock<Builtin> = LazyLock::new(|| build(read()));
    &BUILTIN
}

/// The paths of the embedded OpenAPI documents, such as `apis/apps/v1`.
pub fn builtin_document_names() -> Vec<String> {
    load().groups.iter().flat_map(|g| g.versions.iter().map(|v| document_name(&g.name, &v.name))).collect()
}

/// An OpenAPI v3 document as text; made on first use, once per process.
pub fn builtin_document(name: &str) -> Option<Arc<str>> {
    static MADE: LazyLock<Mutex<HashMap<String, Arc<str>>>> = LazyLock::new(Mutex::default);
    if let Some(made) = MADE.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
        return Some(made.clone());
    }
    let embedded = read();
    let names = embedded.documents.get(name)?;
    let schemas: BTreeMap<&String, &Value> =
        names.iter().filter_map(|n| Some((n, embedded.definitions.get(n)?))).collect();
    let version = load().groups.iter().flat_map(|g| g.versions.iter().map(move |v| (g, v)));
    let (_, version) = version.into_iter().find(|(g, v)| document_name(&g.name, &v.name) == name)?;
    let paths: serde_json::Map<String, Value> = version.kinds.iter().flat_map(|kind| paths_of(kind)).collect();
    let document: Arc<str> = json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "1.36"},
        "paths": paths, "components": {"schemas": schemas},
    })
    .to_string()
    .into();
    MADE.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), document.clone());
    Some(document)
}

pub(super) fn document_name(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn read() -> Document {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(EMBEDDED).read_to_end(&mut text).expect("the embedded document is complete");
    serde_json::from_slice(&text).expect("the embedded document has its shape")
}

fn build(document: Document) -> Builtin {
    let by_kind = definitions_by_kind(&document.definitions);
    let groups: Vec<Group> = document.groups.into_iter().map(|group| read_group(group, &by_kind)).collect();
    let mut schemas = Schemas::default();
    for (name, definitions) in &document.documents {
        let own: BTreeMap<&String, &Value> =
            definitions.iter().filter_map(|n| Some((n, document.definitions.get(n)?))).collect();
        let paths: serde_json::Map<String, Value> = groups
            .iter()
            .flat_map(|g| g.versions.iter().map(move |v| (g, v)))
            .filter(|(g, v)| document_name(&g.name, &v.name) == *name)
            .flat_map(|(_, v)| v.kinds.iter().flat_map(|kind| paths_of(kind)))
            .collect();
        schemas
            .insert_document(name, &json!({"paths": paths, "components": {"schemas": own}}))
            .expect("the embedded document has schemas");
    }
    let definitions = document.definitions.into_iter().map(|(name, schema)| (name, without_texts(schema))).collect();
    Builtin { groups, schemas, definitions }
}

/// Group, version and kind to the definition's name, which lives as long as the process.
fn definitions_by_kind(definitions: &BTreeMap<String, Value>) -> HashMap<(String, String, String), &'static str> {
    let mut by_kind = HashMap::new();
    for (name, schema) in definitions {
        let Some(kinds) = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array) else { continue };
        // Those that belong to every group, such as DeleteOptions, are no kinds of their own.
        if let [kind] = &kinds[..] {
            let text = |field: &str| kind.get(field).and_then(Value::as_str).unwrap_or("").to_owned();
            let name: &'static str = Box::leak(name.clone().into_boxed_str());
            by_kind.insert((text("group"), text("version"), text("kind")), name);
        }
    }
    by_kind
}

fn read_group(group: DocumentGroup, by_kind: &HashMap<(String, String, String), &'static str>) -> Group {
    let preferred = group.versions.first().map(|v| v.version.clone()).unwrap_or_default();
    let versions = group.versions.into_iter().map(|version| {
        let kinds = version.resources.into_iter().map(|resource| {
            let kind = resource.response_kind.kind;
            let key = (group.name.clone(), version.version.clone(), kind.clone());
            Arc::new(Kind {
                group: group.name.clone(),
                version: version.version.clone(),
                list_kind: format!("{kind}List"),
                definition: by_kind.get(&key).copied(),
                kind,
                plural: resource.resource,
                singular: resource.singular_resource,
                short_names: resource.short_names,
                categories: resource.categories,
                namespaced: resource.scope == "Namespaced",
                verbs: resource.verbs,
                subresources: resource.subresources.into_iter().map(Into::into).collect(),
                storage_version: preferred.clone(),
                custom: None,
            })
        });
        Version { kinds: kinds.collect(), name: version.version }
    });
    Group { versions: versions.collect(), name: group.name }
}

/// Descriptions are most of a schema's size and needed only where it is served.
fn without_texts(mut schema: Value) -> Value {
    fn strip(schema: &mut Value) {
        match schema {
            Value::Object(map) => {
                if map.get("description").is_some_and(Value::is_string) {
                    map.remove("description");
                }
                map.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut schema);
    schema
}

impl From<DocumentSubresource> for Subresource {
    fn from(from: DocumentSubresource) -> Self {
        let DocumentKind { group, version, kind } = from.response_kind;
        Self { name: from.subresource, group, version, kind, verbs: from.verbs }
    }
}
