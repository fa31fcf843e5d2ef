//! Doing what a sync pass says. No choices are made here.

use std::sync::Arc;
use std::time::Duration;

use argosy_cluster::{Applier, ApplyTask, Known, Mode, Propagation as Deletion};
use argosy_engine::sync::{Answer, ApplyMode, Outcome, Propagation, Task};
use argosy_model::{Gvk, ResourceKey, names, object};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use serde_json::Value;

use super::tally::{Tally, verb_of};
use crate::cluster::Target;

/// Writes of one application at once. Batches are independent of each other by
/// construction; the cluster's budget bounds all applications together.
const AT_ONCE: usize = 16;
/// Longest wait for a definition to be served.
const ESTABLISHED: Duration = Duration::from_secs(3);

/// Carries out the steps of one operation.
pub(super) struct Executor {
    pub(super) target: Arc<Target>,
    /// Acts as the project's service account where impersonation is on.
    pub(super) applier: Applier,
    pub(super) tally: Tally,
}

// === impl Executor ===

impl Executor {
    /// Applies targets, or only has the server check them.
    pub(super) async fn apply(&self, tasks: &[Task], dry_run: bool) -> Vec<Answer> {
        let answers = in_parallel(tasks, |task| self.apply_one(task, dry_run).boxed()).await;
        if !dry_run {
            self.await_definitions(tasks).await;
        }
        answers
    }

    async fn apply_one(&self, task: &Task, dry_run: bool) -> Outcome {
        let Some(target) = &task.target else { return Outcome::Failed("there is nothing to apply".to_owned()) };
        let force = match &task.mode {
            ApplyMode::ClientSide { force } | ApplyMode::ServerSide { force, .. } | ApplyMode::Replace { force } => {
                *force
            }
            ApplyMode::Create | ApplyMode::Update => false,
        };
        let apply = ApplyTask {
            target,
            mode: mode_of(&task.mode),
            force,
            dry_run,
            validate: task.validate,
            live: match (&task.mode, &task.live) {
                (ApplyMode::Create, _) | (_, None) => Known::Absent,
                (_, Some(live)) => Known::Present(live.clone()),
            },
        };
        let applied = self.applier.apply(&apply).await;
        self.tally.count(verb_of(task), task, dry_run, &applied);
        match applied {
            Ok(outcome) => Outcome::Applied { message: outcome.message, live: Some(Arc::new(outcome.live)) },
            Err(error) if task.mode == ApplyMode::Create && error.is_already_exists() => self.existing(task).await,
            Err(error) => Outcome::Failed(argosy_model::report(&error)),
        }
    }

    /// The object that a create ran into.
    async fn existing(&self, task: &Task) -> Outcome {
        match self.applier.get(&task.key).await {
            Ok(Some(live)) => Outcome::Exists(Arc::new(live)),
            Ok(None) => Outcome::Failed(format!("{} was there a moment ago and is gone; it is tried again", task.key)),
            Err(error) => Outcome::Failed(argosy_model::report(&error)),
        }
    }

    /// Kinds that were just defined must be usable by what is applied next.
    async fn await_definitions(&self, tasks: &[Task]) {
        let definitions: Vec<&Task> = tasks.iter().filter(|t| &*t.gvk.kind == "CustomResourceDefinition").collect();
        if definitions.is_empty() {
            return;
        }
        for task in definitions {
            if let Err(error) = self.applier.wait_established(&task.key.name, ESTABLISHED).await {
                // What needs the kind will say so in its own result.
                tracing::debug!(definition = %task.key.name, %error, "the definition is not established yet");
            }
        }
        self.discover().await;
    }

    /// Reads discovery anew.
    pub(super) async fn discover(&self) {
        if let Err(error) = self.target.discovery.refresh().await {
            tracing::debug!(server = self.target.server, %error, "discovery failed; the last answer stands");
        }
    }

