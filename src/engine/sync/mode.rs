//! How an object is written: the choice between apply, replace, update and
//! create, from options of the resource and of the application.

use argosy_model::options::{self, SyncOptions};
use argosy_model::{names, object};
use serde_json::Value;

use super::SyncInput;

/// Manager that `kubectl apply` writes under.
const KUBECTL_MANAGER: &str = "kubectl-client-side-apply";

/// How to write a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyMode {
    /// Create; an existing object is answered with [`super::Outcome::Exists`].
    Create,
    /// Three-way apply with the last-applied annotation.
    ClientSide {
        /// Delete and create where the object cannot be changed.
        force: bool,
    },
    /// Server-side apply, taking over conflicts.
    ServerSide {
        /// Delete and create where the object cannot be changed.
        force: bool,
        /// Move this manager's fields over first.
        migrate_from: Option<String>,
    },
    /// Replace the whole object.
    Replace {
        /// Delete and create instead.
        force: bool,
    },
    /// Replace in place whatever happens: deleting would take what hangs on it
    /// along (CRDs, namespaces). Message `Kind/name updated`.
    Update,
}

/// Chooses the mode. `live` is what is known to exist.
pub(super) fn choose(input: &SyncInput, target: &Value, live: Option<&Value>, is_hook: bool) -> ApplyMode {
    let says = |key, value| option(&input.options, Some(target), live, key) == Some(value);
    let force = input.force || says("Force", "true");
    if says("Replace", "true") {
        return match live {
            None => ApplyMode::Create,
            Some(_) if is_precious(target) => ApplyMode::Update,
            Some(_) => ApplyMode::Replace { force },
        };
    }
    // Only a create tells a hook that somebody else has just made it.
    if is_hook && live.is_none() {
        return ApplyMode::Create;
    }
    if !says("ServerSideApply", "true") {
        return ApplyMode::ClientSide { force };
    }
    let manager = input.migration_manager.as_deref().filter(|m| !m.is_empty()).unwrap_or(KUBECTL_MANAGER);
    let migrates = !says("ClientSideApplyMigration", "false") && live.is_some_and(|live| has_manager(live, manager));
    ApplyMode::ServerSide { force, migrate_from: migrates.then(|| manager.to_owned()) }
}

/// What holds for a resource: its manifest's word, else the live object's,
/// else the application's.
pub(super) fn option<'a>(
    application: &'a SyncOptions,
    target: Option<&'a Value>,
    live: Option<&'a Value>,
    key: &str,
) -> Option<&'a str> {
    let own = |object: Option<&'a Value>| options::resource_option(object?, names::ANNOTATION_SYNC_OPTIONS, key);
    own(target).or_else(|| own(live)).or_else(|| application.value(key))
}

/// Whether deleting the object would delete others with it.
fn is_precious(target: &Value) -> bool {
    is_crd(target) || is_namespace(target)
}

pub(super) fn is_crd(object: &Value) -> bool {
    let gvk = argosy_model::Gvk::of(object);
    &*gvk.group == "apiextensions.k8s.io" && &*gvk.kind == "CustomResourceDefinition"
}

pub(super) fn is_namespace(object: &Value) -> bool {
    let gvk = argosy_model::Gvk::of(object);
    gvk.group.is_empty() && &*gvk.kind == "Namespace"
}

/// Whether a manager has fields of an object. Where its owners are not known,
/// whether it may have: the one who writes looks more closely.
fn has_manager(live: &Value, manager: &str) -> bool {
    match object::get(live, &["metadata", "managedFields"]).and_then(Value::as_array) {
        Some(entries) => entries.iter().any(|e| e.get("manager").and_then(Value::as_str) == Some(manager)),
        // kubectl's own never goes without its annotation.
        None => manager != KUBECTL_MANAGER || object::annotation(live, names::ANNOTATION_LAST_APPLIED).is_some(),
    }
}
