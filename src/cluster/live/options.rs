//! What the live state is told: how to read objects, and which to look at.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use argosy_engine::health::{BuiltIn, Overrides};
use argosy_model::GroupKind;
use argosy_model::tracking::Tracking;
use serde_json::Value;

use crate::discovery::ResourceFilter;

/// Removes from a copy of an object what shall not count as a change.
pub type IgnoreUpdates = Arc<dyn Fn(&mut Value) + Send + Sync>;

/// How objects are read.
#[derive(Clone)]
pub struct LiveOptions {
    /// How an object names its application.
    pub tracking: Tracking,
    /// Users' health rules.
    pub health: Arc<dyn Overrides>,
    /// What does not count as a change, beside `resourceVersion`, `generation`
    /// and `managedFields`, which never do.
    pub ignore_updates: IgnoreUpdates,
    /// Whether all whole objects keep `managedFields`, which rules about other
    /// managers need and which doubles their size. Objects that we have applied
    /// server-side keep them anyway.
    pub keep_managed_fields: bool,
    /// Kinds of which every object gets a summary; see [`tree_kinds`].
    pub tree_kinds: HashSet<GroupKind>,
}

/// Which objects are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Kinds left out.
    pub filter: ResourceFilter,
    /// Namespaces looked at; empty means all.
    pub namespaces: Vec<String>,
    /// Whether cluster-scoped kinds are looked at although namespaces are named.
    pub cluster_resources: bool,
}

// === impl LiveOptions ===

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            tracking: Tracking::default(),
            health: Arc::new(BuiltIn),
            ignore_updates: Arc::new(|_| {}),
            keep_managed_fields: false,
            tree_kinds: tree_kinds(),
        }
    }
}

impl fmt::Debug for LiveOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveOptions").field("tracking", &self.tracking).finish_non_exhaustive()
    }
}

/// The kinds whose state people look for in a tree.
pub fn tree_kinds() -> HashSet<GroupKind> {
    const KINDS: [(&str, &str); 14] = [
        ("", "Pod"),
        ("", "Service"),
        ("", "PersistentVolumeClaim"),
        ("", "Node"),
        ("apps", "Deployment"),
        ("apps", "ReplicaSet"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("batch", "Job"),
        ("batch", "CronJob"),
        ("networking.k8s.io", "Ingress"),
        ("extensions", "Ingress"),
        ("autoscaling", "HorizontalPodAutoscaler"),
        ("apiregistration.k8s.io", "APIService"),
    ];
    KINDS.iter().map(|(group, kind)| GroupKind::new(group, kind)).collect()
}
