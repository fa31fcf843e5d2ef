//! What a CustomResourceDefinition defines: a kind per served version, its schema,
//! its subresources and its OpenAPI document.

use std::collections::BTreeMap;
use std::sync::Arc;

use argosy_engine::schema::Schemas;
use argosy_model::object;
use serde_json::{Map, Value, json};

use super::decode::{DecodeError, Decoded};
use super::{Group, Kind, Subresource, Version, builtin, paths_of, structural};
use crate::failure::Fault;
use crate::rules::Rules;

const VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const SUBRESOURCE_VERBS: [&str; 3] = ["get", "patch", "update"];
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// One version of a custom kind.
pub struct CustomVersion {
    /// `openAPIV3Schema`; `None` keeps everything.
    schema: Option<Value>,
    /// `x-kubernetes-validations` in it.
    rules: Rules,
    /// Where the scale subresource finds its numbers.
    pub scale: Option<ScalePaths>,
    /// `additionalPrinterColumns`.
    pub columns: Option<Value>,
    /// Its types.
    pub(crate) schemas: Schemas,
    /// `warning` of a deprecated version.
    pub deprecation: Option<String>,
}

/// The JSON paths of the scale subresource.
#[derive(Clone, Debug)]
pub struct ScalePaths {
    /// `.spec.replicas`.
    pub spec: String,
    /// `.status.replicas`.
    pub status: String,
    /// `.status.selector`, where there is one.
    pub selector: Option<String>,
}

impl std::fmt::Debug for CustomVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CustomVersion").field("scale", &self.scale).finish_non_exhaustive()
    }
}

// === impl CustomVersion ===

impl CustomVersion {
    /// Prunes and completes an object.
    pub(super) fn decode(&self, mut value: Value) -> Result<Decoded, DecodeError> {
        let mut unknown = Vec::new();
        if let Some(schema) = &self.schema {
            structural::prune(schema, &mut value, "", &mut unknown);
            structural::complete(schema, &mut value);
        }
        read_metadata(&mut value, "", &mut unknown)?;
        Ok(Decoded { value, unknown })
    }

    /// What is wrong with an object.
    pub fn validate(&self, value: &Value, faults: &mut Vec<Fault>) {
        if let Some(schema) = &self.schema {
            structural::validate(schema, value, "", faults);
        }
    }

    /// Whether its schema has rules.
    pub fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// What the rules of its schema say of an object, and of its change; those that
    /// are broken where nothing changed only warn.
    pub fn judge(&self, value: &Value, old: Option<&Value>, faults: &mut Vec<Fault>, warnings: &mut Vec<String>) {
        if let Some(schema) = &self.schema {
            self.rules.validate(schema, value, old, faults, warnings);
        }
    }
}

/// Metadata is a Go struct in every kind.
pub(super) fn read_metadata(value: &mut Value, path: &str, unknown: &mut Vec<String>) -> Result<(), DecodeError> {
    let Some(metadata) = value.get_mut("metadata") else { return Ok(()) };
    let read = super::decode::decode(&format!("{META}ObjectMeta"), metadata.take())?;
    *metadata = read.value;
    unknown.extend(read.unknown.into_iter().map(|field| format!("{path}metadata.{field}")));
    Ok(())
}

/// Fills in names and the status of a new definition, which is not accepted yet.
pub fn begin(definition: &mut Value) {
    name(definition);
    let spec = definition.get("spec").and_then(Value::as_object);
    let storage = spec.into_iter().flat_map(versions).filter(|v| v.get("storage") == Some(&json!(true)));
    let stored: Vec<Value> = storage.filter_map(|v| v.get("name").cloned()).collect();
    definition["status"] =
        json!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": null, "storedVersions": stored});
}

fn name(definition: &mut Value) {
    let names = definition.pointer_mut("/spec/names").and_then(Value::as_object_mut);
    let Some(names) = names else { return };
    let kind = names.get("kind").and_then(Value::as_str).unwrap_or("").to_owned();
    for (field, default) in [("singular", kind.to_lowercase()), ("listKind", format!("{kind}List"))] {
        if names.get(field).and_then(Value::as_str).unwrap_or("").is_empty() {
            names.insert(field.to_owned(), default.into());
        }
    }
}

/// Says in the status that the definition is accepted.
pub fn accept(definition: &mut Value, now: &str) {
    name(definition);
    let Some(spec) = definition.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let stored: Vec<Value> = versions(spec)
        .filter(|v| v.get("storage") == Some(&json!(true)))
        .filter_map(|v| v.get("name").cloned())
        .collect();
    let Some(names) = spec.get("names").and_then(Value::as_object) else { return };
    let accepted = Value::Object(names.clone());
    let Some(fields) = definition.as_object_mut() else { return };
    let status = fields.entry("status").or_insert_with(|| json!({}));
    let mut all_stored = status.get("storedVersions").and_then(Value::as_array).cloned().unwrap_or_default();
    all_stored.extend(stored.into_iter().filter(|s| !all_stored.contains(s)).collect::<Vec<_>>());
    status["acceptedNames"] = accepted;
    status["storedVersions"] = all_stored.into();
    let is_established = status.get("conditions").and_then(Value::as_array).is_some_and(|c| c.len() >= 2);
    if !is_established {
        let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message});
        status["conditions"] = json!([
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ]);
    }
}

