//! Reading an object of one of Kubernetes' own kinds: as if it went through the
//! API server's Go structs and back.

use argosy_engine::schema::quantity;
use serde_json::{Map, Value};

use super::base64::bad_base64;
use super::builtin;
use super::defaults;
use super::go_types::{go_int, go_list, go_map, go_struct};

const REF_PREFIX: &str = "#/components/schemas/";

/// Deepest nesting read.
const MAX_DEPTH: usize = 96;

/// Optional flags that are not pointers in Go: false is not stored.
const PLAIN_FLAGS: [&str; 17] = [
    "chapAuthDiscovery",
    "chapAuthSession",
    "globalDefault",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "insecureSkipTLSVerify",
    "nullable",
    "paused",
    "preserveUnknownFields",
    "publishNotReadyAddresses",
    "readOnly",
    "stdin",
    "stdinOnce",
    "tty",
    "uniqueItems",
    "unschedulable",
];

/// Optional numbers that are not pointers in Go: zero is not stored.
const PLAIN_NUMBERS: [&str; 14] = [
    "count",
    "failureThreshold",
    "generation",
    "healthCheckNodePort",
    "hostPort",
    "initialDelaySeconds",
    "minReadySeconds",
    "nodePort",
    "number",
    "observedGeneration",
    "periodSeconds",
    "successThreshold",
    "sizeBytes",
    "timeoutSeconds",
];

/// Numbers of a status that are pointers: zero is stored.
const POINTED_STATUS_NUMBERS: [&str; 4] = ["collisionCount", "ready", "terminating", "terminatingReplicas"];

/// Optional texts that are pointers: the empty text is stored.
const POINTED_TEXTS: [&str; 4] =
    ["ingressClassName", "loadBalancerClass", "storageClassName", "volumeAttributesClassName"];

/// An object as it was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object with defaults and in the API server's spelling.
    pub value: Value,
    /// Paths of the fields that were dropped, such as `spec.replica`.
    pub unknown: Vec<String>,
}

/// A value of the wrong type, in the words of Go's decoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

struct Walk {
    unknown: Vec<String>,
}

/// Where a value is: for messages.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// With indexes: `spec.ports[0].port`.
    path: &'a str,
    /// Without: `spec.ports.port`.
    fields: &'a str,
    /// The Go struct around it.
    owner: &'a str,
    depth: usize,
}

pub(super) fn decode(definition: &str, mut object: Value) -> Result<Decoded, DecodeError> {
    let mut walk = Walk { unknown: Vec::new() };
    let type_meta = take_type_meta(&mut object);
    let place = Place { path: "", fields: "", owner: short(definition), depth: 0 };
    let value = walk.named(definition, object, place)?;
    let mut value = value.unwrap_or_else(|| Value::Object(Map::new()));
    if let Some(fields) = value.as_object_mut() {
        fields.extend(type_meta);
    }
    defaults::complete_object(definition, &mut value);
    Ok(Decoded { value, unknown: walk.unknown })
}

/// The parts of an object that Go's structs always have: what a new object is
/// compared with.
pub(super) fn skeleton(definition: &str) -> Value {
    let Some(properties) = properties_of(definition) else { return Value::Object(Map::new()) };
    let mut fields = Map::new();
    for (name, schema) in properties {
        let is_struct = schema.get("default").is_some_and(|d| d.as_object().is_some_and(Map::is_empty));
        match reference(schema) {
            Some(inner) if is_struct && properties_of(inner).is_some() => {
                fields.insert(name.clone(), skeleton(inner));
            }
            // Scalars without omitempty.
            _ if schema.get("default").is_some_and(|d| matches!(d, Value::Bool(false)) || d == "" || d == 0) => {
                fields.insert(name.clone(), schema["default"].clone());
            }
            _ if defaults::is_plain_list(definition, name) => {
                fields.insert(name.clone(), Value::Null);
            }
            _ => {}
        }
    }
    Value::Object(fields)
}

fn take_type_meta(object: &mut Value) -> Vec<(String, Value)> {
    let Some(fields) = object.as_object_mut() else { return Vec::new() };
    ["apiVersion", "kind"].iter().filter_map(|f| Some(((*f).to_owned(), fields.remove(*f)?))).collect()
}

fn short(definition: &str) -> &str {
    definition.rsplit('.').next().unwrap_or(definition)
}

pub(super) fn reference(schema: &Value) -> Option<&str> {
    let direct = schema.get("$ref").and_then(Value::as_str);
    let wrapped = || schema.get("allOf")?.get(0)?.get("$ref")?.as_str();
    direct.or_else(wrapped)?.strip_prefix(REF_PREFIX)
}

fn properties_of(definition: &str) -> Option<&'static Map<String, Value>> {
    builtin::load().definitions.get(definition)?.get("properties")?.as_object()
}

