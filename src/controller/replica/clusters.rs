//! The clusters a replica is concerned with: those of which it owns slices, those it
//! is to get next, and for a while those it had.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor as _, Addr};
use argosy_fleet::{Coming, Cost, EntityId, Ownership, Slice};
use tokio::sync::watch;

use super::costs::Meter;
use crate::cluster::{Cluster, Gain, Lose, Release, TargetState};
use crate::context::Shared;

/// How long a cluster is kept current after its last slice has gone: it may be split
/// into others, some of which come back.
pub(super) const LINGER: Duration = Duration::from_secs(30);

pub(super) struct Clusters {
    shared: Arc<Shared>,
    known: HashMap<Arc<str>, Known>,
    coming: Coming,
}

struct Known {
    address: Addr<Cluster>,
    state: watch::Receiver<TargetState>,
    slices: BTreeMap<Slice, (Ownership, Meter)>,
    /// What its watches have cost, shared by the slices.
    watches: Meter,
}

// === impl Clusters ===

impl Clusters {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, known: HashMap::new(), coming: Coming::default() }
    }

    fn find(&mut self, server: &Arc<str>) -> &mut Known {
        self.known.entry(server.clone()).or_insert_with(|| {
            let cluster = Cluster::new(self.shared.clone(), server.clone());
            let state = cluster.state();
            self.shared.directory.add_cluster(server, state.clone());
            Known { address: cluster.start(), state, slices: BTreeMap::new(), watches: Meter::default() }
        })
    }

    pub(super) fn gain(&mut self, server: &Arc<str>, slice: Slice, ownership: Ownership) {
        let known = self.find(server);
        known.slices.insert(slice, (ownership.clone(), Meter::default()));
        #[expect(clippy::disallowed_methods, reason = "one per slice that is gained")]
        known.address.do_send(Gain(slice, ownership));
        self.shared.directory.wake_waiting(server);
    }

    pub(super) fn lose(&mut self, server: &str, slice: Slice) {
        if let Some(known) = self.known.get_mut(server) {
            known.slices.remove(&slice);
            #[expect(clippy::disallowed_methods, reason = "one per slice that is lost")]
            known.address.do_send(Lose(slice));
        }
    }

    /// Lets go of a cluster if nothing of it is owned here or comes. It is done here
    /// and not by its actor, which may end after another one has begun.
    pub(super) fn release_idle(&mut self, server: &str) {
        let is_coming = self.coming.keys().any(|entity| server_of(entity).is_some_and(|coming| **coming == *server));
        if is_coming || self.known.get(server).is_none_or(|known| !known.slices.is_empty()) {
            return;
        }
        self.shared.directory.remove_cluster(server);
        if let Some(known) = self.known.remove(server) {
            #[expect(clippy::disallowed_methods, reason = "one per cluster that is let go of")]
            known.address.do_send(Release);
        }
    }

    /// Prepares for what this replica gets next. Returns the clusters that are needed
    /// for that no more, and the states of those that were not needed before.
    pub(super) fn expect(&mut self, coming: Coming) -> (Vec<Arc<str>>, Vec<watch::Receiver<TargetState>>) {
        let servers = |coming: &Coming| coming.keys().filter_map(server_of).cloned().collect::<BTreeSet<_>>();
        let (before, now) = (servers(&self.coming), servers(&coming));
        self.coming = coming;
        let states = now.difference(&before).map(|server| self.find(server).state.clone()).collect();
        (before.difference(&now).cloned().collect(), states)
    }

    /// What comes next and can be taken over at any moment.
    pub(super) fn prepared(&self) -> BTreeSet<EntityId> {
        let is_ready = |server: &Arc<str>| {
            self.known.get(server).is_some_and(|known| matches!(&*known.state.borrow(), TargetState::Ready(_)))
        };
        self.coming.keys().filter(|entity| server_of(entity).is_some_and(is_ready)).cloned().collect()
    }

    /// What each slice costs that has been owned for a while.
    pub(super) fn costs(&mut self, elapsed: Duration) -> Vec<(EntityId, Cost)> {
        let mut costs = Vec::new();
        for (server, known) in &mut self.known {
            let watched = match &*known.state.borrow() {
                TargetState::Ready(target) => target.live.work(),
                TargetState::Connecting | TargetState::Failed(_) => Duration::ZERO,
            };
            let slices = u64::try_from(known.slices.len()).unwrap_or(1).max(1);
            let shared = known.watches.rate(watched, elapsed);
            for (slice, (ownership, meter)) in &mut known.slices {
                if let (Some(own), Some(shared)) = (meter.rate(ownership.spent(), elapsed), shared) {
                    let entity = EntityId::ClusterSlice { server: server.clone(), slice: *slice };
                    costs.push((entity, Cost(own.0 + shared.0 / slices)));
                }
            }
        }
        costs
    }
}

fn server_of(entity: &EntityId) -> Option<&Arc<str>> {
    match entity {
        EntityId::ClusterSlice { server, .. } => Some(server),
        EntityId::Repository { .. } => None,
    }
}
