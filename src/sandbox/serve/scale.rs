//! The scale subresource: replicas of anything, read and written alike.

use std::sync::Arc;

use argosy_engine::merge::apply_json_merge;
use argosy_model::object;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::handle::Reply;
use super::write::{self, Draft};
use super::{body, respond};
use crate::failure::{Failure, Fault};
use crate::kinds::decode_scale;

pub(super) fn scale(api: &Arc<Api>, ask: &Ask<'_>, body: &Bytes) -> Result<Reply, Failure> {
    let found = api.store.get(&ask.key()).ok_or_else(|| ask.not_found())?;
    if let Some(paths) = ask.kind.custom.as_ref().and_then(|c| c.scale.as_ref())
        && object::get(&found.value, &split(&paths.spec).iter().map(String::as_str).collect::<Vec<_>>()).is_none()
        && ask.attributes.verb == "get"
    {
        return Err(Failure::internal(format!("the spec replicas field {:?} does not exist", paths.spec)));
    }
    let current = scale_of(ask, &ask.present(&found.value));
    let wanted = match ask.attributes.verb.as_str() {
        "get" => return Ok(respond::object(StatusCode::OK, &current).into()),
        "update" => read_scale(ask, body)?,
        _ => patched(ask, &current, body)?,
    };
    let mut warnings = Vec::new();
    let wanted = decoded(ask, wanted, &mut warnings)?;
    let replicas = wanted.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
    if replicas < 0
        && let Some(paths) = ask.kind.custom.as_ref().and_then(|c| c.scale.as_ref())
    {
        let fault = Fault::invalid(paths.spec.clone(), &replicas.into(), "should be a non-negative integer");
        return Err(Failure::invalid(ask.invalid_subject(ask.route.name), &[fault]));
    }
    if replicas < 0 {
        let fault = Fault::invalid("spec.replicas", &replicas.into(), "must be greater than or equal to 0");
        return Err(Failure::invalid(
            crate::failure::Subject { group: "autoscaling", resource: "Scale", name: ask.route.name },
            &[fault],
        ));
    }
    let version = object::resource_version(&wanted).to_owned();
    let is_bound = !version.is_empty() && ask.attributes.verb == "update";
    let path = spec_path(ask);
    let reply = write::change(api, ask, |old| {
        let mut value = old.clone();
        set_number(&mut value, &path, replicas);
        if is_bound && let Some(metadata) = object::metadata(&mut value) {
            metadata.insert("resourceVersion".to_owned(), version.as_str().into());
        }
        Ok(Draft { value, applied: None })
    })?;
    let stored = api.store.get(&ask.key()).ok_or_else(|| ask.not_found())?;
    let mut shown = scale_of(ask, &ask.present(&stored.value));
    if ask.dry_run {
        shown["spec"]["replicas"] = replicas.into();
    }
    let mut response = respond::object(StatusCode::OK, &shown);
    respond::warn(&mut response, &warnings);
    Ok(Reply { response, version: reply.version })
}

/// The body of an update, which names what the URL names.
fn read_scale(ask: &Ask<'_>, body: &Bytes) -> Result<Value, Failure> {
    let value =
        if ask.content_type == "application/yaml" { body::parse_yaml(body)? } else { body::parse_json("Scale", body)? };
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or("");
    if !matches!(text("kind"), "" | "Scale") {
        let (kind, version) = (text("kind"), text("apiVersion"));
        let short = version.rsplit('/').next().unwrap_or(version);
        return Err(Failure::bad_request(format!(
            "{kind} in version \"{short}\" cannot be handled as a Scale: no kind \"{kind}\" is registered for version \
             \"{version}\" in scheme \"pkg/runtime/scheme.go:111\""
        )));
    }
    let (name, wanted) = (object::name(&value), ask.route.name);
    if name.is_empty() {
        let message =
            format!("the name of the object ({wanted} based on URL) was undeterminable: name must be provided");
        return Err(Failure::bad_request(message));
    }
    if name != wanted {
        let message = format!("the name of the object ({name}) does not match the name on the URL ({wanted})");
        return Err(Failure::bad_request(message));
    }
    Ok(value)
}

