//! The four ways of patching.

use argosy_engine::merge::structured::predict_apply;
use argosy_engine::merge::{apply_json_merge, apply_strategic};
use argosy_engine::schema::{FieldType, TypeRef};
use argosy_model::object;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};

use super::api::Ask;
use super::body::{check_namespace, parse_yaml};
use super::write::Draft;
use crate::failure::{Failure, Fault, Subject};
use crate::kinds::json_error;
use crate::store::is_too_deep;

#[cfg(test)]
mod tests;

/// Most operations of a JSON patch.
const MAX_OPERATIONS: usize = 10_000;

/// A patch, read.
pub(super) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
    Apply(Value),
}

// === impl Patch ===

impl Patch {
    pub(super) fn read(ask: &Ask<'_>, body: &Bytes) -> Result<Self, Failure> {
        let patch = match ask.content_type {
            "application/json-patch+json" => {
                let patch = read_operations(body)?;
                if patch.0.len() > MAX_OPERATIONS {
                    return Err(Failure::new(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        "RequestEntityTooLarge",
                        format!(
                            "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
                            patch.0.len()
                        ),
                    ));
                }
                Self::Json(patch)
            }
            "application/merge-patch+json" => Self::Merge(read_map(body)?),
            "application/strategic-merge-patch+json" if ask.kind.is_strategic() => {
                let patch = read_map(body).map_err(|mut failure| {
                    // This one is not said to be a patch.
                    failure.message = failure.message.replace("error decoding patch: json: cannot", "json: cannot");
                    failure
                })?;
                check_strategic(&patch, ask.kind.schema())?;
                Self::Strategic(patch)
            }
            "application/apply-patch+yaml" => Self::Apply(read_applied(ask, body)?),
            _ => return Err(unsupported(ask)),
        };
        if !matches!(patch, Self::Apply(_)) && ask.query.0.iter().any(|(name, _)| name == "force") {
            let fault = Fault::forbidden("force", "may not be specified for non-apply patch");
            return Err(Failure::invalid_options("PatchOptions", &[fault]));
        }
        Ok(patch)
    }
}

fn unsupported(ask: &Ask<'_>) -> Failure {
    let known =
        ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];
    let refuse = |message: String| Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message);
    if !known.contains(&ask.content_type) {
        return refuse("415: Unsupported Media Type".to_owned()).with(Map::new());
    }
    // Known, but not of this kind.
    refuse(format!(
        "the body of the request was in an unknown format - accepted media types include: {}, application/apply-patch+yaml",
        known[..2].join(", ")
    ))
}

fn read_operations(body: &[u8]) -> Result<json_patch::Patch, Failure> {
    let value: Value = serde_json::from_slice(body).map_err(|error| not_json(body, &error))?;
    match &value {
        Value::Array(_) => serde_json::from_value(value).map_err(|_| inapplicable()),
        other => Err(mistyped(other, "[]handlers.jsonPatchOp")),
    }
}

fn read_map(body: &[u8]) -> Result<Value, Failure> {
    match serde_json::from_slice::<Value>(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(other) => Err(mistyped(&other, "map[string]interface {}")),
        Err(error) => Err(not_json(body, &error)),
    }
}

fn not_json(body: &[u8], error: &serde_json::Error) -> Failure {
    unreadable(&json_error(body).unwrap_or_else(|| error.to_string()))
}

/// 422 of operations that are none, or that do not fit the object.
fn inapplicable() -> Failure {
    let message = "the server rejected our request due to an error in our request";
    Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).with(Map::new())
}

/// Replacing a field that is not there adds it.
fn apply_operations(value: &mut Value, patch: &json_patch::Patch) -> Result<(), Failure> {
    for operation in &patch.0 {
        let mut operation = operation.clone();
        if let json_patch::PatchOperation::Replace(replace) = &operation
            && value.pointer(replace.path.as_str()).is_none()
        {
            let above = replace.path.as_str().rsplit_once('/').map_or("", |(above, _)| above);
            if value.pointer(above).is_some_and(Value::is_object) {
                operation = json_patch::PatchOperation::Add(json_patch::AddOperation {
                    path: replace.path.clone(),
                    value: replace.value.clone(),
                });
            }
        }
        json_patch::patch(value, std::slice::from_ref(&operation)).map_err(|_| inapplicable())?;
        // Each can double the depth, and what walks through a value has a stack that ends.
        if is_too_deep(value) {
            return Err(inapplicable());
        }
    }
    Ok(())
}

fn mistyped(value: &Value, wanted: &str) -> Failure {
    let given = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Null => "null",
    };
    unreadable(&format!("json: cannot unmarshal {given} into Go value of type {wanted}"))
}

