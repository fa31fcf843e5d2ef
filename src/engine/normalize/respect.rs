//! Leaving ignored fields to the cluster in a sync: the target without them, and
//! with the values they have live.

use argosy_model::object;
use serde_json::{Map, Value};

use super::Normalizer;
use crate::schema::Schemas;

// === impl Normalizer ===

impl Normalizer {
    /// The target as it is to be applied so that no field which the rules ignore
    /// is changed: what they remove from the target is left out, and what they
    /// remove from the live object is taken over from there. Items of lists are
    /// told by their names.
    pub fn respect_ignored(&self, target: &Value, live: &Value, schemas: &Schemas) -> Value {
        let normalized = self.prepare(Some(target), Some(live), schemas);
        let (Some(wanted), Some(left)) = (normalized.target, normalized.live) else { return target.clone() };
        let mut out = wanted.into_owned();
        take_over(&mut out, &left, live);
        if let Some(metadata) = out.get_mut("metadata").and_then(Value::as_object_mut) {
            // The API server's own, even where a rule names it.
            metadata.retain(|field, _| {
                !crate::merge::is_volatile(field) || object::get(target, &["metadata", field]).is_some()
            });
        }
        out
    }
}

/// Puts into `out` what `live` has and `left`, the same without what is ignored,
/// has not.
fn take_over(out: &mut Value, left: &Value, live: &Value) {
    match (out, left, live) {
        (Value::Object(out), Value::Object(left), Value::Object(live)) => maps(out, left, live),
        (Value::Array(out), Value::Array(left), Value::Array(live)) => lists(out, left, live),
        _ => {}
    }
}

fn maps(out: &mut Map<String, Value>, left: &Map<String, Value>, live: &Map<String, Value>) {
    for (field, value) in live {
        match left.get(field) {
            None => {
                out.insert(field.clone(), value.clone());
            }
            Some(rest) if rest == value => {}
            Some(rest) => match (out.get_mut(field), value) {
                (Some(below), _) => take_over(below, rest, value),
                (None, Value::Object(_)) => {
                    let mut below = Value::Object(Map::new());
                    take_over(&mut below, rest, value);
                    out.insert(field.clone(), below);
                }
                // Without the list there is no place for a part of an item.
                (None, _) => {}
            },
        }
    }
}

fn lists(out: &mut Vec<Value>, left: &[Value], live: &[Value]) {
    let same_length = left.len() == live.len();
    let mut rest = left.iter();
    let mut next = rest.next();
    for (index, item) in live.iter().enumerate() {
        match next {
            // A part of the item is ignored, or nothing of it.
            Some(remains) if same_length || remains == item || is_named_alike(remains, item) => {
                next = rest.next();
                if remains != item
                    && let Some(own) = partner(out, item, index)
                {
                    take_over(own, remains, item);
                }
            }
            // The whole item is ignored.
            _ => match partner(out, item, index).filter(|own| is_named_alike(own, item)) {
                Some(own) => *own = item.clone(),
                None => out.insert(index.min(out.len()), item.clone()),
            },
        }
    }
}

/// The item of the same name, or else in the same place.
fn partner<'a>(out: &'a mut [Value], item: &Value, index: usize) -> Option<&'a mut Value> {
    if name(item).is_none() {
        return out.get_mut(index).filter(|own| name(own).is_none());
    }
    out.iter_mut().find(|own| is_named_alike(own, item))
}

fn is_named_alike(a: &Value, b: &Value) -> bool {
    name(a).is_some() && name(a) == name(b)
}

fn name(item: &Value) -> Option<&str> {
    item.get("name")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalize::{IgnoreRule, NormalizerConfig};
    use serde_json::json;

    fn respect(rule: IgnoreRule, target: &Value, live: &Value) -> Value {
        let config = NormalizerConfig { rules: vec![rule], ..NormalizerConfig::default() };
        let (normalizer, errors) = Normalizer::compile(&config);
        assert!(errors.is_empty(), "{errors:?}");
        normalizer.respect_ignored(target, live, &Schemas::default())
    }

    fn rule(pointers: &[&str], expressions: &[&str]) -> IgnoreRule {
        let words = |list: &[&str]| list.iter().map(|w| (*w).to_owned()).collect();
        IgnoreRule {
            group: "*".to_owned(),
            kind: "*".to_owned(),
            json_pointers: words(pointers),
            jq_path_expressions: words(expressions),
            ..IgnoreRule::default()
        }
    }

    #[test]
    fn an_ignored_field_keeps_its_live_value_and_others_follow_the_target() {
        let target = json!({"kind": "D", "spec": {"replicas": 1, "paused": true}});
        let live = json!({"kind": "D", "metadata": {"uid": "1"}, "spec": {"replicas": 3, "paused": false}});
        let out = respect(rule(&["/spec/replicas"], &[]), &target, &live);
        assert_eq!(out, json!({"kind": "D", "spec": {"replicas": 3, "paused": true}}));
        let out = respect(rule(&["/spec/replicas"], &[]), &target, &json!({"kind": "D", "spec": {}}));
        assert_eq!(out, json!({"kind": "D", "spec": {"paused": true}}), "what is absent live stays so");
    }

    #[test]
    fn a_part_of_a_list_item_is_found_by_the_items_name() {
        let target = json!({"spec": {"c": [{"name": "b", "image": "2"}, {"name": "a", "image": "2"}, {"name": "n"}]}});
        let live = json!({"spec": {"c": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}});
        let out = respect(rule(&[], &[r#".spec.c[] | select(.name == "a") | .image"#]), &target, &live);
        let kept = json!([{"name": "b", "image": "2"}, {"name": "a", "image": "1"}, {"name": "n"}]);
        assert_eq!(out["spec"]["c"], kept);
    }

    #[test]
    fn a_whole_list_item_that_is_ignored_stays() {
        let target = json!({"spec": {"c": [{"name": "a", "image": "2"}]}});
        let live = json!({"spec": {"c": [{"name": "a", "image": "1"}, {"name": "injected", "image": "1"}]}});
        let out = respect(rule(&[], &[r#".spec.c[] | select(.name == "injected")"#]), &target, &live);
        assert_eq!(out["spec"]["c"], json!([{"name": "a", "image": "2"}, {"name": "injected", "image": "1"}]));
    }
}
