//! Patches of applications: JSON patches and merge patches, bounded in what they
//! can make of a small text.

use argosy_proto::v1alpha1::Application;
use json_patch::{Patch, PatchOperation};
use serde_json::Value;
use tonic::Status;

/// Longest patch that is read, and largest document one may make, in bytes: no
/// application can be stored that is larger.
const LARGEST: usize = 3 << 20;
/// Operations of one patch.
const MOST_OPERATIONS: usize = 10_000;

/// The application as the patch wants it.
///
/// # Errors
/// `InvalidArgument` when the patch cannot be read or applied.
pub(super) fn patched(app: &Application, patch: &str, kind: &str) -> Result<Application, Status> {
    if patch.len() > LARGEST {
        return Err(Status::invalid_argument("the patch is too large"));
    }
    let mut document = serde_json::to_value(app)
        .map_err(|_| Status::internal("error marshaling application: it holds raw JSON that is none"))?;
    match kind {
        "json" | "" => apply_json(&mut document, patch)?,
        "merge" => {
            let patch: Value = serde_json::from_str(patch)
                .map_err(|error| Status::invalid_argument(format!("error calculating merge patch: {error}")))?;
            json_patch::merge(&mut document, &patch);
        }
        other => return Err(Status::invalid_argument(format!("Patch type '{other}' is not supported"))),
    }
    serde_json::from_value(document)
        .map_err(|error| Status::invalid_argument(format!("error unmarshaling patched app: {error}")))
}

fn apply_json(document: &mut Value, patch: &str) -> Result<(), Status> {
    let Patch(operations) = serde_json::from_str(patch)
        .map_err(|error| Status::invalid_argument(format!("error decoding json patch: {error}")))?;
    if operations.len() > MOST_OPERATIONS {
        return Err(Status::invalid_argument(format!("a patch may have {MOST_OPERATIONS} operations")));
    }
    for operation in operations {
        // Copies of copies double a document; nothing else outgrows the patch.
        let copies = matches!(operation, PatchOperation::Copy(_));
        json_patch::patch(document, &[operation])
            .map_err(|error| Status::invalid_argument(format!("error applying patch: {error}")))?;
        if copies && document.to_string().len() > LARGEST {
            return Err(Status::invalid_argument("error applying patch: the result is too large"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app() -> Application {
        serde_json::from_value(json!({
            "metadata": {"name": "a", "labels": {"x": "1"}},
            "spec": {"source": {"repoURL": "r", "path": "p"}},
        }))
        .expect("an application")
    }

    #[test]
    fn both_kinds_of_patch_change_what_they_name() {
        let json = r#"[{"op": "replace", "path": "/spec/source/path", "value": "q"}, {"op": "remove", "path": "/metadata/labels/x"}]"#;
        let merge = r#"{"spec": {"source": {"path": "q"}}, "metadata": {"labels": {"x": null}}}"#;
        for (patch, kind) in [(json, "json"), (json, ""), (merge, "merge")] {
            let changed = patched(&app(), patch, kind).expect(kind);
            let source = changed.spec.and_then(|spec| spec.source).expect("a source");
            assert_eq!((source.path.as_str(), source.repo_url.as_str()), ("q", "r"));
            assert!(changed.metadata.expect("metadata").labels.is_empty());
        }
    }

    #[test]
    fn a_patch_that_cannot_be_applied_says_why() {
        let refused = |patch: &str, kind: &str| patched(&app(), patch, kind).expect_err(patch).message().to_owned();
        assert!(refused("{", "json").starts_with("error decoding json patch: "));
        assert!(refused(r#"[{"op": "remove", "path": "/nothing"}]"#, "json").starts_with("error applying patch: "));
        assert!(refused("{", "merge").starts_with("error calculating merge patch: "));
        assert!(refused(r#"{"spec": 7}"#, "merge").starts_with("error unmarshaling patched app: "));
        assert_eq!(refused("{}", "strategic"), "Patch type 'strategic' is not supported");
    }

    #[test]
    fn copies_of_copies_do_not_fill_the_memory() {
        let doubling = json!({"op": "copy", "from": "/metadata", "path": "/metadata/labels"});
        let patch = Value::Array(vec![doubling; 64]).to_string();
        assert!(patched(&app(), &patch, "json").is_err());
    }
}
