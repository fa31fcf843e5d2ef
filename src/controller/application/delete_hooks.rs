//! Running the hooks around an application's deletion.

use std::sync::Arc;

use argosy_cluster::{ApplyTask, Propagation};
use argosy_engine::health::Overrides;
use argosy_engine::hook::{self, HookType};
use argosy_engine::sync::deletion_hooks::{DeletionHooksInput, plan_deletion_hooks, plan_deletion_hooks_cleanup};
use argosy_engine::target::{TargetContext, prepare_targets};
use argosy_model::{Gvk, ResourceKey, object};
use argosy_proto::v1alpha1::Application;
use serde_json::Value;

use super::delete::{Step, deleted_at, owned};
use super::record::Draft;
use super::resolve::{self, sources_of};
use crate::cluster::Target;
use crate::context::Shared;
use crate::repository::Asked;

/// Creates what is due, waits for what runs, removes what failed.
pub(super) async fn run(shared: &Arc<Shared>, draft: &Draft, target: &Target, moment: HookType) -> Step {
    let (hooks, revision) = match manifests(shared, draft, target).await {
        Ok(found) => found,
        Err(reason) => return Step::Failed(reason),
    };
    let live = match owned(shared, draft, target).await {
        Ok(live) => live,
        Err(reason) => return Step::Failed(reason),
    };
    let health = shared.health.of(&shared.home.settings());
    let found = |key: &ResourceKey| find(&live, key);
    let plan = plan_deletion_hooks(&input(shared, draft, moment, &hooks, &revision, &found, &*health));
    for manifest in &plan.create {
        if let Err(error) = target.applier.apply(&ApplyTask::new(manifest)).await {
            return Step::Failed(format!("{}: {}", object::name(manifest), argosy_model::report(&error)));
        }
    }
    if !plan.failed.is_empty() {
        let mut reasons = Vec::new();
        for (failed, reason) in &plan.failed {
            reasons.push(format!("{}: {reason}", object::name(failed)));
            delete(target, failed).await;
        }
        return Step::Failed(format!("{} hook(s) failed: {}", moment.as_str(), reasons.join(", ")));
    }
    if plan.done { Step::Done } else { Step::Pending }
}

/// Deletes the hooks' objects as their policies say.
pub(super) async fn clean_up(shared: &Arc<Shared>, draft: &Draft, target: &Target) -> Step {
    let (hooks, revision) = match manifests(shared, draft, target).await {
        Ok(found) => found,
        Err(reason) => return Step::Failed(reason),
    };
    let live = match owned(shared, draft, target).await {
        Ok(live) => live,
        Err(reason) => return Step::Failed(reason),
    };
    let health = shared.health.of(&shared.home.settings());
    for moment in [HookType::PreDelete, HookType::PostDelete] {
        let found = |key: &ResourceKey| find(&live, key);
        let doomed = plan_deletion_hooks_cleanup(&input(shared, draft, moment, &hooks, &revision, &found, &*health));
        for object in doomed {
            delete(target, &object).await;
        }
    }
    Step::Done
}

fn input<'a>(
    shared: &Shared,
    draft: &Draft,
    moment: HookType,
    hooks: &'a [Arc<Value>],
    revision: &'a str,
    live: &'a dyn Fn(&ResourceKey) -> Option<Arc<Value>>,
    overrides: &'a dyn Overrides,
) -> DeletionHooksInput<'a> {
    DeletionHooksInput {
        moment,
        hooks,
        live,
        revision,
        deleted_at: deleted_at(&draft.app, (shared.clock)()),
        overrides,
    }
}

fn find(live: &[Arc<Value>], key: &ResourceKey) -> Option<Arc<Value>> {
    live.iter().find(|object| ResourceKey::of(object) == *key).cloned()
}

async fn delete(target: &Target, object: &Value) {
    let key = ResourceKey::of(object);
    let uid = object::uid(object);
    let deleted = target.applier.delete(&key, Propagation::Background, (!uid.is_empty()).then_some(uid)).await;
    if let Err(error) = deleted {
        // The next pass finds it again.
        tracing::warn!(object = %key, error = argosy_model::report(&error), "a hook could not be deleted");
    }
}

/// The hooks of the revision that is deployed.
async fn manifests(shared: &Arc<Shared>, draft: &Draft, target: &Target) -> Result<(Vec<Arc<Value>>, String), String> {
    let spec = draft.app.spec.clone().unwrap_or_default();
    let sources = sources_of(&spec);
    let deployed = deployed_revisions(&draft.app);
    let asked = |index: usize| match deployed.get(index).filter(|r| !r.is_empty()) {
        Some(commit) => Asked::Commit(commit.clone()),
        None => Asked::Latest(None),
    };
    let mut none = None;
    let generating = resolve::generate(shared, &mut none, &draft.key, &spec, &sources, &asked, false);
    let found = shared.turns.aside(generating).await.map_err(|e| e.message)?;
    let settings = shared.home.settings();
    let catalog = target.discovery.catalog();
    let manifests: Vec<Arc<Value>> = found.rendered.iter().flat_map(|r| r.manifests.iter().cloned()).collect();
    let targets = prepare_targets(
        &manifests,
        &TargetContext {
            instance: &draft.key.instance_name(&shared.options.namespace),
            namespace: spec.destination.as_ref().map(|d| d.namespace.as_str()).unwrap_or_default(),
            tracking: &settings.tracking,
            is_namespaced: &|gvk: &Gvk| catalog.is_namespaced(&gvk.group_kind()),
            is_excluded: &|gvk| settings.filter.excludes(&gvk.group, &gvk.kind, &target.server),
        },
    );
    let hooks = targets.objects.into_iter().filter(|o| hook::is_delete_only(o)).collect();
    Ok((hooks, found.revisions.first().cloned().unwrap_or_default()))
}

fn deployed_revisions(app: &Application) -> Vec<String> {
    let Some(last) = app.status.as_ref().and_then(|s| s.history.last()) else { return Vec::new() };
    if last.revisions.is_empty() { vec![last.revision.clone()] } else { last.revisions.clone() }
}
