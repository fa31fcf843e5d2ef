//! One unit of work of a pass, as it is handed out.

use std::sync::Arc;

use argosy_model::{Gvk, ResourceKey};
use serde_json::Value;

use super::ApplyMode;
use crate::hook::{self, DeletePolicy, Phase};

/// One object to apply, prune, delete or look at. What to do with it is said
/// by the [`super::Step`] it comes in.
#[derive(Clone, Debug)]
pub struct Task {
    /// Names the task in answers; its place in the order of the pass.
    pub id: usize,
    /// Identity of the object in the destination.
    pub key: ResourceKey,
    /// Type of the target, or of the live object where it is pruned.
    pub gvk: Gvk,
    /// Phase it runs in.
    pub phase: Phase,
    /// Wave it runs in, after all adjustments.
    pub wave: i64,
    /// Scope of the type; `None` while the type is not served.
    pub namespaced: Option<bool>,
    /// The manifest to apply, complete: namespace, finalizer and name are set.
    pub target: Option<Arc<Value>>,
    /// The object as last seen.
    pub live: Option<Arc<Value>>,
    /// How to apply the target.
    pub mode: ApplyMode,
    /// Whether fields are checked against the schema.
    pub validate: bool,
    /// Whether the object is a hook.
    pub is_hook: bool,
    /// Whether comparison found a difference.
    pub(super) modified: bool,
    /// This run's mark, on hooks.
    pub(super) run: String,
}

// === impl Task ===

impl Task {
    /// Whether the object is to be removed.
    pub fn is_prune(&self) -> bool {
        self.target.is_none()
    }

    /// The object that speaks for the task: the target, else the live one.
    pub fn object(&self) -> &Value {
        match (&self.target, &self.live) {
            (Some(object), _) | (None, Some(object)) => object,
            (None, None) => &Value::Null,
        }
    }

    pub(super) fn has_policy(&self, policy: DeletePolicy) -> bool {
        self.is_hook && hook::delete_policies(self.object()).contains(&policy)
    }

    /// Whether the live object was made for this very task. One without any
    /// mark is taken as ours only where results say that the hook has run.
    pub(super) fn is_own(&self, live: &Value) -> bool {
        argosy_model::object::annotation(live, hook::ANNOTATION_RUN) == Some(self.run.as_str())
    }

    /// As [`Task::is_own`], but an object without any mark passes.
    pub(super) fn may_be_own(&self, live: &Value) -> bool {
        argosy_model::object::annotation(live, hook::ANNOTATION_RUN).is_none_or(|run| run == self.run)
    }

    /// Name for messages: `group/Kind/name`.
    pub(super) fn title(&self) -> String {
        format!("{}/{}/{}", self.gvk.group, self.gvk.kind, self.key.name)
    }
}
