//! Hooks: objects that run at a point of a sync (or of a deletion) instead of
//! being kept in place. Everything about them is read off their annotations,
//! Argo CD's own or, where there are none, Helm's.

use argosy_model::{names, object};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which run of which operation made a hook, written on the hook itself when it
/// is created: `<startedAt unix>.<attempt>.<phase lower>`. It is how a new
/// process recognises a hook that was started just before the old one died.
pub const ANNOTATION_RUN: &str = "argosy.dev/hook-run";

/// How much of a revision goes into a generated name, in characters.
const REVISION_IN_NAME: usize = 7;

/// When a hook runs, or that it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HookType {
    /// Before the manifests are applied.
    PreSync,
    /// With the manifests.
    Sync,
    /// When everything is applied and healthy.
    PostSync,
    /// When the sync has failed.
    SyncFail,
    /// Not at all: the object is left alone.
    Skip,
    /// Before the application's resources are deleted.
    PreDelete,
    /// After they are.
    PostDelete,
}

/// A phase of a sync, in the order in which they run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// Before the manifests are applied.
    PreSync,
    /// The manifests themselves and hooks among them.
    #[default]
    Sync,
    /// When everything is applied and healthy.
    PostSync,
    /// Only when something failed.
    SyncFail,
}

/// When a hook's object is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeletePolicy {
    /// When the operation has succeeded.
    HookSucceeded,
    /// When the operation has failed.
    HookFailed,
    /// Just before it is created anew. The default.
    BeforeHookCreation,
}

// === impl HookType ===

impl HookType {
    /// The word used in annotations and results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreSync => "PreSync",
            Self::Sync => "Sync",
            Self::PostSync => "PostSync",
            Self::SyncFail => "SyncFail",
            Self::Skip => "Skip",
            Self::PreDelete => "PreDelete",
            Self::PostDelete => "PostDelete",
        }
    }

    /// Reads one word of the annotation; `None` when it is none of ours.
    pub fn parse(word: &str) -> Option<Self> {
        let all =
            [Self::PreSync, Self::Sync, Self::PostSync, Self::SyncFail, Self::Skip, Self::PreDelete, Self::PostDelete];
        all.into_iter().find(|kind| kind.as_str() == word)
    }

    fn of_helm(word: &str) -> Option<Self> {
        match word {
            "pre-install" | "pre-upgrade" => Some(Self::PreSync),
            "post-install" | "post-upgrade" => Some(Self::PostSync),
            "pre-delete" => Some(Self::PreDelete),
            "post-delete" => Some(Self::PostDelete),
            _ => None,
        }
    }

    /// The phase of a sync in which hooks of this type run.
    pub fn phase(self) -> Option<Phase> {
        match self {
            Self::PreSync => Some(Phase::PreSync),
            Self::Sync => Some(Phase::Sync),
            Self::PostSync => Some(Phase::PostSync),
            Self::SyncFail => Some(Phase::SyncFail),
            Self::Skip | Self::PreDelete | Self::PostDelete => None,
        }
    }
}

// === impl Phase ===

impl Phase {
    /// The word used in results.
    pub fn as_str(self) -> &'static str {
        self.hook_type().as_str()
    }

    /// Reads the word; `None` when it is no phase.
    pub fn parse(word: &str) -> Option<Self> {
        HookType::parse(word)?.phase()
    }

    /// The type of the hooks that run in this phase.
    pub fn hook_type(self) -> HookType {
        match self {
            Self::PreSync => HookType::PreSync,
            Self::Sync => HookType::Sync,
            Self::PostSync => HookType::PostSync,
            Self::SyncFail => HookType::SyncFail,
        }
    }
}

/// The hook types of an object, in the order written, each once.
///
/// Helm's word counts only where Argo CD's says nothing valid.
pub fn types(object: &Value) -> Vec<HookType> {
    let mut types: Vec<HookType> =
        object::annotation_list(object, names::ANNOTATION_HOOK).filter_map(HookType::parse).collect();
    if types.is_empty() {
        types = object::annotation_list(object, names::HELM_HOOK).filter_map(HookType::of_helm).collect();
    }
    let mut seen = Vec::new();
    types.retain(|kind| {
        !seen.contains(kind) && {
            seen.push(*kind);
            true
        }
    });
    types
}

/// Whether the object is a hook of any kind, known or not.
pub fn is_hook(object: &Value) -> bool {
    if object::annotation(object, names::ANNOTATION_HOOK).is_some() {
        return !is_skipped(object);
    }
    // Helm once marked CRDs this way; they are ordinary objects.
    object::annotation(object, names::HELM_HOOK).is_some_and(|word| word != "crd-install")
}

