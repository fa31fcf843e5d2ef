//! Applications as they leave the API, and as they come back.
//!
//! An address may have a password in it, and so may every message that quotes one.
//! Passwords are replaced by a mask. A client that reads, changes and writes back
//! must not write the mask: where it gives back what it was shown, what is stored
//! stays.

use std::borrow::Cow;

use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{Application, ApplicationSource, ApplicationSpec, Operation, OperationState};
use serde_json::Value;

use crate::redact::mask;

/// The application as clients see it.
pub(super) fn shown(app: &Application) -> Application {
    let mut app = app.clone();
    app.metadata_mut().managed_fields.clear();
    hide(&mut app);
    app
}

/// The specification as clients see it.
pub(super) fn shown_spec(spec: &ApplicationSpec) -> ApplicationSpec {
    let mut spec = spec.clone();
    hide_spec(&mut spec);
    spec
}

/// Puts back what `stored` has where `given` has only what was shown of it.
pub(super) fn restore(given: &mut Application, stored: &Application) {
    let known = &stored.metadata().annotations;
    for (key, value) in &mut given.metadata_mut().annotations {
        if let Some(original) = known.get(key).filter(|original| *value != **original && *value == mask(original)) {
            value.clone_from(original);
        }
    }
    if let (Some(given), Some(stored)) = (&mut given.spec, &stored.spec) {
        restore_spec(given, stored);
    }
}

fn restore_spec(given: &mut ApplicationSpec, stored: &ApplicationSpec) {
    let mut originals = Vec::new();
    addresses(&mut stored.clone(), &mut |address| originals.push(address.clone()));
    originals.retain(|original| matches!(mask(original), Cow::Owned(_)));
    addresses(given, &mut |address| {
        if let Some(original) = originals.iter().find(|original| mask(original) == *address) {
            address.clone_from(original);
        }
    });
}

fn hide(app: &mut Application) {
    for value in app.metadata_mut().annotations.values_mut() {
        hide_text(value);
    }
    if let Some(spec) = &mut app.spec {
        hide_spec(spec);
    }
    if let Some(operation) = &mut app.operation {
        hide_operation(operation);
    }
    let Some(status) = &mut app.status else { return };
    status.conditions.iter_mut().for_each(|condition| hide_text(&mut condition.message));
    if let Some(compared) = status.sync.as_mut().and_then(|sync| sync.compared_to.as_mut()) {
        compared.sources.iter_mut().chain(compared.source.as_mut()).for_each(hide_source);
    }
    for entry in &mut status.history {
        entry.sources.iter_mut().chain(entry.source.as_mut()).for_each(hide_source);
    }
    if let Some(state) = &mut status.operation_state {
        hide_state(state);
    }
    for resource in &mut status.resources {
        if let Some(health) = &mut resource.health {
            hide_text(&mut health.message);
        }
    }
}

fn hide_spec(spec: &mut ApplicationSpec) {
    addresses(spec, &mut |address| hide_text(address));
}

fn hide_operation(operation: &mut Operation) {
    if let Some(sync) = &mut operation.sync {
        sync.sources.iter_mut().chain(sync.source.as_mut()).for_each(hide_source);
        sync.manifests.iter_mut().for_each(|manifest| mask_manifest(manifest, &[]));
    }
    operation.info.iter_mut().for_each(|info| hide_text(&mut info.value));
}

fn hide_state(state: &mut OperationState) {
    hide_text(&mut state.message);
    if let Some(operation) = &mut state.operation {
        hide_operation(operation);
    }
    if let Some(result) = &mut state.sync_result {
        result.sources.iter_mut().chain(result.source.as_mut()).for_each(hide_source);
        result.resources.iter_mut().for_each(|resource| hide_text(&mut resource.message));
    }
}

fn hide_source(source: &mut ApplicationSource) {
    hide_text(&mut source.repo_url);
}

fn hide_text(text: &mut String) {
    if let Cow::Owned(masked) = mask(text) {
        *text = masked;
    }
}

/// Visits every text of a specification that is an address or may have one in it.
fn addresses(spec: &mut ApplicationSpec, visit: &mut dyn FnMut(&mut String)) {
    spec.info.iter_mut().for_each(|info| visit(&mut info.value));
    for source in spec.sources.iter_mut().chain(spec.source.as_mut()) {
        visit(&mut source.repo_url);
    }
    if let Some(hydrator) = &mut spec.source_hydrator {
        hydrator.dry_source.iter_mut().for_each(|dry| visit(&mut dry.repo_url));
        hydrator.sync_source.iter_mut().for_each(|sync| visit(&mut sync.repo_url));
    }
}

