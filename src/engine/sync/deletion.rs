//! Deleting what an application owns, when the application is deleted: wave by
//! wave, highest first, until nothing that may be deleted is left.

use std::sync::Arc;

use argosy_model::options::SyncOptions;
use argosy_model::{ResourceKey, names, object};
use jiff::Timestamp;
use serde_json::Value;

use super::mode;
use crate::hook;

/// What a deletion is planned on.
#[derive(Clone, Debug)]
pub struct DeletionInput<'a> {
    /// Live objects of the application which its project lets it manage,
    /// without the Application itself.
    pub live: &'a [Arc<Value>],
    /// Sync options of the application.
    pub options: &'a SyncOptions,
    /// When the application was deleted.
    pub deleted_at: Timestamp,
    /// When a person approved deletions, from the Application's annotation.
    pub approved_at: Option<Timestamp>,
}

/// What to delete now, and what stands between now and the end. Made anew
/// whenever an object is gone.
#[derive(Clone, Debug, Default)]
pub struct DeletionPlan {
    /// To delete now, in parallel.
    pub delete_now: Vec<Arc<Value>>,
    /// Already being deleted; awaited before the next wave.
    pub going: Vec<ResourceKey>,
    /// Need a person's approval first. While there are any nothing is deleted.
    pub unconfirmed: Vec<ResourceKey>,
    /// Of later waves.
    pub later: Vec<ResourceKey>,
    /// Stay behind.
    pub kept: Vec<ResourceKey>,
    /// Whether nothing is left to delete.
    pub done: bool,
}

/// Plans the next step of a deletion. Pure: the same objects, the same plan.
pub fn plan_deletion(input: &DeletionInput<'_>) -> DeletionPlan {
    let (doomed, kept): (Vec<_>, Vec<_>) = input.live.iter().partition(|live| is_deletable(input.options, live));
    let mut plan = DeletionPlan {
        kept: kept.into_iter().map(|live| ResourceKey::of(live)).collect(),
        done: doomed.is_empty(),
        ..DeletionPlan::default()
    };
    // Kubernetes times have whole seconds: approval in the very second counts.
    let approved = input.approved_at.is_some_and(|at| at.as_second() >= input.deleted_at.as_second());
    let needs_approval =
        |live: &Value| !approved && !object::is_deleting(live) && option(input.options, live) == Some("confirm");
    plan.unconfirmed = doomed.iter().filter(|live| needs_approval(live)).map(|live| ResourceKey::of(live)).collect();

    let highest = doomed.iter().map(|live| hook::wave(live)).max();
    for live in doomed {
        if object::is_deleting(live) {
            plan.going.push(ResourceKey::of(live));
        } else if Some(hook::wave(live)) != highest {
            plan.later.push(ResourceKey::of(live));
        } else if plan.unconfirmed.is_empty() {
            plan.delete_now.push(live.clone());
        }
    }
    plan.delete_now.sort_by_cached_key(|live| ResourceKey::of(live));
    plan
}

/// Whether an object goes with its application. CRDs stay: deleting one
/// deletes every object of its type, whoever owns it.
pub fn is_deletable(options: &SyncOptions, live: &Value) -> bool {
    !mode::is_crd(live)
        && option(options, live) != Some("false")
        && object::annotation(live, names::HELM_RESOURCE_POLICY) != Some("keep")
}

fn option<'a>(options: &'a SyncOptions, live: &'a Value) -> Option<&'a str> {
    mode::option(options, None, Some(live), "Delete")
}