/// Whether the object asks to be left alone (`Skip` and nothing else).
pub fn is_skipped(object: &Value) -> bool {
    types(object) == [HookType::Skip]
}

/// Whether the object is marked as a hook and names no moment we know, such as
/// Helm's `test`: it never runs and is never compared.
pub fn is_ignored(object: &Value) -> bool {
    is_hook(object) && types(object).is_empty()
}

/// Whether the object is a hook of this type.
pub fn has_type(object: &Value, kind: HookType) -> bool {
    is_hook(object) && types(object).contains(&kind)
}

/// Whether the object runs on deletion only, and so is no part of a sync.
pub fn is_delete_only(object: &Value) -> bool {
    let types = types(object);
    is_hook(object)
        && !types.is_empty()
        && types.iter().all(|kind| matches!(kind, HookType::PreDelete | HookType::PostDelete))
}

/// The phases in which an object takes part in a sync: those of its hook types,
/// [`Phase::Sync`] for an ordinary object, none for one that is skipped.
pub fn phases(object: &Value) -> Vec<Phase> {
    if is_skipped(object) {
        return Vec::new();
    }
    if !is_hook(object) {
        return vec![Phase::Sync];
    }
    let mut phases: Vec<Phase> = types(object).into_iter().filter_map(HookType::phase).collect();
    phases.sort_unstable();
    phases
}

/// When the hook's object is deleted. Never empty.
pub fn delete_policies(object: &Value) -> Vec<DeletePolicy> {
    let argo = object::annotation_list(object, names::ANNOTATION_HOOK_DELETE_POLICY).filter_map(|word| match word {
        "HookSucceeded" => Some(DeletePolicy::HookSucceeded),
        "HookFailed" => Some(DeletePolicy::HookFailed),
        "BeforeHookCreation" => Some(DeletePolicy::BeforeHookCreation),
        _ => None,
    });
    let helm = object::annotation_list(object, names::HELM_HOOK_DELETE_POLICY).filter_map(|word| match word {
        "hook-succeeded" => Some(DeletePolicy::HookSucceeded),
        "hook-failed" => Some(DeletePolicy::HookFailed),
        "before-hook-creation" => Some(DeletePolicy::BeforeHookCreation),
        _ => None,
    });
    let mut policies: Vec<DeletePolicy> = argo.collect();
    policies.extend(helm);
    if policies.is_empty() {
        policies.push(DeletePolicy::BeforeHookCreation);
    }
    policies.sort_unstable();
    policies.dedup();
    policies
}

/// The wave of an object: its own annotation, else Helm's weight, else 0.
pub fn wave(object: &Value) -> i64 {
    [names::ANNOTATION_SYNC_WAVE, names::HELM_HOOK_WEIGHT]
        .into_iter()
        .filter_map(|key| object::annotation(object, key))
        // Within 32 bits, so that arithmetic on waves cannot overflow.
        .find_map(|text| text.trim().parse::<i32>().ok())
        .map_or(0, i64::from)
}

/// The name of a hook that has only a `generateName`: the same for the whole
/// operation, so that it is found again.
pub fn generated_name(generate_name: &str, revision: &str, moment: HookType, started_at: Timestamp) -> String {
    let revision: String = revision.chars().take(REVISION_IN_NAME).collect();
    let suffix = format!("{revision}-{}-{}", moment.as_str(), started_at.as_second()).to_lowercase();
    format!("{generate_name}{suffix}")
}

/// The value of [`ANNOTATION_RUN`] for one phase of one attempt of an operation.
pub fn run_id(started_at: Timestamp, attempt: i64, phase: Phase) -> String {
    format!("{}.{attempt}.{}", started_at.as_second(), phase.as_str().to_lowercase())
}

/// Whether our finalizer holds the object.
pub fn is_held(object: &Value) -> bool {
    object::finalizers(object).any(|finalizer| finalizer == names::FINALIZER_HOOK)
}

/// Adds our finalizer and the run to a hook's manifest.
pub(crate) fn prepare(manifest: &mut Value, run: &str) {
    object::set_annotation(manifest, ANNOTATION_RUN, run);
    if is_held(manifest) {
        return;
    }
    if let Some(metadata) = object::metadata(manifest) {
        let finalizers = metadata.entry("finalizers").or_insert(Value::Null);
        if !finalizers.is_array() {
            *finalizers = Value::Array(Vec::new());
        }
        if let Some(list) = finalizers.as_array_mut() {
            list.push(Value::String(names::FINALIZER_HOOK.to_owned()));
        }
    }
}
