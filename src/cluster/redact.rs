//! Keeps the values of Secrets out of what the API server says about them.
//!
//! A validation error may repeat the offending value, in plain text or in the
//! base64 it travels in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

const MASK: &str = "++++++++";

/// Values shorter than this, in bytes, are masked only where the server quotes
/// an invalid value: replacing every `a` in a message would hide the message.
const SHORTEST: usize = 4;

/// Whether messages about this object need masking.
pub(crate) fn is_sensitive(object: &Value) -> bool {
    object.get("kind").and_then(Value::as_str) == Some("Secret")
        && object.get("apiVersion").and_then(Value::as_str) == Some("v1")
}

/// The server's message with every value of the Secret masked.
pub(crate) fn mask(message: &str, secret: &Value) -> String {
    let mut values = Vec::new();
    for field in ["data", "stringData"] {
        collect(secret.get(field), &mut values);
    }
    // kubectl's record repeats the whole manifest, also of an earlier apply.
    if let Some(record) = argosy_model::object::annotation(secret, argosy_model::names::ANNOTATION_LAST_APPLIED)
        && let Ok(applied) = serde_json::from_str::<Value>(record)
    {
        collect(applied.get("data"), &mut values);
        collect(applied.get("stringData"), &mut values);
    }
    // Longest first: a value may contain another.
    values.sort_by_key(|v| std::cmp::Reverse(v.len()));
    let mut masked = message.to_owned();
    for value in values.iter().filter(|v| v.len() >= SHORTEST) {
        masked = masked.replace(value.as_str(), MASK);
    }
    mask_quoted(&masked)
}

fn collect(map: Option<&Value>, values: &mut Vec<String>) {
    for value in map.and_then(Value::as_object).into_iter().flat_map(|m| m.values()) {
        match value {
            Value::String(text) => {
                if let Some(decoded) = STANDARD.decode(text).ok().and_then(|b| String::from_utf8(b).ok()) {
                    values.push(decoded);
                }
                values.push(STANDARD.encode(text));
                values.push(text.clone());
            }
            other => values.push(other.to_string()),
        }
    }
}

/// Masks what stands behind `Invalid value:` up to the colon that ends it, and
/// what decoders quote.
fn mask_quoted(message: &str) -> String {
    const MARK: &str = "Invalid value: ";
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find(MARK) {
        let value = at + MARK.len();
        out.push_str(&rest[..value]);
        out.push_str(MASK);
        rest = &rest[value..];
        rest = match rest.strip_prefix('"') {
            Some(quoted) => &quoted[end_of_quote(quoted)..],
            None => &rest[rest.find(": ").unwrap_or(rest.len())..],
        };
    }
    out.push_str(rest);
    out
}

fn end_of_quote(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_a_secret_are_masked_in_any_dress() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret",
            "data": {"a": "Y2FuYXJ5LW9uZQ=="}, "stringData": {"b": "canary-two", "c": 12345}});
        let said = r#"bad "canary-one", Y2FuYXJ5LW9uZQ==, canary-two, Y2FuYXJ5LXR3bw==, 12345; data: Invalid value: "x\"y": no"#;
        let masked = mask(said, &secret);
        for canary in ["canary", "Y2Fu", "12345", "x\\\"y"] {
            assert!(!masked.contains(canary), "{masked}");
        }
        assert!(masked.ends_with(": no"), "{masked}");
    }
}
