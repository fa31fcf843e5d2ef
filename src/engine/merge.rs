//! Merging desired state into live state, three ways: what was applied last,
//! what is wanted now, and what is there.
//!
//! One generator serves both uses. As a patch to send ([`three_way_patch`]) the
//! target is taken word for word, so that the API server sees, and may refuse,
//! everything the user wrote. As a comparison (`Fidelity::AsStored`) it is read
//! as the API server would store it: nulls and undeclared fields are gone, empty
//! optional values are no values, `1000m` is `1`. In both a list element that is
//! matched by its keys keeps the live fields nobody asked to change, so defaults
//! are never drift.
//!
//! Kinds whose PATCH takes them get strategic merge patches in kubectl's
//! dialect; custom resources, and everything while no schema is known, get JSON
//! merge patches.

mod apply;
mod compare;
mod generate;
mod lists;
pub mod ownership;
pub mod structured;

use argosy_model::{names, object};
use serde_json::{Map, Value};

use crate::schema::{FieldType, TypeRef};

pub use apply::{apply_json_merge, apply_strategic, two_way_json_merge};
pub(crate) use compare::{same, stored_as_nothing};
pub(crate) use generate::{Fidelity, Generator};

/// Annotation in which client-side apply keeps what it applied.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Which content type a patch has to be sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// `application/strategic-merge-patch+json`.
    Strategic,
    /// `application/merge-patch+json`.
    JsonMerge,
}

/// A patch and how to send it.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// The content type.
    pub kind: PatchKind,
    /// A JSON object; empty when there is nothing to change.
    pub body: Value,
}

/// Why no patch can be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MergeError {
    /// The desired object is not a JSON object.
    #[error("the desired object is not a JSON object")]
    TargetNotAnObject,
    /// The live object is not a JSON object.
    #[error("the live object is not a JSON object")]
    LiveNotAnObject,
}

// === impl PatchKind ===

impl PatchKind {
    /// What a kind of this type takes.
    pub fn of(schema: Option<TypeRef<'_>>) -> Self {
        if schema.is_some_and(TypeRef::is_strategic) { Self::Strategic } else { Self::JsonMerge }
    }

    /// The `Content-Type` header.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::JsonMerge => "application/merge-patch+json",
        }
    }
}

// === impl Patch ===

impl Patch {
    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.body.as_object().is_none_or(Map::is_empty)
    }

    /// What the object becomes.
    pub fn apply(&self, live: &Value, schema: Option<TypeRef<'_>>) -> Value {
        match self.kind {
            PatchKind::Strategic => apply_strategic(live, &self.body, schema),
            PatchKind::JsonMerge => apply_json_merge(live, &self.body),
        }
    }
}

/// The patch that makes `live` what `target` says, removing what `last_applied`
/// had and `target` has not, and leaving alone what neither names. Pass the
/// target through [`with_last_applied`] first when applying client-side.
///
/// # Errors
/// [`MergeError`] when either side is not a JSON object.
pub fn three_way_patch(
    last_applied: Option<&Value>,
    target: &Value,
    live: &Value,
    schema: Option<TypeRef<'_>>,
) -> Result<Patch, MergeError> {
    if !target.is_object() {
        return Err(MergeError::TargetNotAnObject);
    }
    if !live.is_object() {
        return Err(MergeError::LiveNotAnObject);
    }
    // Live Secrets have no stringData: left as it is, it would be sent each time
    // and never be pruned.
    let target = fold_string_data(target);
    let last_applied = last_applied.map(fold_string_data);
    let generator = Generator::new(Fidelity::Verbatim, schema);
    let changes = generator.changes(last_applied.as_deref(), &target, live, schema);
    Ok(Patch { kind: PatchKind::of(schema), body: Value::Object(changes) })
}

/// What was applied last, as the live object remembers it; `None` when it does
/// not, or when what it remembers is no object.
pub fn last_applied(live: &Value) -> Option<Value> {
    let text = object::annotation(live, LAST_APPLIED)?;
    serde_json::from_str(text).ok().filter(Value::is_object)
}

/// The target with its own text in the annotation of client-side apply, byte for
/// byte as kubectl writes it: sorted keys, `annotations` always present and
/// without that annotation, `<`, `>` and `&` escaped, a newline at the end.
pub fn with_last_applied(target: &Value) -> Value {
    let mut applied = target.clone();
    if let Some(metadata) = object::metadata(&mut applied) {
        match metadata.entry("annotations").or_insert(Value::Null) {
            Value::Object(annotations) => {
                annotations.remove(LAST_APPLIED);
            }
            other => *other = Value::Object(Map::new()),
        }
    }
    let text = go_json(&applied);
    object::set_annotation(&mut applied, LAST_APPLIED, &text);
    applied
}

/// As Go's encoder writes it, with its newline.
fn go_json(value: &Value) -> String {
    let plain = go_numbers(value).to_string();
    let mut text = String::with_capacity(plain.len() + 1);
    for c in plain.chars() {
        match c {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            c => text.push(c),
        }
    }
    text.push('\n');
    text
}

