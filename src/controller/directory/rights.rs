//! Who does the work: which slices of clusters, and with them which applications,
//! are this replica's.

use std::sync::Arc;

use argosy_engine::refresh::Level;
use argosy_fleet::{EntityId, Location, Ownership};
use argosy_model::AppKey;
use tokio::time::Instant;

use super::{Directory, Entry};
use crate::bell::Wake;

impl Directory {
    /// The right to work on an application, which comes with the slice of the cluster
    /// that it is in. Without it the application is woken when this replica gets one.
    pub(crate) async fn right_to(&self, key: &AppKey, server: &str) -> Option<Ownership> {
        let mut right = self.owned(key, server);
        if right.is_none() {
            // Marked before looking again, so that a slice that comes meanwhile wakes it.
            self.await_cluster(key, server, true);
            let cluster = EntityId::cluster(server);
            if let Err(error) = self.placement.get()?.declare(vec![cluster.clone()]).await {
                tracing::warn!(entity = %cluster, %error, "the entity could not be placed");
            }
            right = self.owned(key, server);
        }
        if right.is_some() {
            self.await_cluster(key, server, false);
        }
        right
    }

    pub(super) fn owned(&self, key: &AppKey, server: &str) -> Option<Ownership> {
        let right = self.placement.get()?.right_to(server, &name_of(key))?;
        // One that a later owner has ended at the cluster is none, whatever etcd says.
        right.is_held(Instant::now()).then_some(right)
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
            waiting.for_each(|entry| entry.bell.ring(&entry.address, Wake::Round(Level::Latest)));
        });
    }

    /// Wakes the applications of a cluster that another replica works on by now, to
    /// forget what they know: it gets old, and is large.
    pub(crate) fn wake_strangers(&self, server: &str) {
        self.read(|book| {
            for (key, entry) in &book.applications {
                let is_there = entry.server.as_deref() == Some(server);
                if is_there && !entry.waits && self.owned(key, server).is_none() {
                    entry.bell.ring(&entry.address, Wake::Object);
                }
            }
        });
    }

    /// Whether this replica works on an application.
    pub(crate) fn owns(&self, key: &AppKey, server: &str) -> bool {
        self.owned(key, server).is_some()
    }

    /// Where the peers of the replica are that works on an application: `None` when it
    /// is this one, or nobody, or nobody knows.
    pub(crate) fn application_elsewhere(&self, key: &AppKey, server: &str) -> Option<Arc<str>> {
        remote(self.placement.get()?.locate_application(server, &name_of(key)))
    }

    /// The same for the replica that speaks for a cluster.
    pub(crate) fn cluster_elsewhere(&self, server: &str) -> Option<Arc<str>> {
        remote(self.placement.get()?.locate_cluster(server))
    }
}

/// The name by which an application is in a slice.
fn name_of(key: &AppKey) -> String {
    format!("{}/{}", key.namespace, key.name)
}

fn remote(location: Option<Location>) -> Option<Arc<str>> {
    match location {
        Some(Location::Remote { replica, .. }) => Some(replica.address),
        Some(Location::Local { .. }) | None => None,
    }
}