/// The kinds of a definition, one per served version.
pub fn kinds_of(definition: &Value) -> Vec<Arc<Kind>> {
    let Some(spec) = definition.get("spec").and_then(Value::as_object) else { return Vec::new() };
    let text = |path: &[&str]| object::get(definition, path).and_then(Value::as_str).unwrap_or("").to_owned();
    let texts = |field: &str| -> Vec<String> {
        let list = object::get(definition, &["spec", "names", field]).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let is_storage = |v: &&Value| v.get("storage") == Some(&json!(true));
    let storage = versions(spec).find(is_storage).and_then(|v| v.get("name")?.as_str()).unwrap_or("").to_owned();
    let kind = text(&["spec", "names", "kind"]);
    let served = versions(spec).filter(|v| v.get("served") == Some(&json!(true)));
    let made = served.map(|version| {
        let name = version.get("name").and_then(Value::as_str).unwrap_or("").to_owned();
        let mut made = Kind {
            group: text(&["spec", "group"]),
            version: name.clone(),
            list_kind: Some(text(&["spec", "names", "listKind"]))
                .filter(|k| !k.is_empty())
                .unwrap_or(format!("{kind}List")),
            kind: kind.clone(),
            plural: text(&["spec", "names", "plural"]),
            singular: Some(text(&["spec", "names", "singular"]))
                .filter(|s| !s.is_empty())
                .unwrap_or(kind.to_lowercase()),
            short_names: texts("shortNames"),
            categories: texts("categories"),
            namespaced: text(&["spec", "scope"]) == "Namespaced",
            verbs: VERBS.map(str::to_owned).to_vec(),
            subresources: subresources(version),
            storage_version: storage.clone(),
            definition: None,
            custom: None,
        };
        let mut schemas = Schemas::default();
        // The document is ours, so it has schemas.
        drop(schemas.insert_document(&made.api_version(), &document(&made, version)));
        made.custom = Some(Arc::new(CustomVersion {
            schema: version.pointer("/schema/openAPIV3Schema").cloned(),
            rules: version.pointer("/schema/openAPIV3Schema").map(Rules::of).unwrap_or_default(),
            scale: scale_paths(version),
            columns: version.get("additionalPrinterColumns").cloned(),
            schemas,
            deprecation: deprecation(version, spec, &made),
        }));
        Arc::new(made)
    });
    made.collect()
}

fn versions(spec: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    spec.get("versions").and_then(Value::as_array).into_iter().flatten()
}

fn deprecation(version: &Value, spec: &Map<String, Value>, kind: &Kind) -> Option<String> {
    if version.get("deprecated") != Some(&json!(true)) {
        return None;
    }
    let own = version.get("deprecationWarning").and_then(Value::as_str).map(str::to_owned);
    let flag = |version: &Value, name: &str| version.get(name) == Some(&json!(true));
    let others = versions(spec).filter(|other| flag(other, "served") && !flag(other, "deprecated"));
    let others = others.filter_map(|other| other.get("name")?.as_str());
    let better = others.max_by_key(|name| priority(name)).filter(|name| priority(name) > priority(&kind.version));
    Some(own.unwrap_or_else(|| {
        let (version, name) = (kind.api_version(), &kind.kind);
        let instead = better.map_or_else(String::new, |better| format!("; use {}/{better} {name}", kind.group));
        format!("{version} {name} is deprecated{instead}")
    }))
}

fn subresources(version: &Value) -> Vec<Subresource> {
    let verbs = || SUBRESOURCE_VERBS.map(str::to_owned).to_vec();
    let own = String::new;
    let mut all = Vec::new();
    if version.pointer("/subresources/status").is_some_and(Value::is_object) {
        all.push(Subresource { name: "status".to_owned(), group: own(), version: own(), kind: own(), verbs: verbs() });
    }
    if version.pointer("/subresources/scale").is_some_and(Value::is_object) {
        all.push(Subresource {
            name: "scale".to_owned(),
            group: "autoscaling".to_owned(),
            version: "v1".to_owned(),
            kind: "Scale".to_owned(),
            verbs: verbs(),
        });
    }
    all
}

fn scale_paths(version: &Value) -> Option<ScalePaths> {
    let scale = version.pointer("/subresources/scale")?;
    let text = |field: &str| scale.get(field).and_then(Value::as_str).map(str::to_owned);
    Some(ScalePaths {
        spec: text("specReplicasPath")?,
        status: text("statusReplicasPath")?,
        selector: text("labelSelectorPath"),
    })
}

/// All groups of custom kinds, each with its versions in order of preference.
pub(super) fn group<'a>(kinds: impl Iterator<Item = &'a Arc<Kind>>) -> Vec<Group> {
    let mut groups: BTreeMap<&str, BTreeMap<std::cmp::Reverse<Priority>, Version>> = BTreeMap::new();
    for kind in kinds {
        let versions = groups.entry(&kind.group).or_default();
        let key = std::cmp::Reverse(priority(&kind.version));
        versions
            .entry(key)
            .or_insert_with(|| Version { name: kind.version.clone(), kinds: Vec::new() })
            .kinds
            .push(kind.clone());
    }
    let made = groups
        .into_iter()
        .map(|(name, versions)| Group { name: name.to_owned(), versions: versions.into_values().collect() });
    made.collect()
}

