//! Schemas of messages, with the names their JSON has.

use std::collections::{BTreeMap, HashMap};

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

const V1ALPHA1: &str = "github.com.argoproj.argo_cd.v3.pkg.apis.application.v1alpha1.";
const JSON_FIELDS: &str = include_str!("../../../../proto/contract/json-fields.tsv");

/// Definitions that were referred to.
pub(super) struct Definitions {
    /// `None` while its fields are being described, for messages that hold themselves.
    schemas: BTreeMap<String, Option<Value>>,
    /// Full names of the messages behind the definitions' names.
    names: HashMap<String, String>,
    /// JSON name, or whether it is inlined, by message and wire name.
    json: HashMap<(&'static str, &'static str), JsonName>,
}

enum JsonName {
    Named(&'static str),
    Inline,
}

// === impl Definitions ===

impl Definitions {
    pub(super) fn new(pool: &DescriptorPool) -> Self {
        let mut definitions = Self { schemas: BTreeMap::new(), names: HashMap::new(), json: json_names() };
        definitions.schemas.insert("runtimeError".to_owned(), Some(error()));
        definitions.schemas.insert("runtimeStreamError".to_owned(), Some(stream_error()));
        // What custom resources are made of is of use beyond the paths.
        for name in ["Application", "ApplicationSet", "AppProject"] {
            if let Some(message) = pool.get_message_by_name(&format!("{V1ALPHA1}{name}")) {
                definitions.reference(&message);
            }
        }
        definitions
    }

    pub(super) fn finish(self) -> Map<String, Value> {
        self.schemas.into_iter().filter_map(|(name, schema)| Some((name, schema?))).collect()
    }

    /// A reference to a message's definition, or the schema of one that is no object.
    pub(super) fn reference(&mut self, message: &MessageDescriptor) -> Value {
        if let Some(schema) = special(message) {
            return schema;
        }
        let name = self.name(message);
        if !self.schemas.contains_key(&name) {
            self.schemas.insert(name.clone(), None);
            let mut properties = Map::new();
            self.properties(message, &mut properties);
            self.schemas.insert(name.clone(), Some(json!({"type": "object", "properties": properties})));
        }
        json!({"$ref": format!("#/definitions/{name}")})
    }

    /// The schema of a field.
    pub(super) fn field(&mut self, field: &FieldDescriptor) -> Value {
        if let Some(entry) = field.kind().as_message().filter(|_| field.is_map()) {
            let value = self.kind(&entry.map_entry_value_field().kind());
            return json!({"type": "object", "additionalProperties": value});
        }
        let schema = self.kind(&field.kind());
        if field.is_list() { json!({"type": "array", "items": schema}) } else { schema }
    }

    fn properties(&mut self, message: &MessageDescriptor, properties: &mut Map<String, Value>) {
        let of_v1alpha1 = message.full_name().starts_with(V1ALPHA1);
        for field in message.fields() {
            let json_name = self.json.get(&(message.name(), field.name())).filter(|_| of_v1alpha1);
            let name = match json_name {
                Some(JsonName::Inline) => {
                    if let Some(inner) = field.kind().as_message().cloned() {
                        self.properties(&inner, properties);
                    }
                    continue;
                }
                Some(JsonName::Named(name)) => (*name).to_owned(),
                None => field.name().to_owned(),
            };
            let schema = self.field(&field);
            properties.insert(name, schema);
        }
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "format": "byte"}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Float => json!({"type": "number", "format": "float"}),
            Kind::Double => json!({"type": "number", "format": "double"}),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
                json!({"type": "integer", "format": "int64"})
            }
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Uint32 | Kind::Fixed32 | Kind::Enum(_) => {
                json!({"type": "integer", "format": "int32"})
            }
            Kind::Message(message) => self.reference(message),
        }
    }

    /// The last part of the package and the message's name; the whole name where two
    /// messages would share that.
    fn name(&mut self, message: &MessageDescriptor) -> String {
        let package = message.package_name().rsplit('.').next().unwrap_or_default();
        let short = format!("{package}{}", message.name());
        let owner = self.names.entry(short.clone()).or_insert_with(|| message.full_name().to_owned());
        if owner == message.full_name() { short } else { message.full_name().to_owned() }
    }
}

/// The schema of a message whose JSON is not an object of its fields.
pub(super) fn special(message: &MessageDescriptor) -> Option<Value> {
    match (message.package_name(), message.name()) {
        (package, _) if package == "google.protobuf" && message.name() == "Empty" => Some(json!({"type": "object"})),
        (package, name) if package.starts_with("k8s.io.") => match name {
            "Time" | "MicroTime" => Some(json!({"type": "string", "format": "date-time"})),
            "IntOrString" => Some(json!({"type": "string", "format": "int-or-string"})),
            // Any JSON.
            "RawExtension" | "JSON" | "FieldsV1" => Some(json!({})),
            _ => None,
        },
        _ => None,
    }
}

fn json_names() -> HashMap<(&'static str, &'static str), JsonName> {
    let mut names = HashMap::new();
    for line in JSON_FIELDS.lines().skip(1) {
        let columns: Vec<&'static str> = line.split('\t').collect();
        let [message, go_name, _, json, wire] = columns[..] else { continue };
        let Some(wire) = wire.split(',').find_map(|part| part.strip_prefix("name=")) else { continue };
        let mut parts = json.split(',');
        let name = parts.next().unwrap_or_default();
        let inline = parts.any(|part| part == "inline") || (name.is_empty() && go_name.is_empty());
        let name = match name {
            _ if inline => JsonName::Inline,
            "" => JsonName::Named(wire),
            name => JsonName::Named(name),
        };
        names.insert((message, wire), name);
    }
    names
}

fn error() -> Value {
    json!({"type": "object", "properties": {
        "error": {"type": "string"},
        "code": {"type": "integer", "format": "int32"},
        "message": {"type": "string"},
    }})
}

fn stream_error() -> Value {
    json!({"type": "object", "properties": {
        "grpc_code": {"type": "integer", "format": "int32"},
        "http_code": {"type": "integer", "format": "int32"},
        "message": {"type": "string"},
        "http_status": {"type": "string"},
    }})
}
