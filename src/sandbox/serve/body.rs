//! Bodies of requests: from bytes to an object of the request's kind.

use argosy_model::object;
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::api::Ask;
use super::order;
use super::query::{FieldValidation, options_kind};
use crate::failure::{Failure, Fault, Subject};
use crate::kinds::{Kinds, json_error, json_type, read_protobuf};

const TYPE_META: &str =
    r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

/// Reads a body as an object of the request's kind.
pub(super) fn read_object(ask: &Ask<'_>, body: &Bytes) -> Result<Value, Failure> {
    let mut value = match ask.content_type {
        "" | "application/json" => parse_json(&ask.kind.kind, body)?,
        "application/yaml" => parse_yaml_object(&ask.kind.kind, body)?,
        "application/apply-patch+yaml" => parse_yaml(body)?,
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
    if version.matches('/').count() > 1 {
        let why = format!("unexpected GroupVersion string: {version}");
        return Err(unrecognized(&ask.kind.kind, &why, body));
    }
    let is_other = version != wanted.0 || (kind != wanted.1 && !kind.is_empty());
    if ask.kind.custom.is_none() && !version.is_empty() && is_other && !is_registered(&version, &kind) {
        let (group, short) = version.split_once('/').unwrap_or(("", &version));
        let short = if group.is_empty() { version.as_str() } else { short };
        let kind = if kind.is_empty() { &wanted.1 } else { &kind };
        return Err(Failure::bad_request(format!(
            "{kind} in version \"{short}\" cannot be handled as a {}: no kind \"{kind}\" is registered for version \
             \"{version}\" in scheme \"pkg/runtime/scheme.go:111\"",
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
    let is_wrong = !version.is_empty() || ask.kind.custom.is_some();
    if is_wrong && version != wanted.0 {
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

/// Whether Kubernetes knows a kind in a version, or did: of its own groups every
/// version but those of core was served once.
fn is_registered(version: &str, kind: &str) -> bool {
    let (group, short) = version.split_once('/').unwrap_or(("", version));
    let kinds = Kinds::new();
    let groups = kinds.groups();
    let Some(group) = groups.iter().find(|known| known.name == group) else { return false };
    match group.versions.iter().find(|known| known.name == short) {
        Some(known) => kind.is_empty() || known.kinds.iter().any(|known| known.kind == kind),
        None => !group.name.is_empty() && (short.contains("beta") || short.contains("alpha")),
    }
}

/// Reads JSON as an object of a kind.
pub(super) fn parse_json(kind: &str, body: &Bytes) -> Result<Value, Failure> {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => typed(kind, value, body),
        Err(error) => {
            let why = json_error(body).unwrap_or_else(|| error.to_string());
            Err(unrecognized(kind, &format!("couldn't get version/kind; json parse error: {why}"), body))
        }
    }
}

fn parse_yaml_object(kind: &str, body: &Bytes) -> Result<Value, Failure> {
    typed(kind, yaml_value(body)?, body)
}

/// What says its version and kind as texts, if at all.
fn typed(kind: &str, value: Value, body: &[u8]) -> Result<Value, Failure> {
    let refuse = |why: String| {
        let why = format!("couldn't get version/kind; json parse error: json: cannot unmarshal {why}");
        Err(unrecognized(kind, &why, body))
    };
    let fields = match &value {
        Value::Object(fields) => fields,
        Value::Null => return Ok(Value::Object(serde_json::Map::new())),
        other => return refuse(format!("{} into Go value of type {TYPE_META}", json_type(other))),
    };
    for field in ["apiVersion", "kind"] {
        if let Some(given) = fields.get(field).filter(|given| !given.is_string() && !given.is_null()) {
            return refuse(format!("{} into Go struct field .{field} of type string", json_type(given)));
        }
    }
    Ok(value)
}

fn unrecognized(kind: &str, why: &str, body: &[u8]) -> Failure {
    Failure::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {why} ({})",
        shown_bytes(body)
    ))
}

/// The start of a body: as text where it looks like JSON, else in hexadecimal.
fn shown_bytes(body: &[u8]) -> String {
    if body.is_empty() {
        return "<empty>".to_owned();
    }
    if body.first() == Some(&b'{') {
        let text = String::from_utf8_lossy(body);
        let shown: String = text.chars().take(30).collect();
        return if text.chars().count() > 30 { format!("{shown} ...") } else { shown };
    }
    let shown: String = body.iter().take(20).map(|b| format!("{b:02x}")).collect();
    if body.len() > 20 { format!("{shown} ...") } else { shown }
}

/// Reads YAML that has to be an object.
pub(super) fn parse_yaml(body: &[u8]) -> Result<Value, Failure> {
    match yaml_value(body)? {
        value @ Value::Object(_) => Ok(value),
        Value::Null => Ok(Value::Object(serde_json::Map::new())),
        other => Err(Failure::bad_request(format!(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go \
             value of type map[string]interface {{}}",
            json_type(&other)
        ))),
    }
}

fn yaml_value(body: &[u8]) -> Result<Value, Failure> {
    let is_json = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    if is_json && let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let text = std::str::from_utf8(body).map_err(|_| Failure::bad_request("error decoding YAML: invalid UTF-8"))?;
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_saphyr::from_str::<Value>(text).map_err(|error| {
        // The lines around the place may hold a secret.
        Failure::bad_request(format!("error decoding YAML: {}", error.without_snippet()))
    })
}

/// Reads an object's fields, and deals with those nobody knows.
/// `sent` is the body where it holds the whole object as JSON: faults are told in its order.
pub(super) fn decode(
    ask: &Ask<'_>,
    value: Value,
    sent: Option<&Bytes>,
    warnings: &mut Vec<String>,
) -> Result<Value, Failure> {
    let (kind, version) = (&ask.kind.kind, &ask.kind.version);
    let is_patch = ask.attributes.verb == "patch";
    let shown = if is_patch { value.to_string() } else { String::new() };
    let decoded = ask.kind.decode(value).map_err(|error| {
        if is_patch {
            return unpatchable(&shown, &error.to_string());
        }
        Failure::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {error}"))
    })?;
    let unknown = match sent {
        Some(body) if ask.kind.custom.is_none() => order::strict_faults(body, &decoded.unknown),
        _ if ask.kind.custom.is_some() => {
            let mut fields: Vec<&String> = decoded.unknown.iter().collect();
            fields.sort();
            fields.into_iter().map(|field| format!("unknown field \"{field}\"")).collect()
        }
        _ => decoded.unknown.iter().map(|field| format!("unknown field \"{field}\"")).collect(),
    };
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
pub(super) fn unpatchable(shown: &str, why: &str) -> Failure {
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
pub(super) fn check_namespace(ask: &Ask<'_>, value: &mut Value) -> Result<(), Failure> {
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
