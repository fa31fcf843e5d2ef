//! ConfigMaps and Secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use crate::failure::Fault;

/// What a Secret of a type cannot do without.
const NEEDED: [(&str, &[&str]); 5] = [
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
    ("bootstrap.kubernetes.io/token", &[]),
];

/// A Secret's data is at most this many bytes, and so is a ConfigMap's.
const MOST_BYTES: usize = 1 << 20;

pub(super) fn config_map(value: &Value, faults: &mut Vec<Fault>) {
    let part = |name: &str| value.get(name).and_then(Value::as_object);
    let mut size = 0;
    for (key, text) in part("data").into_iter().flatten() {
        config_key("data", key, faults);
        if part("binaryData").is_some_and(|binary| binary.contains_key(key)) {
            let detail = "duplicate of key present in binaryData";
            faults.push(Fault::invalid(format!("data[{key}]"), &key.as_str().into(), detail));
        }
        size += text.as_str().map_or(0, str::len);
    }
    for (key, text) in part("binaryData").into_iter().flatten() {
        config_key("binaryData", key, faults);
        size += decoded(text).map_or(0, |bytes| bytes.len());
    }
    if size > MOST_BYTES {
        too_long("", faults);
    }
}

pub(super) fn secret(value: &Value, faults: &mut Vec<Fault>) {
    let none = Map::new();
    let data = value.get("data").and_then(Value::as_object).unwrap_or(&none);
    let mut size = 0;
    for (key, text) in data {
        config_key("data", key, faults);
        size += decoded(text).map_or(0, |bytes| bytes.len());
    }
    if size > MOST_BYTES {
        too_long("data", faults);
    }
    let kind = value.get("type").and_then(Value::as_str).unwrap_or("");
    if kind == "kubernetes.io/basic-auth" && !data.contains_key("username") && !data.contains_key("password") {
        for key in ["username", "password"] {
            faults.push(Fault::required(format!("data[{key}]"), ""));
        }
    }
    let account = "kubernetes.io/service-account.name";
    if kind == "kubernetes.io/service-account-token"
        && argosy_model::object::annotation(value, account).unwrap_or_default().is_empty()
    {
        faults.push(Fault::required(format!("metadata.annotations[{account}]"), ""));
    }
    for (_, keys) in NEEDED.iter().filter(|(needing, _)| *needing == kind) {
        for key in *keys {
            match data.get(*key).and_then(decoded) {
                None => faults.push(Fault::required(format!("data[{key}]"), "")),
                Some(bytes) if kind.starts_with("kubernetes.io/docker") => {
                    if let Err(why) = serde_json::from_slice::<Value>(&bytes) {
                        let why = crate::kinds::json_error(&bytes).unwrap_or_else(|| why.to_string());
                        let shown = json!("<secret contents redacted>");
                        faults.push(Fault::invalid(format!("data[{key}]"), &shown, &why));
                    }
                }
                Some(_) => {}
            }
        }
    }
}

fn decoded(text: &Value) -> Option<Vec<u8>> {
    BASE64.decode(text.as_str()?).ok()
}

fn too_long(field: &str, faults: &mut Vec<Fault>) {
    let message = format!("Too long: may not be more than {MOST_BYTES} bytes");
    faults.push(Fault { reason: "FieldValueTooLong", field: field.to_owned(), message });
}

fn config_key(field: &str, key: &str, faults: &mut Vec<Fault>) {
    let place = format!("{field}[{key}]");
    let mut refuse = |detail: &str| faults.push(Fault::invalid(place.clone(), &key.into(), detail));
    if key.len() > 253 {
        refuse("must be no more than 253 characters");
    }
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        refuse(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        );
    }
    match key {
        "." => refuse("must not be '.'"),
        ".." => refuse("must not be '..'"),
        key if key.starts_with("..") => refuse("must not start with '..'"),
        _ => {}
    }
}
