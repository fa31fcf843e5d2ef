//! What to write to an Application: only what says something new.

use argosy_model::names;
use argosy_proto::meta::ObjectMeta;
use argosy_proto::resource::merge_patch;
use argosy_proto::v1alpha1::Application;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The JSON merge patch that turns `old` into `new`, as far as a controller may:
/// annotations, finalizers, `status` and `operation`. `None` when it would say
/// nothing.
///
/// The refresh annotation stays out of the annotations' comparison unless `new`
/// has dropped it: a request that arrived meanwhile is not undone.
pub fn status_patch(old: &Application, new: &Application) -> Option<Value> {
    let mut patch = Map::new();
    let mut metadata = Map::new();
    let (before, after) = (meta(old), meta(new));
    if before.annotations != after.annotations {
        let changes: Map<String, Value> = annotations(before, after).collect();
        if !changes.is_empty() {
            metadata.insert("annotations".to_owned(), Value::Object(changes));
        }
    }
    if before.finalizers != after.finalizers {
        metadata.insert("finalizers".to_owned(), json!(after.finalizers));
    }
    if !metadata.is_empty() {
        patch.insert("metadata".to_owned(), Value::Object(metadata));
    }
    add(&mut patch, "status", old.status.as_ref(), new.status.as_ref());
    add(&mut patch, "operation", old.operation.as_ref(), new.operation.as_ref());
    (!patch.is_empty()).then_some(Value::Object(patch))
}

static NO_METADATA: std::sync::LazyLock<ObjectMeta> = std::sync::LazyLock::new(ObjectMeta::default);

fn meta(app: &Application) -> &ObjectMeta {
    app.metadata.as_ref().unwrap_or(&NO_METADATA)
}

fn annotations(before: &ObjectMeta, after: &ObjectMeta) -> impl Iterator<Item = (String, Value)> {
    let (old, new) = (&before.annotations, &after.annotations);
    let set = new
        .iter()
        .filter(|(key, value)| *key != names::ANNOTATION_REFRESH && old.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), Value::String(value.clone())));
    let removed = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    set.chain(removed)
}

fn add<T: PartialEq + Serialize>(patch: &mut Map<String, Value>, field: &str, old: Option<&T>, new: Option<&T>) {
    if old == new {
        return;
    }
    // A value without a JSON form cannot be written; only raw JSON that is not
    // JSON is one, and what was read from the API is.
    let json = |value: Option<&T>| value.map_or(Some(Value::Null), |v| serde_json::to_value(v).ok());
    let (Some(before), Some(after)) = (json(old), json(new)) else {
        tracing::error!(field, "holds raw JSON that is not JSON; not written");
        return;
    };
    if let Some(change) = merge_patch(&before, &after) {
        patch.insert(field.to_owned(), change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(value: Value) -> Application {
        serde_json::from_value(value).expect("an application")
    }

    #[test]
    fn nothing_new_is_no_patch() {
        let old = app(
            json!({"metadata": {"name": "a", "annotations": {"x": "1"}}, "status": {"sync": {"status": "Synced"}}}),
        );
        assert_eq!(status_patch(&old, &old.clone()), None);
    }

    #[test]
    fn a_spec_that_differs_is_not_written() {
        let old = app(json!({"spec": {"project": "a"}}));
        let new = app(json!({"spec": {"project": "b"}}));
        assert_eq!(status_patch(&old, &new), None);
    }

    #[test]
    fn only_what_changed_is_in_the_patch() {
        let old = app(json!({"metadata": {"annotations": {"keep": "1", "drop": "2"}},
            "status": {"sync": {"status": "Synced", "revision": "abc"}, "health": {"status": "Healthy"}}}));
        let new = app(json!({"metadata": {"annotations": {"keep": "1", "add": "3"}, "finalizers": ["f"]},
            "status": {"sync": {"status": "OutOfSync", "revision": "abc"}, "health": {"status": "Healthy"}}}));
        assert_eq!(
            status_patch(&old, &new),
            Some(json!({"metadata": {"annotations": {"add": "3", "drop": null}, "finalizers": ["f"]},
                "status": {"sync": {"status": "OutOfSync"}}}))
        );
    }

    #[test]
    fn a_served_refresh_is_removed_and_a_new_one_is_not_invented() {
        let with = app(json!({"metadata": {"annotations": {names::ANNOTATION_REFRESH: "normal"}}}));
        let without = app(json!({"metadata": {"name": "a"}}));
        let removal = json!({"metadata": {"annotations": {names::ANNOTATION_REFRESH: null}}});
        assert_eq!(status_patch(&with, &without), Some(removal));
        assert_eq!(status_patch(&without, &with), None);
    }

    #[test]
    fn a_finished_operation_is_removed() {
        let old = app(json!({"operation": {"sync": {"revision": "x"}}}));
        let new = app(
            json!({"status": {"operationState": {"operation": {}, "phase": "Succeeded", "startedAt": "2026-01-01T00:00:00Z"}}}),
        );
        let patch = status_patch(&old, &new).expect("a patch");
        assert_eq!(patch["operation"], Value::Null);
        assert!(patch.as_object().is_some_and(|p| p.contains_key("operation")));
        assert_eq!(patch["status"]["operationState"]["phase"], "Succeeded");
    }
}
