//! The description of the REST API (OpenAPI 2), made of the same table and
//! descriptors that requests are answered by, and a small page to read it.

mod schema;

use std::collections::{BTreeMap, HashMap};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS};
use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor};
use serde_json::{Map, Value, json};

use self::schema::Definitions;
use super::table::{Binding, BodyRule, Flow, Table};

const PAGE: &str = include_str!("openapi/page.html");
const SCRIPT: &str = include_str!("openapi/page.js");

/// Neither framed nor served with anything from elsewhere.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; \
                           base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How deep query parameters go into messages.
const PARAMETER_DEPTH: usize = 4;

/// The written document.
pub(super) struct Pages {
    document: Bytes,
}

// === impl Pages ===

impl Pages {
    pub(super) fn new(table: &Table, pool: &DescriptorPool) -> Self {
        Self { document: describe(table, pool).to_string().into() }
    }

    /// A handler for the document.
    pub(super) fn document(&self) -> impl Fn() -> std::future::Ready<Response> + Clone + Send + Sync + 'static {
        let document = self.document.clone();
        move || {
            let headers = [
                (CONTENT_TYPE, "application/json"),
                (X_FRAME_OPTIONS, "DENY"),
                (CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"),
            ];
            std::future::ready((headers, document.clone()).into_response())
        }
    }
}

/// The page. Its addresses are relative, so it works below any root path.
pub(super) async fn page() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (X_FRAME_OPTIONS, "DENY"),
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, PAGE)
}

/// The page's script.
pub(super) async fn script() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8"), (CACHE_CONTROL, "no-cache")], SCRIPT)
}

