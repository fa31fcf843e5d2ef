//! ApplicationSets as they leave the API, and as they come back.
//!
//! Any text may have an address with a password in it. Passwords are replaced by a
//! mask; where a client gives back what it was shown, what is stored stays.

use std::borrow::Cow;

use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::ApplicationSet;
use serde_json::Value;

use crate::redact::mask;

/// The ApplicationSet as clients see it.
pub(super) fn shown(set: &ApplicationSet) -> ApplicationSet {
    let mut set = set.clone();
    set.metadata_mut().managed_fields.clear();
    through_texts(&mut set, &mut |text| {
        if let Cow::Owned(masked) = mask(text) {
            *text = masked;
        }
    });
    set
}

/// Puts back what `stored` has where `given` has only what was shown of it.
pub(super) fn restore(given: &mut ApplicationSet, stored: &ApplicationSet) {
    let mut originals = Vec::new();
    through_texts(&mut stored.clone(), &mut |text| {
        if let Cow::Owned(masked) = mask(text) {
            originals.push((masked, text.clone()));
        }
    });
    through_texts(given, &mut |text| {
        if let Some((_, original)) = originals.iter().find(|(masked, _)| masked == text) {
            text.clone_from(original);
        }
    });
}

/// Visits every text of an ApplicationSet.
fn through_texts(set: &mut ApplicationSet, visit: &mut dyn FnMut(&mut String)) {
    let json = serde_json::to_value(&*set).map(|mut json| {
        walk(&mut json, visit);
        json
    });
    *set = json.and_then(serde_json::from_value).unwrap_or_else(|error| {
        // What is no JSON inside was never stored; nothing of it is shown.
        tracing::warn!(%error, "an ApplicationSet cannot be written as JSON");
        ApplicationSet { metadata: set.metadata.take(), ..Default::default() }
    });
}

fn walk(value: &mut Value, visit: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, visit)),
        Value::Object(fields) => fields.values_mut().for_each(|field| walk(field, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CANARY: &str = "canary-4711";

    fn set() -> ApplicationSet {
        let url = format!("https://bot:{CANARY}@git.example.com/a.git");
        let generator = json!({"git": {"repoURL": url, "revision": "HEAD"}});
        serde_json::from_value(json!({
            "metadata": {"name": "s", "annotations": {"last": json!({"url": url}).to_string()},
                "managedFields": [{"manager": "m"}]},
            "spec": {
                "goTemplate": true,
                "generators": [generator, {"matrix": {"generators": [generator, {"clusters": {}}]}}],
                "template": {"metadata": {"name": "{{.name}}"}, "spec": {"project": "p",
                    "source": {"repoURL": url}, "sources": [{"repoURL": "ssh://git@h:22/a"}]}},
                "templatePatch": format!("repoURL: {url}"),
            },
            "status": {"conditions": [{"type": "ErrorOccurred", "message": format!("cannot fetch {url}: no")}]},
        }))
        .expect("an ApplicationSet")
    }

    #[test]
    fn no_password_in_an_address_leaves_the_api() {
        let shown = shown(&set());
        let text = serde_json::to_string(&shown).expect("JSON");
        assert!(!text.contains(CANARY) && text.contains("https://bot:******@git.example.com/a.git"), "{text}");
        assert!(text.contains("ssh://git@h:22/a") && !text.contains("managedFields"), "{text}");
    }

    #[test]
    fn what_was_shown_and_comes_back_unchanged_changes_nothing() {
        let mut stored = set();
        stored.metadata_mut().managed_fields.clear();
        let mut back = shown(&stored);
        assert_ne!(back, stored);
        restore(&mut back, &stored);
        assert_eq!(back, stored);
    }
}
