//! Hooks around an application's deletion: PreDelete before its resources go,
//! PostDelete after. They are made wave by wave, each wave ends before the next
//! begins, and a failed one is removed so that the deletion can be tried again.

use std::sync::Arc;

use argosy_model::{ResourceKey, object};
use jiff::Timestamp;
use serde_json::Value;

use crate::health::{self, Overrides, Status};
use crate::hook::{self, DeletePolicy, HookType};

/// What the hooks of a deletion are planned on.
pub struct DeletionHooksInput<'a> {
    /// [`HookType::PreDelete`] or [`HookType::PostDelete`].
    pub moment: HookType,
    /// Hook manifests of the last synced revision, in their namespaces. Others
    /// than those of `moment` are left out.
    pub hooks: &'a [Arc<Value>],
    /// What lives under a key.
    pub live: &'a dyn Fn(&ResourceKey) -> Option<Arc<Value>>,
    /// Revision of the manifests, for generated names.
    pub revision: &'a str,
    /// When the application was deleted.
    pub deleted_at: Timestamp,
    /// The user's health rules.
    pub overrides: &'a dyn Overrides,
}

/// What to do about them now.
#[derive(Clone, Debug, Default)]
pub struct DeletionHooksPlan {
    /// To create, complete with names.
    pub create: Vec<Arc<Value>>,
    /// Under way.
    pub running: Vec<ResourceKey>,
    /// Failed, with what they say: to be deleted; the deletion has an error.
    pub failed: Vec<(Arc<Value>, String)>,
    /// Whether all have succeeded.
    pub done: bool,
}

/// Plans the next step of running the hooks.
pub fn plan_deletion_hooks(input: &DeletionHooksInput<'_>) -> DeletionHooksPlan {
    let mut plan = DeletionHooksPlan::default();
    let mut hooks = manifests(input);
    hooks.sort_by_cached_key(|manifest| (hook::wave(manifest), ResourceKey::of(manifest)));
    let mut wave = None;
    for manifest in hooks {
        let is_later = wave.is_some_and(|wave| wave != hook::wave(&manifest));
        if is_later && !(plan.create.is_empty() && plan.running.is_empty() && plan.failed.is_empty()) {
            return plan;
        }
        wave = Some(hook::wave(&manifest));
        let key = ResourceKey::of(&manifest);
        let Some(live) = (input.live)(&key) else {
            plan.create.push(Arc::new(manifest));
            continue;
        };
        match health::assess(&live, input.overrides) {
            Some(health) if matches!(health.status, Status::Degraded | Status::Unknown) => {
                plan.failed.push((live, health.message));
            }
            Some(health) if health.status != Status::Healthy => plan.running.push(key),
            _ => {}
        }
    }
    plan.done = plan.create.is_empty() && plan.running.is_empty() && plan.failed.is_empty();
    plan
}

/// The live hooks that go once all is over: those that ask to be deleted on
/// success when all succeeded, on failure when one did not.
pub fn plan_deletion_hooks_cleanup(input: &DeletionHooksInput<'_>) -> Vec<Arc<Value>> {
    let live: Vec<Arc<Value>> =
        manifests(input).iter().filter_map(|manifest| (input.live)(&ResourceKey::of(manifest))).collect();
    let has_failed = |live: &Arc<Value>| {
        health::assess(live, input.overrides).is_some_and(|h| matches!(h.status, Status::Degraded | Status::Unknown))
    };
    let policy = if live.iter().any(has_failed) { DeletePolicy::HookFailed } else { DeletePolicy::HookSucceeded };
    live.into_iter()
        .filter(|live| hook::delete_policies(live).contains(&policy) && !object::is_deleting(live))
        .collect()
}

fn manifests(input: &DeletionHooksInput<'_>) -> Vec<Value> {
    let of_moment = input.hooks.iter().filter(|manifest| hook::has_type(manifest, input.moment));
    of_moment
        .map(|manifest| {
            let mut manifest = Value::clone(manifest);
            if object::name(&manifest).is_empty() {
                let name = hook::generated_name(
                    object::generate_name(&manifest),
                    input.revision,
                    input.moment,
                    input.deleted_at,
                );
                if let Some(metadata) = object::metadata(&mut manifest) {
                    metadata.insert("name".to_owned(), Value::String(name));
                }
            }
            manifest
        })
        .collect()
}