fn child_path(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

// === impl Walk ===

impl Walk {
    /// A value of a named definition. `None` when nothing would be stored.
    fn named(&mut self, name: &str, value: Value, place: Place<'_>) -> Result<Option<Value>, DecodeError> {
        if value.is_null() || place.depth > MAX_DEPTH {
            return Ok(None);
        }
        match short(name) {
            "Quantity" if name.starts_with("io.k8s.apimachinery") => return quantity_of(value, place).map(Some),
            "Time" | "MicroTime" if name.starts_with("io.k8s.apimachinery") => {
                return time_of(value, short(name) == "MicroTime").map(Some);
            }
            "IntOrString" => {
                return match value {
                    Value::Number(_) | Value::String(_) => Ok(Some(value)),
                    other => Err(mistyped(&other, place, "intstr.IntOrString")),
                };
            }
            "FieldsV1"
            | "RawExtension"
            | "JSON"
            | "JSONSchemaPropsOrBool"
            | "JSONSchemaPropsOrArray"
            | "JSONSchemaPropsOrStringArray"
            | "JSONSchemaProps" => return Ok(Some(value)),
            _ => {}
        }
        let Some(schema) = builtin::load().definitions.get(name) else { return Ok(Some(value)) };
        match schema.get("properties").and_then(Value::as_object) {
            Some(properties) => match value {
                Value::Object(fields) => self.fields(name, properties, fields, place).map(Some),
                other => Err(mistyped(&other, place, &go_struct(name))),
            },
            None => self.typed(schema, value, place),
        }
    }

    fn fields(
        &mut self,
        name: &str,
        properties: &Map<String, Value>,
        mut given: Map<String, Value>,
        place: Place<'_>,
    ) -> Result<Value, DecodeError> {
        let mut kept = Map::new();
        for (field, schema) in properties {
            let value = given.remove(field).unwrap_or(Value::Null);
            let (path, fields) = (child_path(place.path, field), child_path(place.fields, field));
            let below = Place { path: &path, fields: &fields, owner: short(name), depth: place.depth + 1 };
            let read = match reference(schema) {
                Some(inner) => self.named(inner, value, below)?,
                None => self.typed(schema, value, below)?,
            };
            let default = schema.get("default");
            // An empty text is none where something else is the default.
            let is_unset = |value: &Value| *value == "" && default.is_some_and(|d| d.is_string() && d != "");
            let read = read.filter(|v| !is_unset(v) && (default.is_some() || !is_omitted(name, field, v)));
            match (read, default) {
                (Some(value), _) => {
                    kept.insert(field.clone(), value);
                }
                (None, Some(Value::Object(_))) => {
                    let inner = reference(schema).filter(|inner| properties_of(inner).is_some());
                    if let Some(inner) = inner {
                        let empty = Value::Object(Map::new());
                        if let Some(value) = self.named(inner, empty, below)? {
                            kept.insert(field.clone(), value);
                        }
                    }
                }
                (None, Some(default)) => {
                    kept.insert(field.clone(), default.clone());
                }
                (None, None) => {}
            }
        }
        for field in given.keys() {
            let is_inline_type = place.depth > 0 && (field == "apiVersion" || field == "kind");
            if !is_inline_type {
                self.unknown.push(child_path(place.path, field));
            }
        }
        defaults::complete(name, &mut kept);
        Ok(Value::Object(kept))
    }

    fn typed(&mut self, schema: &Value, value: Value, place: Place<'_>) -> Result<Option<Value>, DecodeError> {
        if value.is_null() {
            return Ok(None);
        }
        if let Some(inner) = reference(schema) {
            return self.named(inner, value, place);
        }
        let format = schema.get("format").and_then(Value::as_str).unwrap_or("");
        match (schema.get("type").and_then(Value::as_str), value) {
            (Some("array"), Value::Array(items)) => self.items(schema, items, place).map(Some),
            (Some("array"), other) => Err(mistyped(&other, place, &go_list(schema))),
            (Some("object"), Value::Object(entries)) => self.entries(schema, entries, place).map(Some),
            (Some("object"), other) => Err(mistyped(&other, place, &go_map(schema))),
            (Some("string"), Value::String(text)) => match bad_base64(&text).filter(|_| format == "byte") {
                Some(at) => Err(DecodeError(format!("illegal base64 data at input byte {at}"))),
                None => Ok(Some(Value::String(text))),
            },
            (Some("string"), other) => Err(mistyped(&other, place, "string")),
            (Some("boolean"), value @ Value::Bool(_)) => Ok(Some(value)),
            (Some("boolean"), other) => Err(mistyped(&other, place, "bool")),
            (Some("integer"), Value::Number(number)) => {
                if number.is_i64() || number.is_u64() {
                    return Ok(Some(Value::Number(number)));
                }
                let float = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15);
                match float.and_then(|f| format!("{f:.0}").parse::<i64>().ok()) {
                    Some(whole) => Ok(Some(whole.into())),
                    None => Err(mistyped_number(&number.to_string(), place, go_int(format))),
                }
            }
            (Some("integer"), other) => Err(mistyped(&other, place, go_int(format))),
            (Some("number"), value @ Value::Number(_)) => Ok(Some(value)),
            (Some("number"), other) => Err(mistyped(&other, place, "float64")),
            (_, value) => Ok(Some(value)),
        }
    }

    fn items(&mut self, schema: &Value, items: Vec<Value>, place: Place<'_>) -> Result<Value, DecodeError> {
        let Some(inner) = schema.get("items") else { return Ok(Value::Array(items)) };
        let mut kept = Vec::with_capacity(items.len());
        for (i, item) in items.into_iter().enumerate() {
            let path = format!("{}[{i}]", place.path);
            let below = Place { path: &path, depth: place.depth + 1, ..place };
            // Null reads as the zero value in Go.
            let item = if item.is_null() && reference(inner).is_some() { Value::Object(Map::new()) } else { item };
            kept.extend(self.typed(inner, item, below)?);
        }
        Ok(Value::Array(kept))
    }

    fn entries(&mut self, schema: &Value, entries: Map<String, Value>, place: Place<'_>) -> Result<Value, DecodeError> {
        let Some(inner) = schema.get("additionalProperties").filter(|s| s.is_object()) else {
            return Ok(Value::Object(entries));
        };
        let mut kept = Map::new();
        for (key, value) in entries {
            let path = child_path(place.path, &key);
            let below = Place { path: &path, depth: place.depth + 1, ..place };
            let is_text = inner.get("type").and_then(Value::as_str) == Some("string");
            let value = if value.is_null() && is_text { Value::String(String::new()) } else { value };
            if let Some(value) = self.typed(inner, value, below)? {
                kept.insert(key, value);
            }
        }
        Ok(Value::Object(kept))
    }
}