fn unreadable(why: &str) -> Failure {
    Failure::bad_request(format!("error decoding patch: {why}"))
}

fn read_applied(ask: &Ask<'_>, body: &[u8]) -> Result<Value, Failure> {
    if ask.query.get("fieldManager").is_empty() {
        let fault = Fault::required("fieldManager", "is required for apply patch");
        return Err(Failure::invalid_options("PatchOptions", &[fault]));
    }
    let mut value = parse_yaml(body)?;
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or("").to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if kind != ask.kind.kind || version != ask.kind.api_version() {
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        return Err(Failure::bad_request(format!("invalid object type: {group}/{version}, Kind={kind}")));
    }
    if value.pointer("/metadata/managedFields").is_some_and(|m| !m.is_null()) {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    refuse_undeclared(ask, &value)?;
    let name = object::name(&value);
    if name.is_empty() {
        return Err(undeterminable(ask));
    }
    if name != ask.route.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            ask.route.name
        )));
    }
    let namespace = object::namespace(&value);
    if !namespace.is_empty() && namespace != ask.namespace() {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let namespace = ask.namespace().to_owned();
    if let Some(metadata) = object::metadata(&mut value) {
        metadata.insert("name".to_owned(), ask.route.name.into());
    }
    object::set_namespace(&mut value, &namespace);
    Ok(value)
}

/// An apply may name no field that its kind does not have.
fn refuse_undeclared(ask: &Ask<'_>, value: &Value) -> Result<(), Failure> {
    let lines: Vec<String> = match ask.kind.decode(value.clone()) {
        Ok(decoded) => decoded.unknown.iter().map(|field| format!(".{field}: field not declared in schema")).collect(),
        Err(error) => mistyped_field(&error.to_string()).into_iter().collect(),
    };
    let what = match &lines[..] {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let message = format!(
        "failed to create typed patch object ({}/{}; {}/{}, Kind={}): {what}",
        object::namespace(value),
        object::name(value),
        ask.kind.group,
        ask.kind.version,
        ask.kind.kind
    );
    Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "", message))
}

/// What a decoder says of a value of the wrong type, as an apply says it.
fn mistyped_field(why: &str) -> Option<String> {
    let rest = why.strip_prefix("json: cannot unmarshal ")?;
    let (given, rest) = rest.split_once(" into Go struct field ")?;
    let (field, wanted) = rest.split_once(" of type ")?;
    let (_, path) = field.split_once('.')?;
    let wanted = match wanted {
        "int32" | "int64" | "float64" => "numeric (int or float)",
        "bool" => "boolean",
        "string" => "string",
        wanted if wanted.starts_with("[]") => "list",
        _ => "map",
    };
    let given = match given.split(' ').next()? {
        "number" => "int",
        "bool" => "boolean",
        "array" => "list",
        "object" => "map",
        given => given,
    };
    Some(format!(".{path}: expected {wanted}, got {given}"))
}

/// What the patch makes of the current state.
pub(super) fn apply(ask: &Ask<'_>, patch: &Patch, current: &Value) -> Result<Draft, Failure> {
    let mut value = match patch {
        Patch::Json(patch) => {
            let mut value = current.clone();
            apply_operations(&mut value, patch)?;
            value
        }
        Patch::Merge(patch) => apply_json_merge(current, patch),
        Patch::Strategic(patch) => apply_strategic(current, &with_order(patch, ask.kind.schema()), ask.kind.schema()),
        Patch::Apply(applied) => {
            let asked = object::resource_version(applied);
            if !asked.is_empty() && asked != object::resource_version(current) {
                return Err(Failure::modified(ask.subject(ask.route.name)));
            }
            return Ok(Draft { value: merged(ask, current, applied), applied: Some(applied.clone()) });
        }
    };
    check_kind(ask, &value)?;
    let name = object::name(&value);
    if name.is_empty() {
        return Err(undeterminable(ask));
    }
    check_namespace(ask, &mut value)?;
    let name = object::name(&value);
    if name != ask.route.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            ask.route.name
        )));
    }
    Ok(Draft { value, applied: None })
}

