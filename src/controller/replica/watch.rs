//! What the replica listens to besides its own mailbox.

use std::sync::Arc;

use argosy_engine::refresh::Level;
use argosy_fleet::{EntityId, Fleet};
use argosy_home::{AppEvent, Changes, ClusterChange, ClusterSecret};
use argosy_proto::v1alpha1::Application;
use futures::stream::{self, Stream};

use crate::bell::Wake;
use crate::context::Shared;

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
                shared.directory.ring(&key, Wake::Refresh(Level::Recorded));
            }
        }
        before = now;
    }
}

/// Tells the fleet which clusters people have pinned to a shard, and which are
/// declared no more and go to nobody.
pub(super) async fn declarations(shared: Arc<Shared>, placement: Arc<dyn Fleet>) {
    let mut changes = shared.home.clusters_changes();
    let mut known = shared.home.clusters();
    loop {
        let clusters = shared.home.clusters();
        let shard = |cluster: &ClusterSecret| u32::try_from(cluster.shard?).ok();
        let pins = clusters.iter().filter_map(|cluster| Some((cluster.server.as_str().into(), shard(cluster)?)));
        placement.pin(pins.collect());
        let gone = clusters.changes_since(&known).into_iter().filter_map(|change| match change {
            ClusterChange::Removed(cluster) => Some(EntityId::cluster(&cluster.server)),
            _ => None,
        });
        let gone: Vec<EntityId> = gone.collect();
        if !gone.is_empty()
            && let Err(error) = placement.retire(gone).await
        {
            // It stays placed, with nothing to do.
            tracing::warn!(%error, "clusters that are declared no more could not be retired");
        }
        known = clusters;
        if changes.changed().await.is_err() {
            return;
        }
    }
}
