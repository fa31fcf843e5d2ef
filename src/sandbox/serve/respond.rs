//! Answers: JSON, tables, metadata alone, and refusals.

use std::convert::Infallible;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use serde_json::{Value, json};

use crate::failure::Failure;

/// The body of any answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// In which form the caller wants objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As they are.
    Plain,
    /// `Table` of meta.k8s.io/v1.
    Table,
    /// `PartialObjectMetadata` of meta.k8s.io/v1.
    Metadata,
}

/// Refuses to give a document in a form that it does not have.
pub(super) fn accepts_documents(headers: &HeaderMap) -> Result<(), Failure> {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    let known = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "application/*", "*/*"];
    let mut ranges = accept.split(',').map(|range| range.split(';').next().unwrap_or("").trim());
    if accept.trim().is_empty() || ranges.any(|range| known.contains(&range)) {
        return Ok(());
    }
    Err(Failure::new(
        StatusCode::NOT_ACCEPTABLE,
        "NotAcceptable",
        format!("only the following media types are accepted: {}", known[..3].join(", ")),
    ))
}

/// Reads `Accept` of a request with a verb.
pub(super) fn form(headers: &HeaderMap, verb: &str) -> Result<Form, Failure> {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    if accept.trim().is_empty() {
        return Ok(Form::Plain);
    }
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or("");
        let parameter =
            |name: &str| range.split(';').map(str::trim).find_map(|p| p.strip_prefix(name)?.strip_prefix('='));
        if !matches!(media, "application/json" | "application/*" | "*/*") {
            continue;
        }
        let is_meta = parameter("g") == Some("meta.k8s.io") && parameter("v") == Some("v1");
        match parameter("as") {
            None => return Ok(Form::Plain),
            Some("Table") if is_meta => return Ok(Form::Table),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") if is_meta => return Ok(Form::Metadata),
            Some(_) => {}
        }
    }
    let mut known = vec!["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
    if matches!(verb, "get" | "list" | "watch") {
        known.extend(["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"]);
    }
    let message = format!("406: Not Acceptable\n\nAvailable representations: {}", known.join(", "));
    Err(Failure::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message).with(serde_json::Map::new()))
}

/// An object with a code.
pub(super) fn object(code: StatusCode, value: &Value) -> Response<Body> {
    json(code, value.to_string())
}

/// A text of JSON with a code.
pub(super) fn json(code: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut text = text.into();
    text.push('\n');
    bytes_of(code, "application/json", text.into())
}

/// Bytes of a type.
pub(super) fn bytes_of(code: StatusCode, media: &'static str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(bytes).boxed_unsync());
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// Plain text.
pub(super) fn text(code: StatusCode, text: impl Into<String>) -> Response<Body> {
    bytes_of(code, "text/plain; charset=utf-8", text.into().into())
}

/// A refusal.
pub(super) fn failure(failure: &Failure) -> Response<Body> {
    object(failure.code, &failure.status())
}

/// What goes on: a watch, a log.
pub(super) fn stream(media: &'static str, chunks: futures::stream::BoxStream<'static, Bytes>) -> Response<Body> {
    let frames = chunks.map(|bytes| Ok::<_, Infallible>(hyper::body::Frame::data(bytes)));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// `Warning` headers, one for each text.
pub(super) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let escaped = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

/// Those come before all others.
pub(super) fn warn_first(response: &mut Response<Body>, warnings: &[String]) {
    let others: Vec<HeaderValue> = response.headers().get_all(header::WARNING).iter().cloned().collect();
    response.headers_mut().remove(header::WARNING);
    warn(response, warnings);
    for other in others {
        response.headers_mut().append(header::WARNING, other);
    }
}

/// The metadata of an object alone.
pub(super) fn metadata_of(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}

/// The table that every kind can have: name and time of creation.
pub(super) fn plain_table(objects: &[&Value], include: &str) -> Value {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let meta = |field: &str| object.pointer(&format!("/metadata/{field}")).cloned().unwrap_or(Value::Null);
            let mut row = json!({"cells": [meta("name"), meta("creationTimestamp")]});
            match include {
                "None" => row["object"] = Value::Null,
                "Object" => row["object"] = (*object).clone(),
                _ => row["object"] = metadata_of(object),
            }
            row
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {},
        "columnDefinitions": [
            {"name": "Name", "type": "string", "format": "name", "description": "Name must be unique within a namespace.", "priority": 0},
            {"name": "Created At", "type": "date", "format": "", "description": "CreationTimestamp is a timestamp representing the server time when this object was created.", "priority": 0},
        ],
        "rows": rows,
    })
}
