//! What the replica listens to besides its own mailbox.

use std::sync::Arc;

use argosy_engine::refresh::Level;
use argosy_home::{AppEvent, Changes};
use argosy_proto::v1alpha1::Application;
use futures::stream::{self, Stream};

use crate::bell::Wake;
use crate::context::Shared;

/// Changes of Application objects as a stream.
pub(super) fn objects(changes: Changes<Application>) -> impl Stream<Item = AppEvent> + 'static {
    stream::unfold(changes, |mut changes| async move { changes.next().await.map(|event| (event, changes)) })
}

/// Wakes applications for changes of what surrounds them: projects, settings,
/// clusters and repositories as declared.
pub(super) async fn surroundings(shared: Arc<Shared>) {
    let home = shared.home.clone();
    let (mut projects, mut settings) = (home.projects().subscribe(), home.settings_changes());
    let (mut clusters, mut repositories) = (home.clusters_changes(), home.repositories_changes());
    loop {
        let redeclared = tokio::select! {
            change = projects.next() => if change.is_some() { false } else { return },
            changed = settings.changed() => if changed.is_ok() { false } else { return },
            changed = clusters.changed() => if changed.is_ok() { false } else { return },
            changed = repositories.changed() => if changed.is_ok() { true } else { return },
        };
        shared.projects.clear();
        if redeclared {
            shared.directory.redeclare_repositories();
        }
        shared.directory.wake_all(None, Wake::Refresh(Level::Recorded));
    }
}
