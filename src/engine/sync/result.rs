//! What came of each task, as it is kept in `status.operationState.syncResult`.
//! It is all that survives between passes.

use std::collections::HashMap;

use argosy_model::ResourceKey;
use serde::{Deserialize, Serialize};

use crate::hook::{HookType, Phase};

/// What was done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ResultCode {
    /// Applied.
    Synced,
    /// Could not be applied or deleted.
    SyncFailed,
    /// Deleted because git no longer has it.
    Pruned,
    /// Not deleted, for the reason given.
    PruneSkipped,
}

/// The phase of an operation, of a hook, or of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OperationPhase {
    /// Under way.
    Running,
    /// Being stopped.
    Terminating,
    /// Did not work.
    Failed,
    /// Could not be tried, or its outcome not be told.
    Error,
    /// Worked.
    Succeeded,
}

/// The outcome of one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceResult {
    /// Which object.
    pub key: ResourceKey,
    /// Its API version without the group.
    pub version: String,
    /// What was done; `None` while only the phase says something.
    pub status: Option<ResultCode>,
    /// What the cluster or the hook said.
    pub message: String,
    /// Set for hooks.
    pub hook_type: Option<HookType>,
    /// How far the task is. Written for ordinary resources too.
    pub hook_phase: Option<OperationPhase>,
    /// The phase of the sync the task belongs to.
    pub sync_phase: Phase,
    /// Images of the object's containers.
    pub images: Vec<String>,
}

/// Results in the order in which their tasks were first executed.
#[derive(Clone, Debug, Default)]
pub(super) struct Results {
    list: Vec<ResourceResult>,
    places: HashMap<(ResourceKey, Phase), usize>,
}

// === impl ResultCode ===

impl ResultCode {
    /// The word used in custom resources.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "Synced",
            Self::SyncFailed => "SyncFailed",
            Self::Pruned => "Pruned",
            Self::PruneSkipped => "PruneSkipped",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Synced, Self::SyncFailed, Self::Pruned, Self::PruneSkipped].into_iter().find(|c| c.as_str() == word)
    }
}

// === impl OperationPhase ===

impl OperationPhase {
    /// The word used in custom resources.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Terminating => "Terminating",
            Self::Failed => "Failed",
            Self::Error => "Error",
            Self::Succeeded => "Succeeded",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Running, Self::Terminating, Self::Failed, Self::Error, Self::Succeeded]
            .into_iter()
            .find(|p| p.as_str() == word)
    }

    /// Whether nothing more will happen.
    pub fn is_completed(self) -> bool {
        !matches!(self, Self::Running | Self::Terminating)
    }
}

// === impl Results ===

impl Results {
    pub(super) fn new(recorded: Vec<ResourceResult>) -> Self {
        let mut results = Self::default();
        for result in recorded {
            results.put(result);
        }
        results
    }

    pub(super) fn get(&self, key: &ResourceKey, phase: Phase) -> Option<&ResourceResult> {
        self.places.get(&(key.clone(), phase)).map(|place| &self.list[*place])
    }

    /// Adds a result or replaces the one of the same task where it stands.
    /// Answers whether anything changed.
    pub(super) fn put(&mut self, result: ResourceResult) -> bool {
        let place = (result.key.clone(), result.sync_phase);
        match self.places.get(&place) {
            Some(at) if self.list[*at] == result => false,
            Some(at) => {
                self.list[*at] = result;
                true
            }
            None => {
                self.places.insert(place, self.list.len());
                self.list.push(result);
                true
            }
        }
    }

    pub(super) fn as_slice(&self) -> &[ResourceResult] {
        &self.list
    }
}
