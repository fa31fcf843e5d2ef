//! What an application remembers between passes: all of it can be had again,
//! and is, after a restart.

use std::collections::HashMap;
use std::sync::Arc;

use argosy_engine::compare::Pair;
use argosy_engine::diff::ServerSideDiff;
use argosy_engine::health::Contribution;
use argosy_engine::normalize::Normalizer;
use argosy_engine::target::Targets;
use argosy_fleet::{Epoch, Ownership, Succession};
use argosy_home::Settings;
use argosy_model::{ResourceKey, object};
use argosy_proto::v1alpha1::ResourceIgnoreDifferences;
use argosy_render::Rendered;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::resolve::RememberedSources;

/// See the module's page.
#[derive(Default)]
pub(crate) struct Memory {
    /// The ownership it was gathered under. Under another one, others have worked
    /// on the application in between.
    pub(crate) epoch: Option<Epoch>,
    /// How that ownership follows on the one before.
    pub(crate) succession: Option<Succession>,
    /// When a comparison last came through, recorded or not.
    pub(crate) compared_at: Option<Timestamp>,
    /// Since when the repository has failed without interruption.
    pub(crate) repository_failing_since: Option<Timestamp>,
    /// Some wanted kinds are not served by the destination.
    pub(crate) misses_kinds: bool,
    /// The dry run of the running operation's attempt is behind it.
    pub(crate) validated: Option<(Timestamp, i64)>,
    pub(crate) sources: Option<RememberedSources>,
    pub(crate) targets: Option<RememberedTargets>,
    pub(crate) normalizer: Option<RememberedNormalizer>,
    pub(crate) manner: Manner,
    /// By key: the pair that was compared and what came of it.
    pub(crate) verdicts: HashMap<ResourceKey, PairVerdict>,
}

/// How pairs are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manner {
    /// The API server is asked.
    pub(crate) server_side_diff: Option<ServerSideDiff>,
    /// As a server-side apply would turn out, for objects that do not say otherwise.
    pub(crate) server_side_apply: bool,
}

/// Targets and everything they were made of.
pub(crate) struct RememberedTargets {
    pub(crate) rendered: Vec<Arc<Rendered>>,
    pub(crate) namespace: String,
    pub(crate) settings: Arc<Settings>,
    pub(crate) kinds: u64,
    pub(crate) targets: Arc<Targets>,
}

/// Compiled ignore rules and what they were compiled of.
pub(crate) struct RememberedNormalizer {
    pub(crate) settings: Arc<Settings>,
    pub(crate) rules: Vec<ResourceIgnoreDifferences>,
    pub(crate) normalizer: Arc<Normalizer>,
}

/// What came of comparing one pair. Holds as long as both sides are the same.
pub(crate) struct PairVerdict {
    pub(crate) target: Option<Arc<Value>>,
    pub(crate) live: Option<Arc<Value>>,
    /// `metadata.resourceVersion` of the live side; empty without one.
    pub(crate) resource_version: String,
    pub(crate) modified: bool,
    pub(crate) contribution: Contribution,
}

// === impl Memory ===

impl Memory {
    /// Begins anew where it was gathered under another ownership.
    pub(crate) fn belong_to(&mut self, right: &Ownership) {
        if self.epoch != Some(right.epoch()) {
            let succession = Some(right.succession().clone());
            *self = Self { epoch: Some(right.epoch()), succession, ..Self::default() };
        }
    }

    /// What was listed of repositories before may be older than what the owner before
    /// has deployed.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.succession.as_ref().and_then(Succession::since)
    }

    /// The live object as parsed last, if it is still that version.
    pub(crate) fn live(&self, key: &ResourceKey, resource_version: &str) -> Option<Arc<Value>> {
        let verdict = self.verdicts.get(key).filter(|v| v.resource_version == resource_version)?;
        verdict.live.clone()
    }

    /// Forgets the verdicts that were found in another manner.
    pub(crate) fn compare_by(&mut self, manner: Manner) {
        if std::mem::replace(&mut self.manner, manner) != manner {
            self.verdicts.clear();
        }
    }

    /// Forgets what a hard refresh must not use.
    pub(crate) fn forget(&mut self) {
        self.sources = None;
        self.targets = None;
        self.normalizer = None;
        self.verdicts.clear();
    }
}

// === impl PairVerdict ===

impl PairVerdict {
    /// The verdict that a judged pair carries.
    pub(crate) fn of(pair: &Pair) -> Self {
        Self {
            target: pair.target.clone(),
            live: pair.live.clone(),
            resource_version: pair.live.as_ref().map(|l| object::resource_version(l).to_owned()).unwrap_or_default(),
            modified: pair.modified,
            contribution: pair.contribution.clone(),
        }
    }

    /// Whether the verdict was about these very objects.
    pub(crate) fn is_about(&self, target: Option<&Arc<Value>>, live: Option<&Arc<Value>>) -> bool {
        let same = |a: Option<&Arc<Value>>, b: Option<&Arc<Value>>| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        same(self.target.as_ref(), target) && same(self.live.as_ref(), live)
    }
}
