//! create, update and patch: from a body to a stored object.

use std::sync::Arc;

use argosy_model::object;
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::api::{Api, Ask, EXTENSIONS};
use super::handle::Reply;
use super::patch::{self, Patch};
use super::query::{FieldValidation, options_kind};
use super::{prepare, read, respond, validate};
use crate::failure::{Failure, Fault, Subject};
use crate::fields::{Applied, Managed, Writer};
use crate::hooks::{Admitted, Attributes};
use crate::kinds::{convert, custom, read_protobuf};
use crate::store::{StoreError, UpdateError};

/// How often a write that names no version is tried again when others are faster.
const ATTEMPTS: usize = 64;

/// How often another generated name is tried.
const NAMES: usize = 8;

/// A new state on its way to the store.
pub(super) struct Draft {
    /// The whole object in the request's version.
    pub(super) value: Value,
    /// What was applied, for a server-side apply.
    pub(super) applied: Option<Value>,
}

pub(super) fn create(api: &Arc<Api>, ask: &Ask<'_>, body: &Bytes) -> Result<Reply, Failure> {
    if !ask.route.name.is_empty() {
        return Err(Failure::method_not_allowed());
    }
    let value = read_object(ask, body)?;
    create_from(api, ask, Draft { value, applied: None })
}

/// Stores a new object.
pub(super) fn create_from(api: &Arc<Api>, ask: &Ask<'_>, draft: Draft) -> Result<Reply, Failure> {
    let Draft { mut value, applied } = draft;
    check_namespace(ask, &mut value)?;
    if !object::resource_version(&value).is_empty() {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "", message));
    }
    let mut warnings = Vec::new();
    prepare::strip_for_create(&ask.kind, &mut value);
    let value = decode(ask, value, &mut warnings)?;
    let prefix = object::generate_name(&value).to_owned();
    let generated = object::name(&value).is_empty() && !prefix.is_empty();
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut candidate = value.clone();
        // Before the server completes it: what it allocates belongs to nobody.
        own(api, ask, None, &mut candidate, applied.as_ref())?;
        api.stamps.stamp(&mut candidate);
        let name = object::name(&candidate).to_owned();
        prepare::before_create(api, &ask.kind, &mut candidate);
        let attributes = Attributes { verb: "create".to_owned(), name: name.clone(), ..ask.attributes.clone() };
        let admitted = Admitted { caller: ask.caller, attributes: &attributes, old: None, dry_run: ask.dry_run };
        api.hooks.admission.admit(&admitted, &mut candidate)?;
        let faults = validate::create(&ask.kind, &candidate);
        if !faults.is_empty() {
            return Err(Failure::invalid(ask.invalid_subject(&name), &faults));
        }
        let key = ask.key_of(&name);
        if api.store.get(&key).is_some() {
            if generated && attempt < NAMES {
                continue;
            }
            return Err(Failure::exists(ask.subject(&name)));
        }
        if ask.dry_run {
            return Ok(reply(api, ask, StatusCode::CREATED, &candidate, None, &warnings));
        }
        match api.store.create(&key, to_storage(ask, candidate)) {
            Ok(stored) => {
                after_write(api, ask, &stored.value);
                let shown = ask.present(&stored.value);
                return Ok(reply(api, ask, StatusCode::CREATED, &shown, Some(stored.version), &warnings));
            }
            Err(StoreError::Exists) if generated && attempt < NAMES => {}
            Err(StoreError::Exists) => return Err(Failure::exists(ask.subject(&name))),
            Err(error) => return Err(refused(ask, &error)),
        }
    }
}

pub(super) fn update(api: &Arc<Api>, ask: &Ask<'_>, body: &Bytes) -> Result<Reply, Failure> {
    let given = read_object(ask, body)?;
    let name = object::name(&given);
    if name.is_empty() {
        return Err(Failure::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            ask.route.name
        )));
    }
    if name != ask.route.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            ask.route.name
        )));
    }
    let mut given = given;
    check_namespace(ask, &mut given)?;
    change(api, ask, |_| Ok(Draft { value: given.clone(), applied: None }))
}

