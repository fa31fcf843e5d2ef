//! The tree of an application: what it manages and what hangs below that, as
//! Argo CD's users know it.
//!
//! The last comparison says which resources the application has; how they are
//! and what belongs to them is read from the cluster's index as it is now. A
//! node that the project does not permit is left out with all below it.

mod hosts;
mod node;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use argosy_cluster::TreeNode;
use argosy_model::ResourceKey;
use argosy_proto::v1alpha1::{ApplicationTree, HealthStatus, ResourceNode, ResourceRef};
use serde_json::Value;
use tonic::Status;

use super::subject::Subject;
use crate::application::{Grounds, View, is_left_out};
use crate::cluster::Target;
use crate::context::Shared;

/// An application's tree, and what it was made of.
pub(super) struct Tree {
    shared: Arc<Shared>,
    grounds: Grounds,
    target: Arc<Target>,
    view: Arc<View>,
    /// Destination namespace.
    namespace: String,
}

// === impl Tree ===

impl Tree {
    /// What is needed for the tree, waiting for a first comparison.
    pub(super) async fn prepare(shared: &Arc<Shared>, subject: &Subject) -> Result<Self, Status> {
        let view = subject.view(shared).await?;
        let grounds = subject.grounds(shared)?;
        let target = subject.target(shared, &grounds).await?;
        let destination = subject.app.spec.as_ref().and_then(|s| s.destination.as_ref());
        let namespace = destination.map(|d| d.namespace.clone()).unwrap_or_default();
        Ok(Self { shared: shared.clone(), grounds, target, view, namespace })
    }

    /// The whole tree, off the asker's thread: a large cluster has many Pods.
    pub(super) async fn build(self) -> Result<ApplicationTree, Status> {
        let work = tokio::task::spawn_blocking(move || self.build_blocking());
        work.await.map_err(|error| Status::internal(format!("building the tree failed: {error}")))
    }

    fn build_blocking(&self) -> ApplicationTree {
        let managed = self.managed();
        let hosts = hosts::of(&self.target, &managed, &self.shared.home.settings().general.allowed_node_labels);
        let mut nodes = self.nodes(&managed);
        nodes.extend(self.missing());
        let mut orphaned_nodes = self.nodes(&self.orphans());
        for list in [&mut nodes, &mut orphaned_nodes] {
            list.sort_by_cached_key(full_name);
        }
        ApplicationTree { nodes, orphaned_nodes, hosts, shards_count: 0 }
    }

    /// The live object of this identity, if it is in the tree; an orphan is too.
    pub(super) fn find(&self, key: &ResourceKey) -> Option<TreeNode> {
        let is_it = |node: &TreeNode| node.object.key == *key;
        self.managed().into_iter().find(is_it).or_else(|| self.orphans().into_iter().find(is_it))
    }

    /// Whether an object of this name, and of this uid where one is given, is in the tree.
    pub(super) fn has(&self, namespace: &str, name: &str, uid: &str) -> bool {
        let is_it = |node: &TreeNode| {
            let (key, object) = (&node.object.key, &node.object);
            *key.namespace == *namespace && *key.name == *name && (uid.is_empty() || object.uid == uid)
        };
        self.managed().iter().any(is_it) || self.orphans().iter().any(is_it)
    }

    /// The live objects of these identities that are in the tree.
    pub(super) fn contains(&self, keys: &HashSet<ResourceKey>) -> HashSet<ResourceKey> {
        self.managed().into_iter().map(|node| node.object.key).filter(|key| keys.contains(key)).collect()
    }

    /// The cluster, its project's permission and the application's place in it.
    pub(super) fn target(&self) -> &Arc<Target> {
        &self.target
    }

    pub(super) fn grounds(&self) -> &Grounds {
        &self.grounds
    }

    fn managed(&self) -> Vec<TreeNode> {
        let roots: Vec<&ResourceKey> = self.view.items.iter().filter(|i| i.live.is_some()).map(|i| &i.key).collect();
        let all = self.target.live.tree(roots.iter().copied());
        self.prune(all, &roots.into_iter().collect(), |_| true)
    }

