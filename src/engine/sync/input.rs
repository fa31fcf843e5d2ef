//! What a pass is built from: all of it observed by others.

use std::sync::Arc;
use std::time::Duration;

use argosy_model::options::SyncOptions;
use argosy_model::{Gvk, ResourceKey};
use jiff::Timestamp;
use serde_json::Value;

use super::ResourceResult;
use crate::health::Overrides;

/// A resource as it should be and as it is. At least one side is present.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Identity in the destination cluster.
    pub key: ResourceKey,
    /// What git wants; `None` asks for pruning.
    pub target: Option<Arc<Value>>,
    /// What the cluster has. Live hooks are passed this way too, with no target.
    pub live: Option<Arc<Value>>,
    /// Whether comparison found a difference. Used by `ApplyOutOfSyncOnly`.
    pub modified: bool,
}

/// One entry of a selective sync. An empty namespace matches every namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// API group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace or empty.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// The destination namespace, where the application asks for it to be made.
#[derive(Clone, Debug)]
pub struct NamespaceRequest {
    /// The manifest, with the managed labels and annotations if any.
    pub manifest: Arc<Value>,
    /// The namespace as it is.
    pub live: Option<Arc<Value>>,
}

/// Everything one pass decides on.
#[derive(Clone, Debug)]
pub struct SyncInput {
    /// The application's resources after comparison, normalised, without those
    /// that refer to another object. Includes live hooks and live-only objects.
    pub resources: Vec<Pair>,
    /// Hook manifests of the revision, in any order.
    pub hooks: Vec<Arc<Value>>,
    /// Sync options of the application or the operation.
    pub options: SyncOptions,
    /// Whether pruning is on.
    pub prune: bool,
    /// Validate only; nothing is changed.
    pub dry_run: bool,
    /// Force of the sync strategy: recreate what cannot be updated.
    pub force: bool,
    /// Strategy `apply`: hooks do not run.
    pub skip_hooks: bool,
    /// Resources of a selective sync; empty for a whole one. Hooks do not run
    /// in a selective sync.
    pub selection: Vec<Selected>,
    /// When a person approved deletions, from the Application's annotation.
    pub deletion_approved_at: Option<Timestamp>,
    /// Field manager whose fields server-side apply takes over; `None` for
    /// kubectl's.
    pub migration_manager: Option<String>,
    /// Revision being synced, for generated names.
    pub revision: String,
    /// When the operation started; part of the identity of its hooks.
    pub started_at: Timestamp,
    /// How many times the operation was retried; part of that identity too.
    pub attempt: i64,
    /// Destination namespace, for objects that name none. May be empty.
    pub namespace: String,
    /// Set with `CreateNamespace=true`.
    pub create_namespace: Option<NamespaceRequest>,
    /// The operation is being terminated.
    pub terminating: bool,
    /// An earlier pass of this attempt got through the dry run. A hint that
    /// saves work; recorded results say the same.
    pub validated: bool,
    /// `syncResult.resources` of this attempt as last written.
    pub recorded: Vec<ResourceResult>,
    /// Pause between waves.
    pub wave_delay: Duration,
    /// The time of the pass.
    pub now: Timestamp,
}

/// Whether the destination serves a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// Served, its objects live in namespaces.
    Namespaced,
    /// Served, its objects belong to the cluster.
    Cluster,
    /// The kind is known under this other version only.
    OtherVersion(String),
    /// The kind is unknown.
    Missing,
    /// Discovery failed, in these words.
    Failed(String),
}

/// What the destination and the project say, asked while the pass runs. Answers
/// are from memory: the latest discovery, the latest project.
pub trait Destination: Send + Sync {
    /// Whether and how a type is served. After [`super::Step::Discover`] and
    /// after a CRD was applied the answer is from after that.
    fn served(&self, gvk: &Gvk) -> Served;

    /// Whether the project lets the application manage this object; the refusal
    /// is in words for the user.
    ///
    /// # Errors
    /// The reason for which it may not.
    fn permitted(&self, object: &Value, namespaced: bool) -> Result<(), String>;

    /// The user's health rules.
    fn overrides(&self) -> &dyn Overrides;
}

// === impl Selected ===

impl Selected {
    /// Whether the entry names this resource.
    pub fn matches(&self, key: &ResourceKey) -> bool {
        self.group == *key.group
            && self.kind == *key.kind
            && self.name == *key.name
            && (self.namespace.is_empty() || self.namespace == *key.namespace)
    }
}

// === impl SyncInput ===

impl SyncInput {
    pub(super) fn selects(&self, key: &ResourceKey) -> bool {
        self.selection.is_empty() || self.selection.iter().any(|entry| entry.matches(key))
    }

    pub(super) fn runs_hooks(&self) -> bool {
        !self.skip_hooks && self.selection.is_empty()
    }

    /// Whether confirmation was given for this operation. Kubernetes times have
    /// whole seconds, so a confirmation in the very second counts.
    pub(super) fn deletion_confirmed(&self) -> bool {
        self.deletion_approved_at.is_some_and(|at| at.as_second() >= self.started_at.as_second())
    }
}