pub(super) fn patch(api: &Arc<Api>, ask: &Ask<'_>, body: &Bytes) -> Result<Reply, Failure> {
    let patch = Patch::read(ask, body)?;
    if let Patch::Apply(applied) = &patch
        && api.store.get(&ask.key()).is_none()
    {
        if !ask.route.subresource.is_empty() {
            return Err(ask.not_found());
        }
        if !object::get(applied, &["metadata", "uid"]).and_then(Value::as_str).unwrap_or("").is_empty() {
            return Err(Failure::conflict(
                ask.subject(ask.route.name),
                "uid mismatch: the provided object specified uid, and no existing object was found",
            ));
        }
        let mut value = applied.clone();
        if let Some(metadata) = object::metadata(&mut value) {
            metadata.insert("name".to_owned(), ask.route.name.into());
        }
        return create_from(api, ask, Draft { value, applied: Some(applied.clone()) });
    }
    change(api, ask, |current| patch::apply(ask, &patch, current))
}

/// Turns the current state into another, as often as it takes.
pub(super) fn change(
    api: &Arc<Api>,
    ask: &Ask<'_>,
    make: impl Fn(&Value) -> Result<Draft, Failure>,
) -> Result<Reply, Failure> {
    let key = ask.key();
    for _ in 0..ATTEMPTS {
        let current = api.store.get(&key).ok_or_else(|| ask.not_found())?;
        let old = ask.present(&current.value);
        let draft = make(&old)?;
        let asked = object::resource_version(&draft.value).to_owned();
        let is_bound = !asked.is_empty() && asked != "0" && draft.applied.is_none();
        if is_bound && asked != object::resource_version(&old) {
            return Err(Failure::modified(ask.subject(ask.route.name)));
        }
        if asked.is_empty() && ask.kind.custom.is_some() && ask.attributes.verb == "update" {
            let fault = Fault::invalid("metadata.resourceVersion", &0.into(), "must be specified for an update");
            return Err(Failure::invalid(ask.subject(ask.route.name), &[fault]));
        }
        let mut warnings = Vec::new();
        let new = finish(api, ask, &old, draft, &mut warnings)?;
        if ask.dry_run || new == *old {
            let version = (!ask.dry_run).then_some(current.version);
            return Ok(reply(api, ask, StatusCode::OK, &new, version, &warnings));
        }
        let stored = to_storage(ask, new);
        match api.store.update(&key, Some(current.version), |_| Ok::<_, Failure>(Some(stored))) {
            Ok(stored) => {
                after_write(api, ask, &stored.value);
                return Ok(reply(
                    api,
                    ask,
                    StatusCode::OK,
                    &ask.present(&stored.value),
                    Some(stored.version),
                    &warnings,
                ));
            }
            Err(UpdateError::Store(StoreError::Conflict { .. } | StoreError::NotFound)) => {}
            Err(UpdateError::Store(error)) => return Err(refused(ask, &error)),
            Err(UpdateError::Refused(failure)) => return Err(failure),
        }
    }
    Err(Failure::modified(ask.subject(ask.route.name)))
}

/// From what the caller wants to what is stored.
fn finish(api: &Api, ask: &Ask<'_>, old: &Value, draft: Draft, warnings: &mut Vec<String>) -> Result<Value, Failure> {
    let Draft { value, applied } = draft;
    let uid = object::uid(&value).to_owned();
    if !uid.is_empty() && uid != object::uid(old) {
        let place = [&*ask.kind.plural, ask.namespace(), ask.route.name];
        let place: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            place.join("/"),
            object::uid(old)
        );
        return Err(Failure::conflict(ask.subject(ask.route.name), &why));
    }
    let mut new = decode(ask, value, warnings)?;
    prepare::keep_identity(old, &mut new);
    own(api, ask, Some(old), &mut new, applied.as_ref())?;
    prepare::before_update(&ask.kind, ask.route.subresource, old, &mut new);
    let attributes = Attributes { verb: "update".to_owned(), ..ask.attributes.clone() };
    let admitted = Admitted { caller: ask.caller, attributes: &attributes, old: Some(old), dry_run: ask.dry_run };
    api.hooks.admission.admit(&admitted, &mut new)?;
    let faults = validate::update(&ask.kind, ask.route.subresource, old, &new);
    if !faults.is_empty() {
        return Err(Failure::invalid(ask.invalid_subject(ask.route.name), &faults));
    }
    Ok(new)
}

