//! What the replica listens to besides its own mailbox.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use argosy_engine::refresh::Level;
use argosy_fleet::{EntityId, Fleet};
use argosy_home::{AppEvent, Changes, ClusterChange, ClusterSecret};
use argosy_proto::v1alpha1::Application;
use futures::stream::{self, Stream};

use crate::bell::Wake;
use crate::context::Shared;

/// Between two tries to retire clusters.
const RETIRED_AGAIN: Duration = Duration::from_secs(10);

/// Until every replica has heard of a change of declarations and what it did about it is
/// known everywhere.
const HEARD_LATE: Duration = Duration::from_secs(5);

/// Changes of Application objects as a stream.
pub(super) fn objects(changes: Changes<Application>) -> impl Stream<Item = AppEvent> + 'static {
    stream::unfold(changes, |mut changes| async move { changes.next().await.map(|event| (event, changes)) })
}

/// Wakes the applications that a change of what surrounds them concerns: projects,
/// settings, clusters and repositories as declared.
pub(super) async fn surroundings(shared: Arc<Shared>) {
    let home = shared.home.clone();
    let (mut projects, mut settings) = (home.projects().subscribe(), home.settings_changes());
    let (mut clusters, mut repositories) = (home.clusters_changes(), home.repositories_changes());
    let mut before = home.moment();
    loop {
        let mut redeclared = false;
        let project = tokio::select! {
            change = projects.next() => if change.is_some() { change } else { return },
            changed = settings.changed() => if changed.is_ok() { None } else { return },
            changed = clusters.changed() => if changed.is_ok() { None } else { return },
            changed = repositories.changed() => {
                redeclared = true;
                if changed.is_ok() { None } else { return }
            }
        };
        shared.projects.clear();
        if redeclared {
            shared.directory.redeclare_repositories();
        }
        let now = home.moment();
        let mut difference = now.since(&before);
        for (key, app) in home.apps().list() {
            if project.as_ref().is_some_and(|change| now.is_concerned(&app, change)) || difference.concerns(&app) {
                shared.directory.ring(&key, Wake::Round(Level::Recorded));
            }
        }
        before = now;
    }
}

/// Tells the fleet which clusters people have pinned to a shard, and which are
/// declared no more and go to nobody. What the rules for that are is a setting.
pub(super) async fn declarations(shared: Arc<Shared>, placement: Arc<dyn Fleet>) {
    let (mut changes, mut settings) = (shared.home.clusters_changes(), shared.home.settings_changes());
    let mut known = shared.home.clusters();
    let mut gone = BTreeSet::new();
    loop {
        let clusters = shared.home.clusters();
        let shard = |cluster: &ClusterSecret| u32::try_from(cluster.shard?).ok();
        let pins = clusters.iter().filter_map(|cluster| Some((cluster.server.as_str().into(), shard(cluster)?)));
        placement.pin(pins.collect());
        for change in clusters.changes_since(&known) {
            match change {
                ClusterChange::Removed(cluster) => {
                    gone.insert(EntityId::cluster(&cluster.server));
                }
                ClusterChange::Added(cluster) => {
                    gone.remove(&EntityId::cluster(&cluster.server));
                    tokio::spawn(ask_again(shared.clone(), cluster.server.clone()));
                }
                _ => {}
            }
        }
        known = clusters;
        if !gone.is_empty() {
            match placement.retire(gone.iter().cloned().collect()).await {
                Ok(()) => gone.clear(),
                // They stay placed meanwhile, with nothing to do.
                Err(error) => tracing::warn!(%error, "clusters that are declared no more could not be retired yet"),
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            changed = settings.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(RETIRED_AGAIN), if !gone.is_empty() => {}
        }
    }
}

/// A cluster that was declared no more for a moment may be retired by a replica that
/// hears of it late, after another has asked for it anew: whoever waits for it asks
/// once more.
async fn ask_again(shared: Arc<Shared>, server: String) {
    tokio::time::sleep(HEARD_LATE).await;
    shared.directory.wake_waiting(&server);
}