/// Masks a manifest if it is a Secret. One that cannot be read and may be one is
/// not shown at all.
pub(super) fn mask_manifest(manifest: &mut String, annotations: &[String]) {
    if !may_be_secret(manifest) {
        return;
    }
    match serde_json::from_str::<Value>(manifest) {
        Ok(mut object) => {
            argosy_engine::mask::mask_secrets(&mut [&mut object], annotations);
            *manifest = object.to_string();
        }
        Err(_) => *manifest = String::new(),
    }
}

/// Masks several states of one object alike: equal values stay equal.
pub(super) fn mask_states(states: &mut [&mut String], annotations: &[String]) {
    if !states.iter().any(|state| may_be_secret(state)) {
        return;
    }
    let mut objects: Vec<Option<Value>> = states.iter().map(|state| serde_json::from_str(state).ok()).collect();
    let mut present: Vec<&mut Value> = objects.iter_mut().flatten().collect();
    argosy_engine::mask::mask_secrets(&mut present, annotations);
    for (state, object) in states.iter_mut().zip(objects) {
        match object {
            Some(object) => **state = object.to_string(),
            None => state.clear(),
        }
    }
}

/// Cheap and never wrong in saying no: the kind is a word of the text, or written
/// with escapes.
fn may_be_secret(text: &str) -> bool {
    text.contains("Secret") || text.contains("\\u")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CANARY: &str = "canary-4711";

    #[test]
    fn no_part_of_an_application_shows_a_password() {
        let url = format!("https://u:{CANARY}@git.example.com/r.git");
        let source = json!({"repoURL": url, "path": "."});
        let app: Application = serde_json::from_value(json!({
            "metadata": {"name": "a", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": source.to_string()}},
            "spec": {"source": source, "sources": [source], "info": [{"name": "n", "value": url}],
                "sourceHydrator": {"drySource": source, "syncSource": {"repoURL": url}}},
            "operation": {"sync": {"source": source, "sources": [source]}},
            "status": {
                "conditions": [{"type": "ComparisonError", "message": format!("cannot fetch {url}: no")}],
                "sync": {"comparedTo": {"source": source, "sources": [source]}},
                "history": [{"id": 1, "source": source, "sources": [source]}],
                "operationState": {"message": url, "operation": {"sync": {"source": source}},
                    "syncResult": {"source": source, "resources": [{"message": url}]}},
                "resources": [{"health": {"message": url}}],
            },
        }))
        .expect("an application");
        let text = serde_json::to_string(&shown(&app)).expect("JSON");
        assert!(!text.contains(CANARY), "{text}");
    }

    #[test]
    fn what_was_shown_and_comes_back_unchanged_changes_nothing() {
        let stored: Application = serde_json::from_value(json!({
            "metadata": {"name": "a", "annotations": {"l": "https://u:p@h", "m": "x"}},
            "spec": {"source": {"repoURL": "https://u:p@h/r"}, "info": [{"name": "n", "value": "see https://u:p@h"}]},
        }))
        .expect("an application");
        let mut back = shown(&stored);
        assert_ne!(back, stored);
        restore(&mut back, &stored);
        assert_eq!(back, stored);
        let mut other = shown(&stored);
        other.spec.as_mut().and_then(|spec| spec.source.as_mut()).expect("a source").repo_url =
            "https://h/r".to_owned();
        restore(&mut other, &stored);
        assert_eq!(other.spec.and_then(|spec| spec.source).expect("a source").repo_url, "https://h/r");
    }

    #[test]
    fn secrets_are_masked_whatever_the_caller_says_they_are() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "data": {"k": "Y2FuYXJ5"}}).to_string();
        let mut manifest = secret.clone();
        mask_manifest(&mut manifest, &[]);
        assert!(!manifest.contains("Y2FuYXJ5"));
        let (mut live, mut target) = (secret.clone(), secret);
        mask_states(&mut [&mut live, &mut target], &[]);
        assert_eq!(live, target);
        assert!(!live.contains("Y2FuYXJ5"));
        let mut broken = "{\"kind\":\"Secret\", \"data\": {\"k\": \"Y2FuYXJ5\"".to_owned();
        mask_manifest(&mut broken, &[]);
        assert!(broken.is_empty());
    }
}