/// Writes who owns what into the new state.
fn own(api: &Api, ask: &Ask<'_>, old: Option<&Value>, new: &mut Value, applied: Option<&Value>) -> Result<(), Failure> {
    let now = api.stamps.now();
    let subresource = match ask.route.subresource {
        "status" | "scale" => ask.route.subresource,
        _ => "",
    };
    let api_version = ask.kind.api_version();
    let operation = if applied.is_some() { "Apply" } else { "Update" };
    // Scaling has no time.
    let now = Some(&*now).filter(|_| subresource != "scale");
    let writer = Writer { manager: &ask.field_manager, operation, api_version: &api_version, subresource, now };
    let status: &[&[&str]] = &[&["status"]];
    let all_else: &[&[&str]] = &[&["spec"], &["metadata"]];
    let reset: &[&[&str]] = match (subresource, ask.kind.has_status()) {
        ("status", _) => all_else,
        ("", true) => status,
        _ => &[],
    };
    let given = object::get(new, &["metadata", "managedFields"]).cloned();
    let is_reset =
        matches!(&given, Some(Value::Array(entries)) if entries.is_empty() || entries[..] == [serde_json::json!({})]);
    let mut managed = match (&given, old) {
        (Some(Value::Array(entries)), _) if !entries.is_empty() && !is_reset => Managed::read(new),
        (None | Some(Value::Null), Some(old)) => Managed::read(old),
        _ => Managed::default(),
    };
    // Compared without what ownership itself says.
    let skeleton;
    let before = match old {
        Some(old) => old,
        None => {
            skeleton = ask.kind.skeleton();
            &skeleton
        }
    };
    if is_reset && old.is_some() {
        set_managed(new, Value::Array(Vec::new()));
        return Ok(());
    }
    match applied {
        Some(applied) => {
            let force = ask.query.is_true("force");
            managed.apply(before, new, Applied { value: applied, force }, ask.kind.schema(), &writer, reset)?;
        }
        None => managed.update(before, new, ask.kind.schema(), &writer, reset),
    }
    set_managed(new, managed.write());
    Ok(())
}

fn set_managed(value: &mut Value, entries: Value) {
    let Some(metadata) = object::metadata(value) else { return };
    if entries.as_array().is_some_and(Vec::is_empty) {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), entries);
    }
}

fn to_storage(ask: &Ask<'_>, mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), ask.kind.api_version().into());
        fields.insert("kind".to_owned(), ask.kind.kind.as_str().into());
    }
    if ask.kind.version == ask.kind.storage_version {
        return value;
    }
    // Another version of the same kind has everything but the name in common.
    let mut converted = value.clone();
    if let Some(fields) = converted.as_object_mut() {
        fields.insert("apiVersion".to_owned(), ask.kind.storage_api_version().into());
    }
    match (&*ask.kind.group, &*ask.kind.version, &*ask.kind.storage_version) {
        ("autoscaling", "v1", "v2") => match crate::kinds::Kinds::new().find("autoscaling", "v2", &ask.kind.plural) {
            Some(kind) => convert(value, &kind),
            None => converted,
        },
        _ => converted,
    }
}

/// What a stored definition defines is served at once, and its status says so.
fn after_write(api: &Api, ask: &Ask<'_>, stored: &Value) {
    if ask.kind.group != EXTENSIONS {
        return;
    }
    let now = api.stamps.now();
    let accepted = api.store.update(&ask.key_of(object::name(stored)), None, |current| {
        let mut definition = current.clone();
        custom::accept(&mut definition, &now);
        Ok::<_, std::convert::Infallible>(Some(definition))
    });
    match accepted {
        Ok(definition) if !object::is_deleting(&definition.value) => api.define(&definition.value),
        // Deleted meanwhile.
        _ => {}
    }
}