/// A scale as the server's struct.
fn decoded(ask: &Ask<'_>, value: Value, warnings: &mut Vec<String>) -> Result<Value, Failure> {
    let shown = value.to_string();
    let read = decode_scale(value).map_err(|error| {
        if ask.attributes.verb == "patch" {
            return body::unpatchable(&shown, &error.to_string());
        }
        Failure::bad_request(format!("Scale in version \"v1\" cannot be handled as a Scale: {error}"))
    })?;
    warnings.extend(read.unknown.iter().map(|field| format!("unknown field \"{field}\"")));
    Ok(read.value)
}

fn patched(ask: &Ask<'_>, current: &Value, body: &Bytes) -> Result<Value, Failure> {
    let bad = |e: serde_json::Error| Failure::bad_request(format!("error decoding patch: {e}"));
    if ask.content_type == "application/json-patch+json" {
        let patch: json_patch::Patch = serde_json::from_slice(body).map_err(bad)?;
        let mut value = current.clone();
        json_patch::patch(&mut value, &patch).map_err(|_| {
            Failure::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Invalid",
                "the server rejected our request due to an error in our request",
            )
        })?;
        return Ok(value);
    }
    let patch = if ask.content_type == "application/apply-patch+yaml" {
        body::parse_yaml(body)?
    } else {
        serde_json::from_slice(body).map_err(bad)?
    };
    Ok(apply_json_merge(current, &patch))
}

fn spec_path(ask: &Ask<'_>) -> Vec<String> {
    let path = ask.kind.custom.as_ref().and_then(|c| c.scale.as_ref()).map_or(".spec.replicas", |s| &s.spec);
    split(path)
}

fn split(path: &str) -> Vec<String> {
    path.split('.').filter(|p| !p.is_empty()).map(str::to_owned).collect()
}

fn number(value: &Value, path: &[String]) -> i64 {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    object::get(value, &path).and_then(Value::as_i64).unwrap_or(0)
}

fn set_number(value: &mut Value, path: &[String], to: i64) {
    let Some((last, above)) = path.split_last() else { return };
    let mut place = value;
    for field in above {
        let Some(fields) = place.as_object_mut() else { return };
        place = fields.entry(field.clone()).or_insert_with(|| json!({}));
    }
    if let Some(fields) = place.as_object_mut() {
        fields.insert(last.clone(), to.into());
    }
}

fn scale_of(ask: &Ask<'_>, value: &Value) -> Value {
    let paths = ask.kind.custom.as_ref().and_then(|c| c.scale.clone());
    let status = paths.as_ref().map_or(".status.replicas", |p| &p.status);
    let mut metadata = json!({
        "name": object::name(value), "namespace": object::namespace(value), "uid": object::uid(value),
        "resourceVersion": object::resource_version(value),
    });
    if let Some(created) = value.pointer("/metadata/creationTimestamp") {
        metadata["creationTimestamp"] = created.clone();
    }
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {}, "status": {"replicas": number(value, &split(status))},
    });
    let replicas = number(value, &spec_path(ask));
    if replicas != 0 {
        scale["spec"]["replicas"] = replicas.into();
    }
    let selector = match paths {
        Some(paths) => paths.selector.and_then(|path| {
            let path = split(&path);
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            object::get(value, &path)?.as_str().map(str::to_owned)
        }),
        None => selector_text(value.pointer("/spec/selector")),
    };
    if let Some(selector) = selector {
        scale["status"]["selector"] = selector.into();
    }
    scale
}

/// `a=b,c in (d)` of a label selector.
fn selector_text(selector: Option<&Value>) -> Option<String> {
    let labels = selector?.get("matchLabels").or(selector).and_then(Value::as_object)?;
    let mut terms: Vec<String> =
        labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    for expression in selector?.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        let key = expression.get("key").and_then(Value::as_str).unwrap_or("");
        let values = expression.get("values").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let values = values.collect::<Vec<_>>().join(",");
        terms.push(match expression.get("operator").and_then(Value::as_str) {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    Some(terms.join(","))
}
