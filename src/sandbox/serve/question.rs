//! Requests that are answered and not stored: reviews, tokens, logs, evictions.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::body::{decode, read_object};
use super::handle::Reply;
use super::respond;
use crate::failure::Failure;
use crate::fields::{Managed, Writer};
use crate::hooks::{self, Answer};
use crate::kinds::schema_of;

/// The answer, where the request is one that is answered and not stored.
pub(super) async fn answer(api: &Api, ask: &Ask<'_>, body: &Bytes) -> Result<Option<Reply>, Failure> {
    let (value, warnings) = read_question(ask, body)?;
    let request = hooks::Request {
        caller: ask.caller,
        attributes: ask.attributes,
        query: &ask.query.0,
        body: value,
        dry_run: ask.dry_run,
    };
    let Some(answer) = api.hooks.virtuals.answer(&request) else { return Ok(None) };
    let mut response = match answer.await? {
        Answer::Object(code, mut value) => {
            own_question(api, ask, &mut value);
            respond::object(code, &value)
        }
        Answer::Text(text) => respond::bytes_of(StatusCode::OK, "text/plain", text.into()),
        Answer::Stream(chunks) => respond::stream("text/plain", chunks),
    };
    respond::warn(&mut response, &warnings);
    // Whatever it wrote comes before this.
    let version = (ask.attributes.verb != "get").then(|| api.store.version());
    Ok(Some(Reply { response, version }))
}

/// What a request that is answered and not stored asks: read as strictly as an object.
fn read_question(ask: &Ask<'_>, body: &Bytes) -> Result<(Value, Vec<String>), Failure> {
    let is_review = ask.kind.verbs == ["create"] && ask.route.subresource.is_empty();
    if !is_review || ask.attributes.verb != "create" {
        let value = if body.is_empty() { Value::Null } else { serde_json::from_slice(body).unwrap_or(Value::Null) };
        return Ok((value, Vec::new()));
    }
    let mut warnings = Vec::new();
    let value = read_object(ask, body)?;
    let sent = matches!(ask.content_type, "" | "application/json").then_some(body);
    let value = decode(ask, value, sent, &mut warnings)?;
    Ok((value, warnings))
}

/// Whoever asks owns the question.
fn own_question(api: &Api, ask: &Ask<'_>, value: &mut Value) {
    let Some(spec) = value.get("spec").filter(|spec| spec.as_object().is_some_and(|spec| !spec.is_empty())) else {
        return;
    };
    let given = spec.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let given: serde_json::Map<String, Value> = given.map(|(name, value)| (name.clone(), value.clone())).collect();
    let asked = json!({"spec": given});
    // What a token is bound to is written even when it is nothing.
    let bound = if ask.route.subresource == "token" && given.contains_key("boundObjectRef") {
        json!({"spec": {"boundObjectRef": {}}})
    } else {
        json!({"spec": {}})
    };
    let now = api.stamps.now();
    let version = value.get("apiVersion").and_then(Value::as_str).unwrap_or("").to_owned();
    let writer = Writer {
        manager: &ask.field_manager,
        operation: "Update",
        api_version: &version,
        subresource: ask.route.subresource,
        now: Some(&*now),
    };
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or("");
    let mut managed = Managed::default();
    managed.update(&bound, &asked, schema_of(&version, kind), &writer, &[]);
    value["metadata"]["managedFields"] = managed.write();
}