type Priority = (u8, u64, u64, std::cmp::Reverse<String>);

/// `v2` before `v1`, those before `v1beta2`, those before alphas, then the rest by name.
fn priority(version: &str) -> Priority {
    let other = (0, 0, 0, std::cmp::Reverse(version.to_owned()));
    let Some(rest) = version.strip_prefix('v') else { return other };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, stage) = rest.split_at(digits);
    let Ok(major) = major.parse::<u64>() else { return other };
    let none = std::cmp::Reverse(String::new());
    if stage.is_empty() {
        return (3, major, 0, none);
    }
    for (name, rank) in [("beta", 2), ("alpha", 1)] {
        if let Some(minor) = stage.strip_prefix(name).and_then(|n| n.parse::<u64>().ok()) {
            return (rank, major, minor, none);
        }
    }
    other
}

/// The OpenAPI v3 document of a group and version of custom kinds.
pub fn document_of(kinds: &[Arc<Kind>]) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for kind in kinds {
        let Some(custom) = &kind.custom else { continue };
        let version = json!({"schema": {"openAPIV3Schema": custom.schema}});
        let one = document(kind, &version);
        for (from, into) in [("/paths", &mut paths), ("/components/schemas", &mut schemas)] {
            if let Some(part) = one.pointer(from).and_then(Value::as_object) {
                into.extend(part.clone());
            }
        }
    }
    json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"},
        "paths": paths, "components": {"schemas": schemas},
    })
}

fn document(kind: &Kind, version: &Value) -> Value {
    let mut schema = version
        .pointer("/schema/openAPIV3Schema")
        .cloned()
        .filter(Value::is_object)
        .unwrap_or_else(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    let gvk = |kind_name: &str| json!([{"group": kind.group, "version": kind.version, "kind": kind_name}]);
    if let Some(fields) = schema.as_object_mut() {
        let properties = fields.entry("properties").or_insert_with(|| json!({}));
        properties["apiVersion"] = json!({"type": "string", "description": "APIVersion defines the versioned schema of this representation of an object."});
        properties["kind"] = json!({"type": "string", "description": "Kind is a string value representing the REST resource this object represents."});
        properties["metadata"] = json!({"allOf": [{"$ref": format!("#/components/schemas/{META}ObjectMeta")}], "description": "Standard object's metadata."});
        fields.insert("x-kubernetes-group-version-kind".to_owned(), gvk(&kind.kind));
    }
    let prefix: Vec<&str> = kind.group.split('.').rev().collect();
    let name = |kind_name: &str| format!("{}.{}.{kind_name}", prefix.join("."), kind.version);
    let list = json!({
        "type": "object", "required": ["items"], "x-kubernetes-group-version-kind": gvk(&kind.list_kind),
        "properties": {
            "apiVersion": {"type": "string"}, "kind": {"type": "string"},
            "items": {"type": "array", "items": {"$ref": format!("#/components/schemas/{}", name(&kind.kind))}},
            "metadata": {"allOf": [{"$ref": format!("#/components/schemas/{META}ListMeta")}]},
        },
    });
    let mut schemas = Map::new();
    for part in [
        "ObjectMeta",
        "ListMeta",
        "ManagedFieldsEntry",
        "OwnerReference",
        "FieldsV1",
        "Time",
        "DeleteOptions",
        "Preconditions",
    ] {
        let part = format!("{META}{part}");
        if let Some(definition) = builtin::load().definitions.get(&part) {
            schemas.insert(part, definition.clone());
        }
    }
    schemas.insert(name(&kind.kind), schema);
    schemas.insert(name(&kind.list_kind), list);
    // Which patches it takes depends on being custom, which the kind does not say yet.
    let mut paths: Map<String, Value> = paths_of(kind).into_iter().collect();
    for item in paths.values_mut() {
        if let Some(content) = item.pointer_mut("/patch/requestBody/content").and_then(Value::as_object_mut) {
            content.remove("application/strategic-merge-patch+json");
        }
    }
    json!({"paths": paths, "components": {"schemas": schemas}})
}
