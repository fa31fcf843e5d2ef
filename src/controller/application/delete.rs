//! Letting an application go: hooks before, its resources, hooks after, and the
//! finalizers, each off when its part is done.
//!
//! Every pass plans anew from what is live, so a crash anywhere goes on where it
//! was. An application whose cluster is no longer declared is let go as it is:
//! nobody could clean up there.

use std::sync::Arc;
use std::time::Duration;

use argosy_cluster::Propagation;
use argosy_engine::condition::{Finding, Kind, merge_conditions};
use argosy_engine::hook::{self, HookType};
use argosy_engine::refresh::Level;
use argosy_engine::sync::{DeletionInput, plan_deletion};
use argosy_model::{AppKey, Gvk, ResourceKey, names, object};
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::Application;
use jiff::Timestamp;
use serde_json::Value;

use super::compare::sync_options;
use super::delete_hooks;
use super::pass::Verdict;
use super::record::Draft;
use super::{destination, narrate};
use crate::cluster::Target;
use crate::context::Shared;

/// Objects that go are seen by the watch; this is for what it might miss.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// What a step of the deletion came to.
pub(super) enum Step {
    /// This part is done.
    Done,
    /// Something is still on its way; look again when it changes.
    Pending,
    /// It did not work, in words for the owner.
    Failed(String),
}

/// Deletes as far as it goes now.
pub(super) async fn run(
    shared: &Arc<Shared>,
    key: &AppKey,
    app: Arc<Application>,
) -> Result<Verdict, argosy_home::Error> {
    if !has_own_finalizer(&app) {
        return Ok(Verdict::Idle);
    }
    let mut draft = Draft::new(shared.clone(), key.clone(), app);
    let spec = draft.app.spec.clone().unwrap_or_default();
    let cluster = match destination::cluster_of(shared, &spec) {
        Ok(cluster) => cluster,
        Err(error) if error.is_unknown_cluster() => {
            tracing::warn!(application = %key, %error, "the destination is not declared any more; nothing is cleaned up there");
            draft.app.metadata_mut().finalizers.retain(|f| !is_own(f));
            draft.persist().await?;
            return Ok(Verdict::Idle);
        }
        Err(error) => return fail(shared, &mut draft, &error.to_string()).await,
    };
    let target = match shared.turns.aside(shared.directory.target(key, &cluster.server)).await {
        Ok(target) => target,
        Err(reason) => return fail(shared, &mut draft, &format!("the cluster cannot be reached: {reason}")).await,
    };
    if let Some((kind, reason)) = target.live.unread() {
        // What it has of that kind would be left behind.
        return fail(shared, &mut draft, &format!("{kind} cannot be read: {reason}")).await;
    }
    type Part = (&'static [&'static str], Stage);
    const PARTS: [Part; 4] = [
        (&[names::FINALIZER_PRE_DELETE], Stage::Hooks(HookType::PreDelete)),
        (
            &[names::FINALIZER_RESOURCES, names::FINALIZER_RESOURCES_FOREGROUND, names::FINALIZER_RESOURCES_BACKGROUND],
            Stage::Resources,
        ),
        (&[names::FINALIZER_POST_DELETE], Stage::Hooks(HookType::PostDelete)),
        (&[names::FINALIZER_PRE_DELETE_CLEANUP, names::FINALIZER_POST_DELETE_CLEANUP], Stage::Cleanup),
    ];
    for (finalizers, stage) in PARTS {
        let here = |f: &String| finalizers.contains(&f.as_str());
        if !draft.app.metadata().finalizers.iter().any(here) {
            continue;
        }
        let step = match stage {
            Stage::Resources => resources(shared, &draft, &target, &cluster).await,
            Stage::Hooks(moment) => delete_hooks::run(shared, &draft, &target, moment).await,
            Stage::Cleanup => delete_hooks::clean_up(shared, &draft, &target).await,
        };
        match step {
            Step::Done => {
                draft.app.metadata_mut().finalizers.retain(|f| !here(f));
                clear_error(&mut draft);
                draft.persist().await?;
            }
            Step::Pending => return Ok(Verdict::Again(LOOK_AGAIN, Level::Recorded)),
            Step::Failed(reason) => return fail(shared, &mut draft, &reason).await,
        }
    }
    Ok(Verdict::Idle)
}

#[derive(Clone, Copy)]
enum Stage {
    Hooks(HookType),
    Resources,
    Cleanup,
}