pub(super) fn refused(ask: &Ask<'_>, error: &StoreError) -> Failure {
    match error {
        StoreError::Exists => Failure::exists(ask.subject(ask.route.name)),
        StoreError::NotFound => ask.not_found(),
        StoreError::Conflict { .. } => Failure::modified(ask.subject(ask.route.name)),
        StoreError::Disk => Failure::internal("the state can no longer be written to disk"),
    }
}

fn reply(
    api: &Api,
    ask: &Ask<'_>,
    code: StatusCode,
    value: &Value,
    version: Option<u64>,
    warnings: &[String],
) -> Reply {
    let mut response = read::one(api, ask, code, value);
    respond::warn(&mut response, warnings);
    if let Some(warning) = ask.kind.custom.as_ref().and_then(|c| c.deprecation.clone()) {
        respond::warn(&mut response, &[warning]);
    }
    Reply { response, version }
}

/// Reads a body as an object of the request's kind.
pub(super) fn read_object(ask: &Ask<'_>, body: &Bytes) -> Result<Value, Failure> {
    let mut value = match ask.content_type {
        "" | "application/json" => parse_json(ask, body)?,
        "application/yaml" | "application/apply-patch+yaml" => parse_yaml(body)?,
        "application/vnd.kubernetes.protobuf" => parse_protobuf(ask, body)?,
        _ => {
            return Err(Failure::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: application/json, \
                 application/yaml, application/vnd.kubernetes.protobuf",
            ));
        }
    };
    let wanted = (ask.kind.api_version(), ask.kind.kind.clone());
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or("").to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if ask.kind.custom.is_some() && kind.is_empty() {
        let shown = value.to_string();
        return Err(Failure::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): Object 'Kind' is missing in '{shown}' ({shown})",
            wanted.1
        )));
    }
    if ask.kind.custom.is_some() && kind != wanted.1 {
        let fault = Fault::invalid("kind", &kind.as_str().into(), &format!("must be {}", wanted.1));
        let subject = Subject { group: &ask.kind.group, resource: &kind, name: object::name(&value) };
        return Err(Failure::invalid(subject, &[fault]));
    }
    if !kind.is_empty() && kind != wanted.1 {
        let short = version.rsplit('/').next().unwrap_or(&version);
        let package = match ask.kind.group.split('.').next() {
            None | Some("") => "core",
            Some(group) => group,
        };
        return Err(Failure::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {0}: converting ({short}.{kind}) to ({package}.{0}): \
             unknown conversion",
            wanted.1
        )));
    }
    if !version.is_empty() && version != wanted.0 {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({})",
            wanted.0
        )));
    }
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), wanted.0.into());
        fields.insert("kind".to_owned(), wanted.1.into());
    }
    Ok(value)
}

fn parse_protobuf(ask: &Ask<'_>, body: &[u8]) -> Result<Value, Failure> {
    let definition = |version: &str, kind: &str| {
        let is_same =
            (version.is_empty() || version == ask.kind.api_version()) && (kind.is_empty() || kind == ask.kind.kind);
        ask.kind.definition.filter(|_| is_same)
    };
    let mut value = read_protobuf(body, definition).map_err(|error| Failure::bad_request(error.to_string()))?;
    // The zero status of every object means nothing.
    if let Some(fields) = value.as_object_mut()
        && ask.route.subresource.is_empty()
        && ask.kind.has_status()
    {
        fields.remove("status");
    }
    Ok(value)
}

