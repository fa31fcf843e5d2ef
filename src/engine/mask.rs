//! Secrets on the way out: values are replaced so that a reader still sees which
//! ones differ and which are the same, and nothing else.

use std::collections::{BTreeSet, HashMap};

use argosy_model::object;
use serde_json::Value;

use crate::merge::{LAST_APPLIED, fold_string_data, last_applied};

/// Stands for a value; each further distinct value of the same key adds [`STEP`].
const MASK: &str = "++++++++";
const STEP: &str = "++++";
/// Values shorter than this are not searched for in texts: they would be found
/// in any text.
const SHORTEST_SECRET: usize = 4;

/// Whether an object is a core `Secret`.
pub fn is_secret(object: &Value) -> bool {
    object.get("kind").and_then(Value::as_str) == Some("Secret")
        && object.get("apiVersion").and_then(Value::as_str) == Some("v1")
}

/// Masks the values of Secrets: of `data`, of `stringData` (folded into `data`
/// first), of the annotations named, and all of these again inside the
/// annotation of client-side apply. Pass all states of one object together
/// (target, live, normalised, predicted): equal values of a key get equal masks
/// across them. Objects that are no Secrets are left alone.
pub fn mask_secrets(states: &mut [&mut Value], annotation_keys: &[String]) {
    if !states.iter().any(|s| is_secret(s)) {
        return;
    }
    // The remembered states are masked as states of their own, then put back.
    let mut remembered: Vec<Option<Value>> = Vec::with_capacity(states.len());
    for state in states.iter_mut().filter(|s| is_secret(s)) {
        **state = fold_string_data(state).into_owned();
        remembered.push(last_applied(state).map(|r| fold_string_data(&r).into_owned()));
    }
    let mut all: Vec<&mut Value> = states.iter_mut().filter(|s| is_secret(s)).map(|s| &mut **s).collect();
    all.extend(remembered.iter_mut().flatten());
    mask_field(&mut all, |s| s.get_mut("data"));
    mask_annotations(&mut all, annotation_keys);
    drop(all);
    for (state, remembered) in states.iter_mut().filter(|s| is_secret(s)).zip(remembered) {
        if object::annotation(state, LAST_APPLIED).is_some() {
            let text = remembered.map_or_else(|| MASK.to_owned(), |r| r.to_string());
            object::set_annotation(state, LAST_APPLIED, &text);
        }
    }
}

/// Takes the values of Secrets, plain and encoded, out of a text such as an
/// error of the API server. Values of fewer than 4 bytes stay.
pub fn scrub(text: &str, secrets: &[&Value]) -> String {
    use base64::Engine as _;
    let mut found: BTreeSet<String> = BTreeSet::new();
    for secret in secrets.iter().filter(|s| is_secret(s)) {
        let folded = fold_string_data(secret);
        for value in folded.get("data").and_then(Value::as_object).into_iter().flat_map(|d| d.values()) {
            let Some(encoded) = value.as_str() else { continue };
            let plain = base64::engine::general_purpose::STANDARD.decode(encoded).ok();
            if let Some(plain) = plain.and_then(|p| String::from_utf8(p).ok()) {
                // As it stands, and as it is quoted in messages and JSON.
                found.insert(Value::String(plain.clone()).to_string().trim_matches('"').to_owned());
                found.insert(plain);
            }
            found.insert(encoded.to_owned());
        }
    }
    // The longest first: one value may hold another.
    let mut values: Vec<String> = found.into_iter().filter(|v| v.len() >= SHORTEST_SECRET).collect();
    values.sort_by_key(|v| std::cmp::Reverse(v.len()));
    values.iter().fold(text.to_owned(), |text, value| text.replace(value, MASK))
}

fn mask_annotations(states: &mut [&mut Value], keys: &[String]) {
    for key in keys {
        let mut masks = Masks::default();
        for state in states.iter_mut() {
            if let Some(value) = state.pointer_mut("/metadata/annotations").and_then(|a| a.get_mut(key)) {
                *value = masks.of(value).into();
            }
        }
    }
}

fn mask_field(states: &mut [&mut Value], field: impl Fn(&mut Value) -> Option<&mut Value>) {
    let mut keys: BTreeSet<String> = BTreeSet::new();
    for state in states.iter_mut() {
        match field(state) {
            Some(Value::Object(data)) => keys.extend(data.keys().cloned()),
            Some(Value::Null) | None => {}
            // Not a map: nothing in it may be shown at all.
            Some(other) => *other = MASK.into(),
        }
    }
    for key in keys {
        let mut masks = Masks::default();
        for state in states.iter_mut() {
            if let Some(value) = field(state).and_then(|data| data.get_mut(&key)) {
                *value = masks.of(value).into();
            }
        }
    }
}

/// The masks given out for one key.
#[derive(Default)]
struct Masks {
    given: HashMap<String, String>,
}

// === impl Masks ===

impl Masks {
    fn of(&mut self, value: &Value) -> String {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let next = format!("{MASK}{}", STEP.repeat(self.given.len()));
        self.given.entry(text).or_insert(next).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn secret(data: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data})
    }

    #[test]
    fn equal_values_get_equal_masks_and_others_longer_ones() {
        let mut target = secret(json!({"same": "YQ==", "other": "YQ==", "new": "bg=="}));
        let mut live = secret(json!({"same": "YQ==", "other": "Yg=="}));
        mask_secrets(&mut [&mut target, &mut live], &[]);
        assert_eq!(target["data"], json!({"same": "++++++++", "other": "++++++++", "new": "++++++++"}));
        assert_eq!(live["data"], json!({"same": "++++++++", "other": "++++++++++++"}));
    }

    #[test]
    fn no_value_is_left_anywhere() {
        let canary = "Y2FuYXJ5LXZhbHVl";
        let mut target = secret(json!({"k": canary}));
        target["stringData"] = json!({"plain": "canary-value"});
        target["metadata"]["annotations"] = json!({"token": "canary-value"});
        let mut live = target.clone();
        object::set_annotation(&mut live, LAST_APPLIED, &target.to_string());
        let mut broken = secret(json!("canary-value"));
        object::set_annotation(&mut broken, LAST_APPLIED, "{canary-value");
        mask_secrets(&mut [&mut target, &mut live, &mut broken], &["token".to_owned()]);
        let text = format!("{target}{live}{broken}");
        assert!(!text.contains("canary") && !text.contains(canary), "{text}");
    }

    #[test]
    fn other_kinds_are_left_alone() {
        let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}});
        mask_secrets(&mut [&mut map], &["a".to_owned()]);
        assert_eq!(map["data"]["a"], "b");
    }

    #[test]
    fn errors_are_scrubbed_of_values_plain_and_encoded() {
        let secret = secret(json!({"k": "Y2FuYXJ5LXZhbHVl", "short": "YQ==", "lines": "b25lCnR3bwo="}));
        let text = scrub("bad canary-value, also Y2FuYXJ5LXZhbHVl, in \"one\\ntwo\\n\"", &[&secret]);
        assert_eq!(text, "bad ++++++++, also ++++++++, in \"++++++++\"");
    }
}
