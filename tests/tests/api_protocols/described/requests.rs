//! The operations of a description, and requests of them.

use anyhow::Context;
use proptest::prelude::*;
use reqwest::Method;
use serde_json::Value;

use super::schema;

/// One method of one path.
pub(super) struct Operation {
    pub(super) method: Method,
    /// The path with its variables.
    pub(super) template: String,
    pub(super) responses: Value,
    /// Whether the answer goes on for ever.
    pub(super) streams: bool,
    parameters: Vec<Value>,
}

/// A request as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// With its query.
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

// === impl Operation ===

impl Operation {
    /// All that are described, those that take things away last.
    pub(super) fn all(document: &Value) -> anyhow::Result<Vec<Self>> {
        let mut all = Vec::new();
        for (template, methods) in document["paths"].as_object().context("a description has paths")? {
            for (method, operation) in methods.as_object().context("a path has methods")? {
                let responses = operation["responses"].clone();
                all.push(Self {
                    method: Method::from_bytes(method.to_uppercase().as_bytes())?,
                    template: template.clone(),
                    streams: responses["200"]["schema"]["properties"].get("result").is_some(),
                    responses,
                    parameters: operation["parameters"].as_array().cloned().unwrap_or_default(),
                });
            }
        }
        all.sort_by_key(|operation| operation.method == Method::DELETE);
        Ok(all)
    }

    /// Requests that are made as it is described.
    pub(super) fn requests(&self, document: &Value) -> BoxedStrategy<Sent> {
        let template = self.template.clone();
        let parts: Vec<_> = self
            .parameters
            .iter()
            .map(|parameter| {
                let described = if parameter["in"] == "body" { &parameter["schema"] } else { parameter };
                let value = schema::values(document, described);
                let value = match parameter["required"] == true {
                    true => value.prop_map(Some).boxed(),
                    false => prop::option::weighted(0.15, value).boxed(),
                };
                (Just(parameter.clone()), value)
            })
            .collect();
        parts.prop_map(move |parts| assemble(&template, parts)).boxed()
    }
}

fn assemble(template: &str, parts: Vec<(Value, Option<Value>)>) -> Sent {
    let (mut path, mut body) = (template.to_owned(), None);
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (parameter, value) in parts {
        let Some(value) = value else { continue };
        let name = parameter["name"].as_str().unwrap_or_default();
        match parameter["in"].as_str() {
            Some("body") => body = Some(value),
            Some("path") => {
                // An empty part of a path is none.
                let text = Some(plain(&value)).filter(|text| !text.is_empty()).unwrap_or_else(|| "one".to_owned());
                path = path.replace(&format!("{{{name}}}"), &escaped(&text));
            }
            _ => {
                for item in value.as_array().cloned().unwrap_or_else(|| vec![value]) {
                    query.append_pair(name, &plain(&item));
                }
            }
        }
    }
    let query = query.finish();
    Sent { path: if query.is_empty() { path } else { format!("{path}?{query}") }, body }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A text as one part of a path. Two dots would be taken out by any client.
fn escaped(text: &str) -> String {
    let text = if matches!(text, "." | "..") { "dots" } else { text };
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
