//! Who does the work: which clusters, and with them which applications, are this
//! replica's.

use std::sync::Arc;

use argosy_engine::refresh::Level;
use argosy_fleet::{EntityId, Location, Ownership};
use argosy_model::AppKey;

use super::{Directory, Entry};
use crate::bell::Wake;

impl Directory {
    /// The right to work on an application, which comes with its cluster. Without
    /// it the application is woken when this replica gets the cluster.
    pub(crate) async fn right_to(&self, key: &AppKey, server: &str) -> Option<Ownership> {
        let placement = self.placement.get()?;
        let entity = EntityId::cluster_slice(server, 0);
        let mut right = placement.ownership(&entity);
        if right.is_none() {
            // Marked before looking again, so that a cluster that comes meanwhile wakes it.
            self.await_cluster(key, server, true);
            if let Err(error) = placement.declare(vec![entity.clone()]).await {
                tracing::warn!(%entity, %error, "the entity could not be placed");
            }
            right = placement.ownership(&entity);
        }
        if right.is_some() {
            self.await_cluster(key, server, false);
        }
        right
    }

    fn await_cluster(&self, key: &AppKey, server: &str, waits: bool) {
        let stands = |entry: &Entry| entry.waits == waits && entry.server.as_deref() == Some(server);
        if !self.read(|book| book.applications.get(key).is_some_and(stands)) {
            self.write(|book| {
                if let Some(entry) = book.applications.get_mut(key) {
                    entry.waits = waits;
                    entry.server = Some(server.to_owned());
                }
            });
        }
    }

    /// Wakes the applications that have waited for this replica to get their cluster.
    pub(crate) fn wake_waiting(&self, server: &str) {
        self.read(|book| {
            let waiting = book.applications.values().filter(|e| e.waits && e.server.as_deref() == Some(server));
            waiting.for_each(|entry| entry.bell.ring(&entry.address, Wake::Refresh(Level::Latest)));
        });
    }

    /// Whether this replica works on a cluster.
    pub(crate) fn owns_cluster(&self, server: &str) -> bool {
        let entity = EntityId::cluster_slice(server, 0);
        self.placement.get().is_some_and(|placement| placement.ownership(&entity).is_some())
    }

    /// Where the peers of the replica are that works on a cluster: `None` when it
    /// is this one, or nobody, or nobody knows.
    pub(crate) fn elsewhere(&self, server: &str) -> Option<Arc<str>> {
        match self.placement.get()?.locate(&EntityId::cluster_slice(server, 0)) {
            Some(Location::Remote { replica, .. }) => Some(replica.address),
            Some(Location::Local { .. }) | None => None,
        }
    }
}