fn parse_json(ask: &Ask<'_>, body: &Bytes) -> Result<Value, Failure> {
    const TYPE_META: &str =
        r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    let unmarshal = |given: &str| format!("json: cannot unmarshal {given} into Go value of type {TYPE_META}");
    let why = match serde_json::from_slice::<Value>(body) {
        Ok(value @ Value::Object(_)) => return Ok(value),
        Ok(Value::Array(_)) => unmarshal("array"),
        Ok(Value::String(_)) => unmarshal("string"),
        Ok(Value::Number(_)) => unmarshal("number"),
        Ok(Value::Bool(_)) => unmarshal("bool"),
        Ok(Value::Null) => "the body is null".to_owned(),
        Err(error) => match body.iter().find(|b| !b.is_ascii_whitespace()) {
            None => "unexpected end of JSON input".to_owned(),
            Some(b'{' | b'[' | b'"') => error.to_string(),
            Some(byte) => format!("invalid character '{}' looking for beginning of value", char::from(*byte)),
        },
    };
    Err(Failure::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {why} ({})",
        ask.kind.kind,
        shown_bytes(body)
    )))
}

fn shown_bytes(body: &[u8]) -> String {
    let shown: String = body.iter().take(20).map(|b| format!("{b:02x}")).collect();
    if body.len() > 20 { format!("{shown} ...") } else { shown }
}

pub(super) fn parse_yaml(body: &[u8]) -> Result<Value, Failure> {
    let is_json = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    if is_json && let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let text = std::str::from_utf8(body).map_err(|_| Failure::bad_request("error decoding YAML: invalid UTF-8"))?;
    match serde_saphyr::from_str::<Value>(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Failure::bad_request("error decoding YAML: the document is no object")),
        // The lines around the place may hold a secret.
        Err(error) => Err(Failure::bad_request(format!("error decoding YAML: {}", error.without_snippet()))),
    }
}

/// Reads an object's fields, and deals with those nobody knows.
pub(super) fn decode(ask: &Ask<'_>, value: Value, warnings: &mut Vec<String>) -> Result<Value, Failure> {
    let (kind, version) = (&ask.kind.kind, &ask.kind.version);
    let is_patch = ask.attributes.verb == "patch";
    let shown = if is_patch { value.to_string() } else { String::new() };
    let decoded = ask.kind.decode(value).map_err(|error| {
        if is_patch {
            return unpatchable(&shown, &error.to_string());
        }
        Failure::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {error}"))
    })?;
    let unknown: Vec<String> = decoded.unknown.iter().map(|field| format!("unknown field \"{field}\"")).collect();
    match ask.query.field_validation(options_kind(&ask.attributes.verb))? {
        FieldValidation::Strict if is_patch && !unknown.is_empty() => {
            Err(unpatchable(&shown, &format!("strict decoding error: {}", unknown.join(", "))))
        }
        FieldValidation::Strict if !unknown.is_empty() => Err(Failure::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {}",
            unknown.join(", ")
        ))),
        FieldValidation::Warn => {
            warnings.extend(unknown);
            Ok(decoded.value)
        }
        _ => Ok(decoded.value),
    }
}

/// 422 of a patch whose outcome is no object of its kind. The real server shows the
/// patched object; a Secret is not shown here.
fn unpatchable(shown: &str, why: &str) -> Failure {
    let is_secret = shown.contains("\"kind\":\"Secret\"");
    let shown = if is_secret { "" } else { shown };
    let fault = Fault::invalid("patch", &shown.into(), why);
    let mut failure = Failure::invalid(Subject::default(), &[fault]);
    if let Some(Value::Object(details)) = &mut failure.details {
        details.retain(|name, _| name == "causes");
    }
    failure
}

/// The object is where the URL says.
fn check_namespace(ask: &Ask<'_>, value: &mut Value) -> Result<(), Failure> {
    let given = object::namespace(value).to_owned();
    let wanted = ask.namespace();
    if !given.is_empty() && given != wanted {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    object::set_namespace(value, wanted);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_yaml_is_refused_without_its_lines() {
        let refusal =
            parse_yaml(b"kind: Secret\nstringData:\n  password: canary\n  other: [\n").expect_err("it is broken");
        assert!(refusal.message.starts_with("error decoding YAML: "), "{}", refusal.message);
        assert!(!refusal.message.contains("canary"), "{}", refusal.message);
    }
}
