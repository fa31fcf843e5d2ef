//! The custom resource definitions, derived from the message descriptors and the
//! contract's table of JSON fields, so that what the API server admits is what
//! the types can carry.
//!
//! Schemas are structural and never narrower than Argo CD's own: a field is
//! required only where Go's struct tags make it so, and the templates inside
//! generators, which may hold placeholders of any shape, are left open.

use std::collections::{BTreeMap, HashMap};

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use serde_json::{Map, Value, json};

const TABLE: &str = include_str!("../../proto/contract/json-fields.tsv");
const PACKAGE: &str = ".github.com.argoproj.argo_cd.v3.pkg.apis.application.v1alpha1.";
const META: &str = ".k8s.io.apimachinery.pkg.apis.meta.v1.";

/// One JSON field of a message as Go declares it.
struct GoField {
    json: String,
    required: bool,
    inline: bool,
}

/// Descriptors by full name, and Go's declarations by message and wire field.
struct Types {
    messages: HashMap<String, DescriptorProto>,
    fields: HashMap<(String, String), GoField>,
}

/// Fields that Go always writes but need not be given: each has an alternative.
const NOT_REQUIRED: &[(&str, &str)] =
    &[("ListGenerator", "elements"), ("OptionalMap", "map"), ("OptionalArray", "array")];

/// A printer column: name, path, and whether only `-o wide` shows it.
type Column = (&'static str, &'static str, bool);

/// The three definitions, ready to be applied.
///
/// # Panics
/// Never on a binary whose build script succeeded: the descriptors are its own.
pub fn definitions() -> [Value; 3] {
    let types = Types::load();
    let application: [Column; 4] = [
        ("Sync Status", ".status.sync.status", false),
        ("Health Status", ".status.health.status", false),
        ("Revision", ".status.sync.revision", true),
        ("Project", ".spec.project", true),
    ];
    let mut app = types.definition("Application", "applications", &["app", "apps"], &application);
    // What the controller would write into an application that names no project.
    *at(&mut app, "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/project") =
        json!({"type": "string", "default": "default"});
    let mut project = types.definition("AppProject", "appprojects", &["appproj", "appprojs"], &[]);
    *at(&mut project, "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/description") =
        json!({"type": "string", "maxLength": 255});
    let mut set = types.definition("ApplicationSet", "applicationsets", &["appset", "appsets"], &[]);
    // Asked for by `kubectl get --subresource status` and by those who write it.
    *at(&mut set, "/spec/versions/0/subresources") = json!({"status": {}});
    [app, project, set]
}

/// The definitions as the files of `config/crds/`: file name and YAML-compatible JSON values.
pub fn files() -> BTreeMap<&'static str, Value> {
    let [app, project, set] = definitions();
    BTreeMap::from([("application.yaml", app), ("appproject.yaml", project), ("applicationset.yaml", set)])
}

fn at<'a>(value: &'a mut Value, pointer: &str) -> &'a mut Value {
    value.pointer_mut(pointer).expect("the path exists in a definition made above")
}

// === impl Types ===

impl Types {
    fn load() -> Self {
        let set = FileDescriptorSet::decode(crate::DESCRIPTORS).expect("the build script wrote a descriptor set");
        let mut messages = HashMap::new();
        for file in set.file {
            for message in file.message_type {
                messages.insert(format!(".{}.{}", file.package.as_deref().unwrap_or(""), message.name()), message);
            }
        }
        Self { messages, fields: go_fields() }
    }