fn describe(table: &Table, pool: &DescriptorPool) -> Value {
    let mut definitions = Definitions::new(pool);
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut paths_of: HashMap<&str, usize> = HashMap::new();
    for binding in &table.bindings {
        let path = binding.pattern.template().replace("=**}", "}");
        let methods = paths.entry(path).or_default();
        let method = binding.method.as_str().to_ascii_lowercase();
        // Of two rpcs with one path the first answers.
        if !methods.contains_key(&method) {
            let paths = paths_of.entry(binding.rpc.as_str()).or_insert(0_usize);
            *paths += 1;
            methods.insert(method, operation(binding, *paths, &mut definitions));
        }
    }
    json!({
        "swagger": "2.0",
        "info": {
            "title": "Argosy",
            "description": "The REST API, compatible with that of Argo CD. Every operation is also a gRPC method.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {
            "bearer": {"type": "apiKey", "in": "header", "name": "Authorization"},
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "definitions": definitions.finish(),
    })
}

/// `place` counts the paths of a method, whose operations need names of their own.
fn operation(binding: &Binding, place: usize, definitions: &mut Definitions) -> Value {
    let (service, method) = binding.rpc.rsplit_once('/').unwrap_or_default();
    let service = service.rsplit('.').next().unwrap_or_default();
    let reply = definitions.reference(&binding.output);
    let schema = if binding.flow == Flow::ServerStream {
        json!({"type": "object", "properties": {"result": reply, "error": {"$ref": "#/definitions/runtimeStreamError"}}})
    } else {
        reply
    };
    let number = if place > 1 { place.to_string() } else { String::new() };
    json!({
        "tags": [service],
        "operationId": format!("{service}_{method}{number}"),
        "parameters": parameters(binding, definitions),
        "responses": {
            "200": {"description": "The reply.", "schema": schema},
            "default": {"description": "What went wrong.", "schema": {"$ref": "#/definitions/runtimeError"}},
        },
    })
}

fn parameters(binding: &Binding, definitions: &mut Definitions) -> Vec<Value> {
    let mut parameters = Vec::new();
    let variables: Vec<&str> = binding.pattern.variables().collect();
    for variable in &variables {
        let schema = leaf(&binding.input, variable).map(|field| definitions.field(&field));
        parameters.push(parameter(variable, "path", true, schema.unwrap_or_else(|| json!({"type": "string"}))));
    }
    match &binding.body {
        BodyRule::Whole => {
            let schema = definitions.reference(&binding.input);
            parameters.push(json!({"name": "body", "in": "body", "required": true, "schema": schema}));
            return parameters;
        }
        BodyRule::Field(name) => {
            if let Some(field) = binding.input.get_field_by_name(name) {
                let schema = definitions.field(&field);
                parameters.push(json!({"name": "body", "in": "body", "required": true, "schema": schema}));
            }
        }
        BodyRule::None => {}
    }
    let body = match &binding.body {
        BodyRule::Field(name) => name,
        _ => "",
    };
    for field in binding.input.fields().filter(|field| field.name() != body) {
        query_parameters(&field, "", &variables, definitions, &mut parameters, PARAMETER_DEPTH);
    }
    parameters
}

/// Parameters for a field and, dotted, for those of a message in it.
fn query_parameters(
    field: &FieldDescriptor,
    prefix: &str,
    variables: &[&str],
    definitions: &mut Definitions,
    parameters: &mut Vec<Value>,
    depth: usize,
) {
    let name = format!("{prefix}{}", field.name());
    if depth == 0 || field.is_map() || variables.contains(&&*name) {
        return;
    }
    if let Some(message) = field.kind().as_message()
        && schema::special(message).is_none()
    {
        if !field.is_list() {
            let prefix = format!("{name}.");
            for inner in message.fields() {
                query_parameters(&inner, &prefix, variables, definitions, parameters, depth - 1);
            }
        }
        return;
    }
    let mut schema = definitions.field(field);
    if schema.get("type").is_none() {
        return;
    }
    if field.is_list() {
        schema["collectionFormat"] = json!("multi");
    }
    parameters.push(parameter(&name, "query", false, schema));
}

fn parameter(name: &str, place: &str, required: bool, schema: Value) -> Value {
    let mut parameter = json!({"name": name, "in": place, "required": required});
    if let (Value::Object(parameter), Value::Object(schema)) = (&mut parameter, schema) {
        parameter.extend(schema);
    }
    parameter
}

/// The field at the end of a dotted path.
fn leaf(message: &MessageDescriptor, path: &str) -> Option<FieldDescriptor> {
    let mut message = Some(message.clone());
    let mut leaf = None;
    for name in path.split('.') {
        let field = message?.get_field_by_name(name)?;
        message = field.kind().as_message().cloned();
        leaf = Some(field);
    }
    leaf
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn document() -> Value {
        let pool = DescriptorPool::decode(argosy_proto::DESCRIPTORS).unwrap();
        describe(&Table::parse(&pool).unwrap(), &pool)
    }

    #[test]
    fn every_reference_has_its_definition_and_every_operation_its_own_name() {
        let document = document();
        let definitions = document["definitions"].as_object().unwrap();
        let text = document.to_string();
        for reference in text.split("#/definitions/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(definitions.contains_key(name), "{name}");
        }
        let mut ids = HashSet::new();
        for methods in document["paths"].as_object().unwrap().values() {
            for operation in methods.as_object().unwrap().values() {
                assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
            }
        }
        assert!(ids.contains("ApplicationService_PodLogs2"));
    }

    #[test]
    fn parameters_are_where_requests_have_them() {
        let document = document();
        let update = &document["paths"]["/api/v1/applications/{application.metadata.name}"]["put"];
        let places: Vec<(&str, &str)> = update["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| (p["in"].as_str().unwrap(), p["name"].as_str().unwrap()))
            .collect();
        assert!(places.contains(&("path", "application.metadata.name")));
        assert!(places.contains(&("body", "body")));
        assert!(places.contains(&("query", "validate")));
        let list = &document["paths"]["/api/v1/clusters/{id.value}"]["get"]["parameters"];
        assert!(list.as_array().unwrap().iter().any(|p| p["name"] == "id.type" && p["in"] == "query"));
        let definitions = &document["definitions"];
        assert_eq!(
            definitions["v1alpha1Application"]["properties"]["spec"]["$ref"],
            "#/definitions/v1alpha1ApplicationSpec"
        );
        assert_eq!(definitions["v1ObjectMeta"]["properties"]["creationTimestamp"]["format"], "date-time");
    }
}