    /// Deletes live objects.
    pub(super) async fn delete(&self, tasks: &[Task], propagation: Propagation) -> Vec<Answer> {
        let propagation = deletion(propagation);
        in_parallel(tasks, |task| {
            async move {
                let uid = task.live.as_deref().map(object::uid).filter(|uid| !uid.is_empty());
                let deleted = self.applier.delete(&task.key, propagation, uid).await;
                self.tally.count("delete", task, false, &deleted);
                match deleted {
                    Ok(()) => self.deleted(&task.key).await,
                    // The name belongs to another object by now, so ours is gone.
                    Err(error) if error.is_conflict() => Outcome::Deleted { gone: true },
                    Err(error) => Outcome::Failed(argosy_model::report(&error)),
                }
            }
            .boxed()
        })
        .await
    }

    async fn deleted(&self, key: &ResourceKey) -> Outcome {
        match self.target.live.fetch(key).await {
            Ok(None) => Outcome::Deleted { gone: true },
            // Whether it is gone shows in the watch.
            Ok(Some(_)) | Err(_) => Outcome::Deleted { gone: false },
        }
    }

    /// Takes our finalizer off hooks.
    pub(super) async fn release(&self, tasks: &[Task]) -> Vec<Answer> {
        in_parallel(tasks, |task| {
            async move {
                match self.applier.remove_finalizer(&task.key, names::FINALIZER_HOOK).await {
                    Ok(()) => Outcome::Released,
                    Err(error) if error.is_not_found() => Outcome::Released,
                    Err(error) => Outcome::Failed(argosy_model::report(&error)),
                }
            }
            .boxed()
        })
        .await
    }

    /// Reads objects from the server itself.
    pub(super) async fn confirm(&self, tasks: &[Task]) -> Vec<Answer> {
        in_parallel(tasks, |task| {
            async move {
                match self.applier.get(&task.key).await {
                    Ok(Some(live)) => Outcome::Found(Arc::new(live)),
                    Ok(None) => Outcome::Absent,
                    Err(error) => Outcome::Failed(argosy_model::report(&error)),
                }
            }
            .boxed()
        })
        .await
    }
}

/// Runs one future per task, some at once, and collects the answers as they come.
async fn in_parallel<'a>(tasks: &'a [Task], run: impl Fn(&'a Task) -> BoxFuture<'a, Outcome>) -> Vec<Answer> {
    let running: Vec<_> =
        tasks.iter().map(|task| run(task).map(|outcome| Answer { id: task.id, outcome }).boxed()).collect();
    futures::stream::iter(running).buffer_unordered(AT_ONCE).collect().await
}

fn mode_of(mode: &ApplyMode) -> Mode {
    match mode {
        ApplyMode::ClientSide { .. } => Mode::ClientSide,
        ApplyMode::ServerSide { migrate_from, .. } => {
            Mode::ServerSide { manager: names::FIELD_MANAGER.to_owned(), migrate_from: migrate_from.clone() }
        }
        // Replacing what is known to be absent is a plain create.
        ApplyMode::Create | ApplyMode::Replace { .. } | ApplyMode::Update => Mode::Replace,
    }
}

pub(super) fn deletion(propagation: Propagation) -> Deletion {
    match propagation {
        Propagation::Foreground => Deletion::Foreground,
        Propagation::Background => Deletion::Background,
        Propagation::Orphan => Deletion::Orphan,
    }
}

/// Whether a kind is served, in the words of the sync engine.
pub(super) fn served(target: &Target, gvk: &Gvk) -> argosy_engine::sync::Served {
    use argosy_engine::sync::Served;
    let catalog = target.discovery.catalog();
    if let Some(resource) = catalog.get(gvk) {
        return if resource.namespaced { Served::Namespaced } else { Served::Cluster };
    }
    match catalog.preferred(&gvk.group_kind()) {
        Some(resource) => Served::OtherVersion(resource.gvk.version.to_string()),
        None => Served::Missing,
    }
}

/// A namespace manifest.
pub(super) fn namespace_manifest(name: &str) -> Value {
    serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}