/// Go writes whole floating-point numbers without a fraction.
fn go_numbers(value: &Value) -> std::borrow::Cow<'_, Value> {
    fn has_whole_float(value: &Value) -> bool {
        match value {
            Value::Number(n) => whole(n).is_some(),
            Value::Array(items) => items.iter().any(has_whole_float),
            Value::Object(map) => map.values().any(has_whole_float),
            _ => false,
        }
    }
    fn whole(n: &serde_json::Number) -> Option<i64> {
        /// Up to here a float holds every whole number.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let float = n.as_f64().filter(|f| n.is_f64() && f.fract() == 0.0 && f.abs() <= EXACT)?;
        format!("{float:.0}").parse().ok()
    }
    fn rewrite(value: &mut Value) {
        match value {
            Value::Number(n) => {
                if let Some(whole) = whole(n) {
                    *value = whole.into();
                }
            }
            Value::Array(items) => items.iter_mut().for_each(rewrite),
            Value::Object(map) => map.values_mut().for_each(rewrite),
            _ => {}
        }
    }
    if !has_whole_float(value) {
        return std::borrow::Cow::Borrowed(value);
    }
    let mut owned = value.clone();
    rewrite(&mut owned);
    std::borrow::Cow::Owned(owned)
}

/// A Secret as the API server stores it: `stringData` encoded into `data`, which
/// it overrides, and nulls there as empty values. Other objects are returned as
/// they are.
pub fn fold_string_data(secret: &Value) -> std::borrow::Cow<'_, Value> {
    use base64::Engine as _;
    use std::borrow::Cow;
    let is_secret = secret.get("kind").and_then(Value::as_str) == Some("Secret")
        && secret.get("apiVersion").and_then(Value::as_str) == Some("v1");
    let has_nulls = || secret.get("data").and_then(Value::as_object).is_some_and(|d| d.values().any(Value::is_null));
    if !is_secret || (secret.get("stringData").is_none() && !has_nulls()) {
        return Cow::Borrowed(secret);
    }
    let mut folded = secret.clone();
    let Some(fields) = folded.as_object_mut() else { return Cow::Borrowed(secret) };
    let plain = fields.remove("stringData");
    let data = fields.entry("data").or_insert(Value::Null);
    if data.is_null() {
        *data = Value::Object(Map::new());
    }
    if let Some(data) = data.as_object_mut() {
        for (key, text) in plain.as_ref().and_then(Value::as_object).into_iter().flatten() {
            let bytes = match text {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            data.insert(key.clone(), base64::engine::general_purpose::STANDARD.encode(bytes).into());
        }
        for value in data.values_mut().filter(|v| v.is_null()) {
            *value = Value::String(String::new());
        }
    }
    Cow::Owned(folded)
}

/// The type below a field, and whether the API server drops that field.
pub(crate) fn child<'a>(ty: Option<TypeRef<'a>>, field: &str) -> (Option<TypeRef<'a>>, bool) {
    match ty.map(|t| t.field(field)) {
        Some(FieldType::Declared(t)) => (Some(t), false),
        Some(FieldType::Undeclared) => (None, true),
        Some(FieldType::Free) | None => (None, false),
    }
}

/// Whether a field of `metadata` is the API server's alone.
pub(crate) fn is_volatile(field: &str) -> bool {
    matches!(
        field,
        "creationTimestamp"
            | "managedFields"
            | "resourceVersion"
            | "uid"
            | "generation"
            | "selfLink"
            | "deletionTimestamp"
            | "deletionGracePeriodSeconds"
    )
}

/// The manager whose fields server-side modes look at.
pub const MANAGER: &str = names::FIELD_MANAGER;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_applied_annotation_is_what_kubectl_writes() {
        let target = json!({
            "kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"},
            "data": {"k": "<a & b>"}, "n": 2.0, "f": 0.5
        });
        let applied = with_last_applied(&target);
        assert_eq!(
            object::annotation(&applied, LAST_APPLIED),
            Some(concat!(
                r#"{"apiVersion":"v1","data":{"k":"\u003ca \u0026 b\u003e"},"f":0.5,"kind":"ConfigMap","#,
                r#""metadata":{"annotations":{},"name":"a"},"n":2}"#,
                "\n"
            ))
        );
        assert_eq!(with_last_applied(&applied), applied, "the annotation does not nest");
    }

    #[test]
    fn string_data_is_folded_and_wins() {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "data": {"a": "b2xk", "n": null}, "stringData": {"a": "new", "b": "x"}
        });
        assert_eq!(
            *fold_string_data(&secret),
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "bmV3", "b": "eA==", "n": ""}})
        );
    }

    #[test]
    fn maps_stay_sorted() {
        // Text and hashes rely on it; a feature of some other crate could undo it.
        assert_eq!(json!({"b": 1, "a": 2}).to_string(), r#"{"a":2,"b":1}"#);
    }
}
