//! Follows the operations of all applications from the first to the last: none may fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail, ensure};
use argosy_tests::application::resource;
use futures::StreamExt;
use kube::api::{Api, DynamicObject, ListParams, WatchEvent, WatchParams};
use serde_json::Value;
use tokio::task::JoinHandle;

/// Most of what is told of failures.
const TOLD: usize = 5;

/// See the module's page; it follows until this is dropped.
pub(crate) struct Operations {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Seen {
    /// The last end of an operation of each application: its beginning, its end and its
    /// phase, for times are told in whole seconds.
    last: BTreeMap<String, [String; 3]>,
    ended: usize,
    /// Attempts that were made again within an operation.
    retried: usize,
    failures: Vec<String>,
    /// Why it follows no longer.
    broken: Option<String>,
}

// === impl Operations ===

impl Operations {
    /// Begins before there is an application.
    pub(crate) async fn follow(client: kube::Client) -> anyhow::Result<Self> {
        let apps: Api<DynamicObject> = Api::namespaced_with(client, "argocd", &resource("Application", "applications"));
        let list = apps.list_metadata(&ListParams::default()).await.context("listing applications")?;
        ensure!(list.items.is_empty(), "there are applications already");
        let version = list.metadata.resource_version.context("a list has a version")?;
        let seen = Arc::<Mutex<Seen>>::default();
        let following = seen.clone();
        let task = tokio::spawn(async move {
            let Err(error) = follow(&apps, version, &following).await;
            lock(&following).broken = Some(format!("{error:#}"));
        });
        Ok(Self { seen, task })
    }

    /// How many have ended, and how many attempts were repeated.
    ///
    /// # Errors
    /// When one of them failed, or when it is not known.
    pub(crate) fn check(&self) -> anyhow::Result<(usize, usize)> {
        let seen = lock(&self.seen);
        if let Some(reason) = &seen.broken {
            bail!("operations are not followed any more: {reason}");
        }
        let told: Vec<&str> = seen.failures.iter().take(TOLD).map(String::as_str).collect();
        ensure!(told.is_empty(), "{} operations failed: {}", seen.failures.len(), told.join("; "));
        Ok((seen.ended, seen.retried))
    }
}

impl Drop for Operations {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(
    apps: &Api<DynamicObject>,
    mut version: String,
    seen: &Mutex<Seen>,
) -> anyhow::Result<std::convert::Infallible> {
    loop {
        let mut events = apps.watch(&WatchParams::default(), &version).await.context("watching")?.boxed();
        while let Some(event) = events.next().await {
            match event.context("watching")? {
                WatchEvent::Added(app) | WatchEvent::Modified(app) => {
                    version = app.metadata.resource_version.clone().unwrap_or(version);
                    let name = app.metadata.name.clone().unwrap_or_default();
                    lock(seen).on_state(&name, &app.data["status"]["operationState"]);
                }
                WatchEvent::Deleted(app) => version = app.metadata.resource_version.unwrap_or(version),
                WatchEvent::Bookmark(mark) => version = mark.metadata.resource_version,
                WatchEvent::Error(status) => bail!("{}", status.message),
            }
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Seen ===

impl Seen {
    fn on_state(&mut self, name: &str, state: &Value) {
        let text = |field: &str| state[field].as_str().unwrap_or_default();
        let is_over = matches!(text("phase"), "Succeeded" | "Failed" | "Error");
        let end = ["startedAt", "finishedAt", "phase"].map(|field| text(field).to_owned());
        if !is_over || self.last.get(name) == Some(&end) {
            return;
        }
        self.last.insert(name.to_owned(), end);
        self.ended += 1;
        self.retried += state["retryCount"].as_u64().unwrap_or_default() as usize;
        if text("phase") != "Succeeded" {
            self.failures.push(format!("{name}: {} ({})", text("phase"), text("message")));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_operation_counts_once_when_it_is_over_and_a_failed_one_is_told() {
        let mut seen = Seen::default();
        let state = |phase: &str, began: &str| json!({"phase": phase, "startedAt": began, "message": "words"});
        seen.on_state("one", &json!(null));
        seen.on_state("one", &state("Running", "10:00"));
        seen.on_state("one", &state("Succeeded", "10:00"));
        seen.on_state("one", &state("Succeeded", "10:00"));
        seen.on_state("two", &json!({"phase": "Failed", "startedAt": "10:00", "message": "words", "retryCount": 2}));
        assert_eq!((seen.ended, seen.retried), (2, 2));
        assert_eq!(seen.failures, ["two: Failed (words)"]);
    }
}
