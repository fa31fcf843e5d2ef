//! A number that stays the same while nothing that matters changes: live updates
//! that do not change it are not worth a comparison.

use std::hash::{DefaultHasher, Hasher as _};

use serde_json::{Map, Value};

use crate::schema::Schemas;

use super::Normalizer;

/// Hash of a live object without `resourceVersion`, `generation`,
/// `managedFields` and what the rules ignore. Status counts unless a rule says
/// otherwise, so build `rules` with `IgnoreStatus::None`. Stable within one
/// process only.
pub fn content_hash(live: &Value, rules: &Normalizer) -> u64 {
    let prepared = rules.prepare(None, Some(live), &Schemas::default());
    let object = prepared.live.as_deref().unwrap_or(live);
    let mut hasher = DefaultHasher::new();
    match object {
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(key, _)| !(prepared.ignore_status && *key == "status")) {
                write_text(&mut hasher, key);
                match value {
                    Value::Object(metadata) if key == "metadata" => write_metadata(&mut hasher, metadata),
                    value => write(&mut hasher, value),
                }
            }
        }
        other => write(&mut hasher, other),
    }
    hasher.finish()
}

fn write_metadata(hasher: &mut DefaultHasher, metadata: &Map<String, Value>) {
    for (key, value) in metadata {
        if !matches!(key.as_str(), "resourceVersion" | "generation" | "managedFields") {
            write_text(hasher, key);
            write(hasher, value);
        }
    }
}

/// Every value begins with its type and, where it has one, its length, so that
/// no two values are written alike.
fn write(hasher: &mut DefaultHasher, value: &Value) {
    match value {
        Value::Null => hasher.write_u8(0),
        Value::Bool(b) => hasher.write_u8(1 + u8::from(*b)),
        Value::Number(n) => {
            hasher.write_u8(3);
            match (n.as_i64(), n.as_u64(), n.as_f64()) {
                (Some(i), _, _) => hasher.write_i64(i),
                (_, Some(u), _) => hasher.write_u64(u),
                (_, _, float) => hasher.write_u64(float.unwrap_or(f64::NAN).to_bits()),
            }
        }
        Value::String(s) => write_text(hasher, s),
        Value::Array(items) => {
            hasher.write_u8(5);
            hasher.write_usize(items.len());
            items.iter().for_each(|item| write(hasher, item));
        }
        Value::Object(map) => {
            hasher.write_u8(6);
            hasher.write_usize(map.len());
            for (key, value) in map {
                write_text(hasher, key);
                write(hasher, value);
            }
        }
    }
}

fn write_text(hasher: &mut DefaultHasher, text: &str) {
    hasher.write_u8(4);
    hasher.write_usize(text.len());
    hasher.write(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalize::{IgnoreRule, IgnoreStatus, NormalizerConfig};
    use serde_json::json;

    fn rules(pointers: &[&str]) -> Normalizer {
        let rule = IgnoreRule {
            group: "*".to_owned(),
            kind: "*".to_owned(),
            json_pointers: pointers.iter().map(|p| (*p).to_owned()).collect(),
            ..IgnoreRule::default()
        };
        let config =
            NormalizerConfig { rules: vec![rule], ignore_status: IgnoreStatus::None, ..NormalizerConfig::default() };
        Normalizer::compile(&config).0
    }

    #[test]
    fn bookkeeping_does_not_change_the_hash_and_content_does() {
        let object = json!({"kind": "A", "metadata": {"name": "a", "resourceVersion": "1", "generation": 1,
            "managedFields": []}, "status": {"n": 1}});
        let mut bumped = object.clone();
        bumped["metadata"]["resourceVersion"] = json!("2");
        bumped["metadata"]["generation"] = json!(2);
        bumped["metadata"]["managedFields"] = json!([{}]);
        let rules_none = rules(&[]);
        assert_eq!(content_hash(&object, &rules_none), content_hash(&bumped, &rules_none));
        bumped["status"]["n"] = json!(2);
        assert_ne!(content_hash(&object, &rules_none), content_hash(&bumped, &rules_none));
        for pointer in ["/status", "/status/n"] {
            let rules = rules(&[pointer]);
            assert_eq!(content_hash(&object, &rules), content_hash(&bumped, &rules), "{pointer}");
        }
    }
}