/// Whether Go's encoder leaves out this value of an optional field.
fn is_omitted(definition: &str, field: &str, value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty() && !defaults::keeps_empty_list(definition, field),
        Value::Object(entries) => entries.is_empty() && is_map(definition, field),
        Value::String(text) => text.is_empty() && !POINTED_TEXTS.contains(&field),
        Value::Bool(false) => PLAIN_FLAGS.contains(&field),
        Value::Number(number) => {
            let is_status = definition.ends_with("Status") && !POINTED_STATUS_NUMBERS.contains(&field);
            number.as_i64() == Some(0) && (is_status || PLAIN_NUMBERS.contains(&field))
        }
        _ => false,
    }
}

/// Whether a field is a map in Go; a struct behind a pointer is stored even when empty.
fn is_map(definition: &str, field: &str) -> bool {
    let schema = properties_of(definition).and_then(|p| p.get(field));
    schema.is_some_and(|s| s.get("additionalProperties").is_some())
}

fn quantity_of(value: Value, place: Place<'_>) -> Result<Value, DecodeError> {
    match quantity::canonical(&value) {
        Some(text) => Ok(text.into()),
        None if matches!(value, Value::String(_) | Value::Number(_)) => Err(DecodeError(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'".to_owned(),
        )),
        None => Err(mistyped(&value, place, "resource.Quantity")),
    }
}

fn time_of(value: Value, micro: bool) -> Result<Value, DecodeError> {
    let Value::String(text) = &value else {
        return Err(DecodeError(format!("json: cannot unmarshal {} into Go value of type string", json_type(&value))));
    };
    let Ok(time) = text.parse::<jiff::Timestamp>() else {
        let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
        let message = format!("parsing time \"{text}\" as \"{layout}\": cannot parse \"{text}\" as \"2006\"");
        return Err(DecodeError(message));
    };
    let format = if micro { "%Y-%m-%dT%H:%M:%S.%6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
    Ok(time.strftime(format).to_string().into())
}

/// What Go's JSON calls a value.
pub(crate) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn mistyped(value: &Value, place: Place<'_>, wanted: &str) -> DecodeError {
    mistyped_number(json_type(value), place, wanted)
}

fn mistyped_number(given: &str, place: Place<'_>, wanted: &str) -> DecodeError {
    let field = if place.fields.is_empty() { String::new() } else { format!(".{}", place.fields) };
    let given = if given.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        format!("number {given}")
    } else {
        given.to_owned()
    };
    DecodeError(format!("json: cannot unmarshal {given} into Go struct field {}{field} of type {wanted}", place.owner))
}
