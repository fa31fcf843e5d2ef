//! Override files: a repository may change the source's own parameters, for every
//! application at a path or for one of them.

use serde_json::{Map, Value};

use crate::error::Error;
use crate::tree::{Tree, TreeError, join};
use crate::yaml;

/// Overrides for every application at the path.
pub const OVERRIDE_FILE: &str = ".argocd-source.yaml";

/// Fields that say where the source is. A repository cannot move an application.
const IMMUTABLE: [&str; 4] = ["repoURL", "chart", "path", "targetRevision"];

/// An override file is a few lines; this is far above, and far below harm.
const MAX_BYTES: u64 = 1 << 20;

/// Names of the files that override the source of application `app`, in the order
/// they apply. `app` is the name, or `<namespace>_<name>` outside the home namespace.
pub fn override_files(app: &str) -> Vec<String> {
    let mut files = vec![OVERRIDE_FILE.to_owned()];
    // A name with a slash would name a file elsewhere.
    if !app.is_empty() && !app.contains('/') {
        files.push(format!(".argocd-source-{app}.yaml"));
    }
    files
}

/// The `ApplicationSource` (in JSON form) with the override files at the clean path
/// `app_path` merged in (RFC 7396). Files that are not there are passed over.
///
/// # Errors
/// [`Error::OverrideSyntax`] and [`Error::OverrideShape`], or what reading met.
pub fn merge_overrides(tree: &dyn Tree, app_path: &str, app: &str, source: &Value) -> Result<Value, Error> {
    let mut merged = source.clone();
    for file in override_files(app) {
        let content = match tree.read(&join(app_path, &file), MAX_BYTES) {
            Ok(content) => content,
            Err(TreeError::NotFound { .. } | TreeError::NotAFile { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let patch = yaml::to_value(&yaml::decode_text(&content))
            .map_err(|source| Error::OverrideSyntax { file: file.clone(), source })?;
        match patch {
            Value::Null => {}
            patch @ Value::Object(_) => merge_patch(&mut merged, patch),
            _ => return Err(Error::OverrideShape { file }),
        }
    }
    for field in IMMUTABLE {
        let Some(fields) = merged.as_object_mut() else { continue };
        match source.get(field) {
            Some(value) => fields.insert(field.to_owned(), value.clone()),
            None => fields.remove(field),
        };
    }
    Ok(merged)
}

/// JSON merge patch: maps merge, null removes, anything else replaces.
fn merge_patch(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(&key);
        } else {
            merge_patch(fields.entry(key).or_insert(Value::Null), value);
        }
    }
}