fn is_own(finalizer: &str) -> bool {
    let own = [names::FINALIZER_RESOURCES, names::FINALIZER_PRE_DELETE, names::FINALIZER_POST_DELETE];
    own.iter().any(|f| finalizer.strip_prefix(f).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn has_own_finalizer(app: &Application) -> bool {
    app.metadata().finalizers.iter().any(|f| is_own(f))
}

/// When the application was deleted.
pub(super) fn deleted_at(app: &Application, now: Timestamp) -> Timestamp {
    app.metadata().deletion_timestamp.map_or(now, |at| at.timestamp())
}

/// Deletes the next wave of what the application owns.
async fn resources(shared: &Shared, draft: &Draft, target: &Target, cluster: &argosy_home::ClusterSecret) -> Step {
    let project = destination::project_name(&draft.app.spec.clone().unwrap_or_default()).to_owned();
    let Some(project) = shared.projects.get(&shared.home, &shared.options.namespace, &project) else {
        return Step::Failed(format!("Application referencing project {project} which does not exist"));
    };
    let owned = match owned(shared, draft, target).await {
        Ok(owned) => owned,
        Err(reason) => return Step::Failed(reason),
    };
    let catalog = target.discovery.catalog();
    let may_go = |live: &Arc<Value>| {
        let namespaced = catalog.is_namespaced(&Gvk::of(live).group_kind()).unwrap_or(true);
        let key = ResourceKey::of(live);
        !hook::is_delete_only(live)
            && !is_self(&draft.app, &key)
            && project.rules.permits_live_resource(&key, namespaced, &cluster.server, &cluster.name).permitted
    };
    let live: Vec<Arc<Value>> = owned.into_iter().filter(may_go).collect();
    let options = sync_options(&draft.app.spec.clone().unwrap_or_default());
    let plan = plan_deletion(&DeletionInput {
        live: &live,
        options: &options,
        deleted_at: deleted_at(&draft.app, (shared.clock)()),
        approved_at: draft
            .app
            .metadata()
            .annotations
            .get(names::ANNOTATION_DELETION_APPROVED)
            .and_then(|a| a.parse().ok()),
    });
    if !plan.unconfirmed.is_empty() {
        tracing::info!(application = %draft.key, objects = plan.unconfirmed.len(), "deletion waits for a person's approval");
    }
    let background = draft.app.metadata().finalizers.iter().any(|f| f == names::FINALIZER_RESOURCES_BACKGROUND);
    let propagation = if background { Propagation::Background } else { Propagation::Foreground };
    for object in &plan.delete_now {
        let key = ResourceKey::of(object);
        let uid = object::uid(object);
        let deleting = target.applier.delete(&key, propagation, (!uid.is_empty()).then_some(uid));
        if let Err(error) = shared.turns.aside(deleting).await {
            return Step::Failed(format!("failed to delete {key}: {}", argosy_model::report(&error)));
        }
    }
    if plan.done { Step::Done } else { Step::Pending }
}

/// The application's live objects, whole.
pub(super) async fn owned(shared: &Shared, draft: &Draft, target: &Target) -> Result<Vec<Arc<Value>>, String> {
    let instance = draft.key.instance_name(&shared.options.namespace);
    let mut out = Vec::new();
    for live in target.live.owned_by(&instance) {
        if !live.self_referenced {
            continue;
        }
        match live.full() {
            Some(full) => out.push(full),
            None => {
                let read = shared.turns.aside(target.live.fetch(&live.key)).await;
                out.extend(read.map_err(|e| argosy_model::report(&e))?.map(Arc::new));
            }
        }
    }
    Ok(out)
}

fn is_self(app: &Application, key: &ResourceKey) -> bool {
    &*key.kind == "Application"
        && &*key.group == names::GROUP
        && app.metadata().name == *key.name
        && app.metadata().namespace == *key.namespace
}

fn clear_error(draft: &mut Draft) {
    if let Some(status) = &mut draft.app.status {
        status.conditions.retain(|c| c.r#type != Kind::DeletionError.as_str());
    }
}

async fn fail(shared: &Shared, draft: &mut Draft, reason: &str) -> Result<Verdict, argosy_home::Error> {
    let status = draft.app.status.get_or_insert_default();
    let finding = Finding::new(Kind::DeletionError, reason);
    let known = status.conditions.iter().any(|c| c.message == reason);
    status.conditions = merge_conditions(&status.conditions, &[Kind::DeletionError], &[finding], (shared.clock)());
    if !known {
        narrate::trouble(shared, &draft.app, &format!("Unable to delete application resources: {reason}"));
    }
    draft.persist().await?;
    Ok(Verdict::Failed)
}
