//! Following a connected cluster: which applications its changes concern, and
//! what new settings mean for it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use argosy_cluster::live::{Batch, Changes};
use argosy_cluster::{Change, ChangeKind};
use argosy_engine::refresh::Level;
use argosy_home::Settings;
use tokio_util::sync::CancellationToken;

use super::target::{Target, coverage, options};
use crate::bell::Wake;
use crate::context::Shared;

/// Watches that break with one connection fail, and recover, within moments of each other.
const TOGETHER: Duration = Duration::from_millis(500);

/// Starts the tasks that follow a cluster, opened under these settings, until they are
/// cancelled.
pub(super) fn start(shared: Arc<Shared>, target: Arc<Target>, opened: Arc<Settings>, end: CancellationToken) {
    // What changes from now on is heard of.
    let batches = target.live.changes();
    let tasks = async move {
        tokio::join!(
            changes(&shared, &target, batches),
            kinds(&shared, &target),
            watches(&shared, &target),
            settings(&shared, &target, &opened)
        );
    };
    tokio::spawn(async move {
        end.run_until_cancelled(tasks).await;
    });
}

async fn changes(shared: &Shared, target: &Target, mut changes: Changes) {
    loop {
        let batch = changes.next().await;
        let count = batch.changes.len();
        metrics::gauge!("argocd_resource_events_processed_in_batch", "server" => target.server.clone())
            .set(count as f64);
        if batch.lost {
            shared.directory.wake_all(Some(&target.server), Wake::Round(Level::Recorded));
            continue;
        }
        for (app, level) in concerned(&batch) {
            shared.directory.wake_instance(app, level);
        }
        let strays = unclaimed(&batch);
        if !strays.is_empty() {
            shared.directory.wake_monitors(&target.server, &strays);
        }
    }
}

/// The applications a batch concerns: a managed object is compared again, what
/// hangs below one only changes the tree.
fn concerned(batch: &Batch) -> HashMap<&str, Level> {
    let mut levels: HashMap<&str, Level> = HashMap::new();
    for change in &batch.changes {
        let level = if change.root { Level::Recorded } else { Level::Tree };
        for app in &change.apps {
            let known = levels.entry(app).or_insert(level);
            *known = (*known).max(level);
        }
    }
    levels
}

/// Namespaces in which objects came or went that belong to no application.
fn unclaimed(batch: &Batch) -> HashSet<&str> {
    let came_or_went = |change: &&Change| change.apps.is_empty() && change.kind != ChangeKind::Updated;
    batch.changes.iter().filter(came_or_went).map(|c| &*c.key.namespace).filter(|n| !n.is_empty()).collect()
}

async fn kinds(shared: &Shared, target: &Target) {
    let mut generations = target.discovery.changes();
    while generations.changed().await.is_ok() {
        target.openapi.expire().await;
        shared.directory.wake_all(Some(&target.server), Wake::KindsChanged);
    }
}

/// Wakes the cluster's applications when what they manage cannot be followed any
/// more, to say so, and when it can again.
async fn watches(shared: &Shared, target: &Target) {
    let mut moves = target.live.moves();
    let mut failing = target.live.failing();
    while moves.changed().await.is_ok() {
        tokio::time::sleep(TOGETHER).await;
        moves.mark_unchanged();
        let now = target.live.failing();
        if now != failing {
            tracing::info!(server = target.server, kinds = now.len(), "other kinds than before cannot be followed");
            failing = now;
            shared.directory.wake_all(Some(&target.server), Wake::Round(Level::Recorded));
        }
    }
}

async fn settings(shared: &Shared, target: &Target, opened: &Settings) {
    let mut changes = shared.home.settings_changes();
    let mut clusters = shared.home.clusters_changes();
    let (mut tracking, mut overrides) = (opened.tracking.clone(), opened.overrides.clone());
    loop {
        // Opening takes a while, and something may have changed since.
        let settings = shared.home.settings();
        if settings.tracking != tracking || settings.overrides != overrides {
            tracking = settings.tracking.clone();
            overrides = settings.overrides.clone();
            target.live.configure(options(shared, &settings));
        }
        // Nothing happens where nothing of it changed.
        target.live.cover(coverage(shared, &settings, &target.server));
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            changed = clusters.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argosy_model::ResourceKey;

    #[test]
    fn a_managed_object_weighs_more_than_what_hangs_below_one() {
        let change = |root, apps: &[&str]| Change {
            key: ResourceKey::new("", "Pod", "n", "p"),
            kind: ChangeKind::Updated,
            root,
            apps: apps.iter().map(|a| (*a).into()).collect(),
        };
        let batch = Batch { changes: vec![change(false, &["a", "b"]), change(true, &["b"])], lost: false };
        assert_eq!(concerned(&batch), HashMap::from([("a", Level::Tree), ("b", Level::Recorded)]));
    }
}