/// Items of lists that are merged have their key, and directives are known ones.
fn check_strategic(patch: &Value, ty: Option<TypeRef<'_>>) -> Result<(), Failure> {
    let refuse = |message: String| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "", message);
    let shown = |value: &Value| {
        let fields = value.as_object().into_iter().flatten();
        let fields: Vec<String> = fields
            .map(|(name, value)| format!("{name}:{}", value.as_str().map_or(value.to_string(), str::to_owned)))
            .collect();
        format!("map[{}]", fields.join(" "))
    };
    let Value::Object(fields) = patch else { return Ok(()) };
    if let Some(directive) = fields.get("$patch").and_then(Value::as_str)
        && !matches!(directive, "replace" | "merge" | "delete")
    {
        return Err(refuse(format!("unknown patch type: {directive} in map: {}", shown(patch))));
    }
    for (name, value) in fields {
        let below = match ty.map(|ty| ty.field(name)) {
            Some(FieldType::Declared(below)) => Some(below),
            _ => None,
        };
        match value {
            Value::Object(_) => check_strategic(value, below)?,
            Value::Array(items) => {
                let key = below.filter(|below| below.merges()).and_then(TypeRef::merge_key);
                for item in items {
                    if let (Some(key), Value::Object(fields)) = (key, item)
                        && !fields.contains_key(key)
                        && fields.get("$patch") != Some(&Value::from("replace"))
                    {
                        let message = format!("map: {} does not contain declared merge key: {key}", shown(item));
                        return Err(refuse(message));
                    }
                    check_strategic(item, below.and_then(TypeRef::items))?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A strategic merge patch orders the lists it merges into as it names their items,
/// unless it says otherwise. Here it always says so.
fn with_order(patch: &Value, ty: Option<TypeRef<'_>>) -> Value {
    let Value::Object(fields) = patch else { return patch.clone() };
    let mut ordered = Map::new();
    for (name, value) in fields {
        let below = match ty.map(|ty| ty.field(name)) {
            Some(FieldType::Declared(below)) => Some(below),
            _ => None,
        };
        let value = match value {
            Value::Object(_) => with_order(value, below),
            Value::Array(items) => {
                let key = format!("$setElementOrder/{name}");
                let is_directive = items.iter().any(|item| item.get("$patch") == Some(&Value::from("replace")));
                if let Some(list) = below.filter(|b| b.merges() && !is_directive && !fields.contains_key(&key)) {
                    ordered.insert(key, order_of(items, list));
                }
                items.iter().map(|item| with_order(item, below.and_then(TypeRef::items))).collect()
            }
            other => other.clone(),
        };
        ordered.insert(name.clone(), value);
    }
    Value::Object(ordered)
}

fn order_of(items: &[Value], list: TypeRef<'_>) -> Value {
    let kept = items.iter().filter(|item| item.get("$patch").is_none());
    match list.merge_key() {
        None => kept.cloned().collect(),
        Some(key) => kept
            .filter_map(|item| Some(Value::Object([(key.to_owned(), item.get(key)?.clone())].into_iter().collect())))
            .collect(),
    }
}

fn undeterminable(ask: &Ask<'_>) -> Failure {
    Failure::bad_request(format!(
        "the name of the object ({} based on URL) was undeterminable: name must be provided",
        ask.route.name
    ))
}

fn check_kind(ask: &Ask<'_>, value: &Value) -> Result<(), Failure> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or("");
    if ask.kind.custom.is_some() && text("kind") != ask.kind.kind {
        let fault = Fault::invalid("kind", &text("kind").into(), &format!("must be {}", ask.kind.kind));
        let subject = Subject { group: &ask.kind.group, resource: text("kind"), name: ask.route.name };
        return Err(Failure::invalid(subject, &[fault]));
    }
    if text("kind") != ask.kind.kind || text("apiVersion") != ask.kind.api_version() {
        let message = format!(
            "cannot change the kind or version of an object: {} in version \"{}\"",
            text("kind"),
            text("apiVersion")
        );
        return Err(Failure::bad_request(message));
    }
    Ok(())
}

/// A server-side apply, as the manager's earlier one says what it gives up.
fn merged(ask: &Ask<'_>, current: &Value, applied: &Value) -> Value {
    // Ownership is looked up by manager among entries of the object itself; those
    // of this request's subresource take their place.
    let mut live = current.clone();
    let entries = live.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
        let own = entry.get("subresource").and_then(Value::as_str).unwrap_or("");
        let is_same = own == ask.route.subresource;
        if is_same {
            entry.remove("subresource");
        } else {
            entry.insert("subresource".to_owned(), "other".into());
        }
    }
    let mut value = predict_apply(&live, applied, &ask.field_manager, ask.kind.schema());
    if let (Some(managed), Some(metadata)) =
        (current.pointer("/metadata/managedFields").cloned(), object::metadata(&mut value))
    {
        metadata.insert("managedFields".to_owned(), managed);
    }
    value
}