    fn definition(&self, kind: &str, plural: &str, short: &[&str], columns: &[Column]) -> Value {
        let mut schema = self.message(&format!("{PACKAGE}{kind}"));
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
            properties.insert("kind".to_owned(), json!({"type": "string"}));
            properties.insert("metadata".to_owned(), json!({"type": "object"}));
        }
        let mut version = json!({
            "name": "v1alpha1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": schema}, "subresources": {},
        });
        if !columns.is_empty() {
            version["additionalPrinterColumns"] = columns.iter().map(column).collect();
        }
        let name = format!("{plural}.argoproj.io");
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": name,
                "labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "argocd"},
            },
            "spec": {
                "group": "argoproj.io",
                "scope": "Namespaced",
                "names": {
                    "kind": kind, "listKind": format!("{kind}List"), "plural": plural,
                    "singular": kind.to_lowercase(), "shortNames": short,
                },
                "versions": [version],
            },
        })
    }

    fn message(&self, name: &str) -> Value {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        self.collect(name, &mut properties, &mut required);
        let mut schema = json!({"type": "object", "properties": properties});
        if !required.is_empty() {
            required.sort_unstable();
            schema["required"] = json!(required);
        }
        schema
    }

    /// Adds a message's fields to its parent's, which is what inlining means.
    fn collect(&self, name: &str, properties: &mut Map<String, Value>, required: &mut Vec<String>) {
        let message = self.messages.get(name).expect("every message named by a descriptor is in the set");
        for field in &message.field {
            let go = self.fields.get(&(message.name().to_owned(), field.name().to_owned()));
            if go.is_some_and(|g| g.inline) {
                self.collect(field.type_name(), properties, required);
                continue;
            }
            let json_name = go.map_or(field.name(), |g| &g.json).to_owned();
            if go.is_some_and(|g| g.required) {
                required.push(json_name.clone());
            }
            properties.insert(json_name, self.field(message, field));
        }
    }

    fn field(&self, message: &DescriptorProto, field: &FieldDescriptorProto) -> Value {
        if let Some(value) = map_value(message, field) {
            return json!({"type": "object", "additionalProperties": self.single(message, value)});
        }
        let single = self.single(message, field);
        if field.label() == Label::Repeated { json!({"type": "array", "items": single}) } else { single }
    }

    fn single(&self, message: &DescriptorProto, field: &FieldDescriptorProto) -> Value {
        match field.r#type() {
            Type::Bool => json!({"type": "boolean"}),
            Type::Int64 => json!({"type": "integer", "format": "int64"}),
            Type::Int32 => json!({"type": "integer", "format": "int32"}),
            Type::Bytes => json!({"type": "string", "format": "byte"}),
            Type::Message => self.nested(message, field.type_name()),
            _ => json!({"type": "string"}),
        }
    }

    fn nested(&self, parent: &DescriptorProto, name: &str) -> Value {
        let in_generator = name.ends_with(".ApplicationSetTemplate") && parent.name() != "ApplicationSetSpec";
        match name.rsplit('.').next().unwrap_or(name) {
            "JSON" => json!({"x-kubernetes-preserve-unknown-fields": true}),
            "RawExtension" => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
            "IntOrString" => {
                json!({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true})
            }
            "Time" if name.starts_with(META) => json!({"type": "string", "format": "date-time"}),
            "ObjectMeta" => json!({"type": "object"}),
            _ if in_generator => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
            _ => self.message(name),
        }
    }
}

fn column((name, path, wide): &Column) -> Value {
    let mut column = json!({"name": name, "jsonPath": path, "type": "string"});
    if *wide {
        column["priority"] = json!(10);
    }
    column
}

/// The value field of a map's entry message; `None` when the field is not a map.
fn map_value<'a>(message: &'a DescriptorProto, field: &FieldDescriptorProto) -> Option<&'a FieldDescriptorProto> {
    let entry = field.type_name().rsplit('.').next()?;
    let nested = message.nested_type.iter().find(|n| n.name() == entry)?;
    nested.field.iter().find(|f| f.name() == "value")
}

fn go_fields() -> HashMap<(String, String), GoField> {
    let mut out = HashMap::new();
    for line in TABLE.lines().skip(1) {
        let [message, go_name, go_type, tag, wire] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        let Some(wire_name) = wire.split(',').find_map(|p| p.strip_prefix("name=")) else { continue };
        let (json, rest) = tag.split_once(',').unwrap_or((tag, ""));
        let inline = rest.contains("inline") || (json.is_empty() && go_name.is_empty());
        let field = GoField {
            json: if json.is_empty() { wire_name } else { json }.to_owned(),
            required: !tag.is_empty()
                && !rest.contains("omitempty")
                && !inline
                && !go_type.starts_with('*')
                && !NOT_REQUIRED.contains(&(message, wire_name)),
            inline,
        };
        out.insert((message.to_owned(), wire_name.to_owned()), field);
    }
    out
}