    /// Objects of the destination namespace that belong to nobody, where the project
    /// looks for such.
    fn orphans(&self) -> Vec<TreeNode> {
        let spec = self.grounds.project.rules.project().spec.as_ref();
        let Some(settings) = spec.and_then(|s| s.orphaned_resources.as_ref()) else { return Vec::new() };
        if self.namespace.is_empty() {
            return Vec::new();
        }
        let managed: HashSet<&ResourceKey> = self.view.items.iter().map(|i| &i.key).collect();
        let rules = &self.grounds.project.rules;
        let mut roots: Vec<ResourceKey> = Vec::new();
        for live in self.target.live.namespace_objects(&self.namespace) {
            let permitted = || rules.permits_kind(&live.key.group_kind(), true, &live.key.name).permitted;
            if !managed.contains(&live.key) && !is_left_out(&live, &settings.ignore) && permitted() {
                roots.push(live.key);
            }
        }
        let all = self.target.live.tree(&roots);
        let owned = |node: &TreeNode| {
            node.object.app.as_ref().is_some_and(|instance| self.shared.directory.knows_instance(instance))
        };
        self.prune(all, &roots.iter().collect(), |node| !owned(node))
    }

    /// Takes out what is not permitted or not wanted, and everything that hangs
    /// below such nodes alone. Owners come first in `all`.
    fn prune(
        &self,
        all: Vec<TreeNode>,
        roots: &HashSet<&ResourceKey>,
        wanted: impl Fn(&TreeNode) -> bool,
    ) -> Vec<TreeNode> {
        let mut kept: HashSet<ResourceKey> = HashSet::with_capacity(all.len());
        let mut out = Vec::with_capacity(all.len());
        for node in all {
            let key = &node.object.key;
            let hangs = roots.contains(key) || node.parents.iter().any(|parent| kept.contains(parent));
            if hangs && wanted(&node) && self.permits(key) {
                kept.insert(key.clone());
                out.push(node);
            }
        }
        out
    }

    /// Whether the object is the project's business.
    pub(super) fn permits(&self, key: &ResourceKey) -> bool {
        let catalog = self.target.discovery.catalog();
        let namespaced = catalog.is_namespaced(&key.group_kind()).unwrap_or(!key.namespace.is_empty());
        let cluster = &self.grounds.cluster;
        self.grounds.project.rules.permits_live_resource(key, namespaced, &cluster.server, &cluster.name).permitted
    }

    /// Whether the object is one that the application manages itself.
    pub(super) fn manages(&self, key: &ResourceKey) -> bool {
        self.view.items.iter().any(|item| item.key == *key)
    }

    /// The version in which a managed object is known; empty for another.
    pub(super) fn version_of(&self, key: &ResourceKey) -> Arc<str> {
        self.view.items.iter().find(|item| item.key == *key).map(|item| item.version.clone()).unwrap_or_default()
    }

    /// Where a manifest goes: as it says, else into the destination's namespace.
    pub(super) fn placed(&self, manifest: &Value) -> ResourceKey {
        let mut key = ResourceKey::of(manifest);
        match self.target.discovery.catalog().is_namespaced(&key.group_kind()) {
            Some(false) => key.namespace = "".into(),
            Some(true) if key.namespace.is_empty() => key.namespace = self.namespace.as_str().into(),
            _ => {}
        }
        key
    }

    fn nodes(&self, tree: &[TreeNode]) -> Vec<ResourceNode> {
        let known: HashMap<&ResourceKey, ResourceRef> =
            tree.iter().map(|n| (&n.object.key, node::reference(&n.object))).collect();
        let parent = |key: &ResourceKey| match known.get(key) {
            Some(known) => Some(known.clone()),
            None => self.target.live.get(key).map(|object| node::reference(&object)),
        };
        tree.iter().map(|n| node::of(&n.object, n.parents.iter().filter_map(parent).collect())).collect()
    }

    /// Resources that should be there and are not, which Argo CD shows as nodes too.
    fn missing(&self) -> impl Iterator<Item = ResourceNode> {
        self.view.items.iter().filter(|item| item.live.is_none()).map(|item| ResourceNode {
            resource_ref: Some(ResourceRef {
                version: item.version.to_string(),
                uid: String::new(),
                ..node::reference_to(&item.key)
            }),
            health: Some(HealthStatus { status: "Missing".to_owned(), ..HealthStatus::default() }),
            ..ResourceNode::default()
        })
    }
}

/// The order in which Argo CD keeps nodes.
fn full_name(node: &ResourceNode) -> String {
    let r = node.resource_ref.clone().unwrap_or_default();
    format!("{}/{}/{}/{}", r.group, r.kind, r.namespace, r.name)
}
