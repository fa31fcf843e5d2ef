//! Objects as the index gives them out.

use std::sync::Arc;

use argosy_model::{Gvk, ResourceKey};
use serde_json::Value;

use super::index::Index;
use super::summary::NodeSummary;

/// One live object, as known.
#[derive(Clone, Debug)]
pub struct LiveObject {
    /// Identity.
    pub key: ResourceKey,
    /// Kind in the version it is watched in.
    pub gvk: Gvk,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`; empty where the server's are no numbers.
    pub resource_version: String,
    /// `metadata.creationTimestamp`.
    pub created_at: Option<jiff::Timestamp>,
    /// Whether it is marked for deletion.
    pub deleting: bool,
    /// Instance name of the application it says it belongs to.
    pub app: Option<Arc<str>>,
    /// Whether what says so was written for this very object, and not copied.
    pub self_referenced: bool,
    /// Whether something owns it: it is then a part, not a managed object.
    pub has_owner: bool,
    /// What a tree shows of it, where more than its metadata is known.
    pub summary: Option<Arc<NodeSummary>>,
    /// Changes when the whole object changes in what counts; 0 where it is not kept.
    pub hash: u64,
    text: Option<Arc<[u8]>>,
}

/// An object in a tree.
#[derive(Clone, Debug)]
pub struct TreeNode {
    /// The object.
    pub object: LiveObject,
    /// Its owners that are known.
    pub parents: Vec<ResourceKey>,
}

// === impl LiveObject ===

impl LiveObject {
    /// The whole object, where it is kept. Parsed anew by each call.
    pub fn full(&self) -> Option<Arc<Value>> {
        serde_json::from_slice(self.text.as_deref()?).ok().map(Arc::new)
    }

    /// Whether the whole object is kept.
    pub fn is_full(&self) -> bool {
        self.text.is_some()
    }
}

pub(super) fn of(index: &Index, id: u32) -> Option<LiveObject> {
    let entry = index.entry(id)?;
    Some(LiveObject {
        key: index.key(entry),
        gvk: index.kinds[entry.kind as usize].clone(),
        uid: entry.uid.to_string(),
        resource_version: if entry.version == 0 { String::new() } else { entry.version.to_string() },
        created_at: jiff::Timestamp::from_second(entry.created).ok(),
        deleting: entry.deleting,
        app: entry.claimed.clone(),
        self_referenced: entry.self_referenced,
        has_owner: !entry.owners.is_empty(),
        summary: entry.summary().cloned(),
        hash: entry.hash(),
        text: entry.full().cloned(),
    })
}

pub(super) fn node(index: &Index, id: u32) -> Option<TreeNode> {
    let parents = index.parents(id).into_iter().filter_map(|p| index.entry(p)).map(|p| index.key(p)).collect();
    Some(TreeNode { object: of(index, id)?, parents })
}
