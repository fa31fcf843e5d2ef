//! A file's text to Kubernetes objects: what counts as one, what is passed over,
//! and what is an error.

use serde_json::Value;

use super::select::ManifestFile;
use crate::error::Error;
use crate::yaml::{self, Documents, Problem};

/// Adds the objects of a file to `objects`, lists taken apart.
pub(super) fn read_objects(file: &ManifestFile, objects: &mut Vec<Value>) -> Result<(), Error> {
    let text = yaml::decode_text(&file.content);
    if file.name.ends_with(".json") { read_json(file, &text, objects) } else { read_yaml(file, &text, objects) }
}

fn read_yaml(file: &ManifestFile, text: &str, objects: &mut Vec<Value>) -> Result<(), Error> {
    let mut found = false;
    for document in Documents::new(text) {
        let failure = match document {
            Ok(document) => match object_problem(&document.value) {
                None => {
                    found = true;
                    expand(file, document.value, document.line, objects)?;
                    continue;
                }
                Some(problem) => not_an_object(file, document.line, problem),
            },
            Err(source) => Error::Unmarshal { file: file.name.clone(), source },
        };
        // What is broken after a good object, or looks like one itself, is a broken
        // manifest. Anything else is YAML of another purpose.
        if found || looks_like_manifest(text) {
            return Err(failure);
        }
        tracing::debug!(file = file.name, reason = %argosy_model::report(&failure), "passing over a file that is no manifest");
        return Ok(());
    }
    Ok(())
}

fn looks_like_manifest(text: &str) -> bool {
    ["apiVersion:", "kind:", "metadata:"].iter().all(|field| text.contains(field))
}

fn read_json(file: &ManifestFile, text: &str, objects: &mut Vec<Value>) -> Result<(), Error> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let failure = |line, column, message: String| Error::Unmarshal {
        file: file.name.clone(),
        source: yaml::Error { line, column, problem: Problem::Json(message) },
    };
    let mut value = match values.next() {
        None => return Err(failure(1, 1, "the file is empty".to_owned())),
        Some(Err(error)) => return Err(failure(error.line(), error.column(), yaml::json_message(&error))),
        Some(Ok(value)) => value,
    };
    if text[values.byte_offset()..].trim_start().starts_with(|c| !matches!(c, ']' | '}')) {
        return Err(Error::MultipleJson { file: file.name.clone() });
    }
    if let Some(problem) = object_problem(&value) {
        return Err(not_an_object(file, 1, problem));
    }
    yaml::normalise_numbers(&mut value);
    expand(file, value, 1, objects)
}

/// Takes a list apart. Any object with `items` is one; null items are an empty one,
/// unless a spec or status says that it is something else.
fn expand(file: &ManifestFile, mut object: Value, line: usize, objects: &mut Vec<Value>) -> Result<(), Error> {
    let says_more = object.get("spec").is_some() || object.get("status").is_some();
    match object.get_mut("items") {
        Some(Value::Array(items)) => {
            for item in std::mem::take(items) {
                if let Some(problem) = object_problem(&item) {
                    return Err(not_an_object(file, line, problem));
                }
                objects.push(item);
            }
        }
        Some(Value::Null) if !says_more => {}
        _ => objects.push(object),
    }
    Ok(())
}

/// Why a value is no Kubernetes object.
fn object_problem(value: &Value) -> Option<&'static str> {
    if !value.is_object() {
        return Some("it is no map");
    }
    if value.get("kind").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Some("Object 'Kind' is missing");
    }
    match value.get("apiVersion") {
        None => None,
        Some(Value::String(version)) if version.matches('/').count() < 2 => None,
        Some(_) => Some("apiVersion is not of the form group/version"),
    }
}

fn not_an_object(file: &ManifestFile, line: usize, problem: &'static str) -> Error {
    Error::NotAnObject { file: file.name.clone(), line, problem }
}
