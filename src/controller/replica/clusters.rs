//! The clusters a replica is concerned with: those of which it owns slices, those it
//! is to get next, and for a while those it had.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor as _, Addr};
use argosy_fleet::{Coming, Cost, EntityId, Ownership, Slice};
use tokio::sync::watch;

use super::costs::Meter;
use crate::cluster::{Cluster, Expect, Gain, Lose, Release, TargetState};
use crate::context::Shared;

pub(super) struct Clusters {
    shared: Arc<Shared>,
    known: HashMap<Arc<str>, Known>,
    coming: Coming,
}

struct Known {
    address: Addr<Cluster>,
    state: watch::Receiver<TargetState>,
    /// The slices of which everything that is needed is there.
    prepared: watch::Receiver<BTreeSet<Slice>>,
    slices: BTreeMap<Slice, (Ownership, Meter)>,
    /// What its watches have cost, shared by the slices.
    watches: Meter,
}

/// A slice that comes.
pub(super) struct Awaited {
    slice: Slice,
    prepared: watch::Receiver<BTreeSet<Slice>>,
}

// === impl Awaited ===

impl Awaited {
    /// Waits until everything it needs is there, or nobody will tell any more.
    pub(super) async fn prepared(mut self) {
        drop(self.prepared.wait_for(|prepared| prepared.contains(&self.slice)).await);
    }
}

// === impl Clusters ===

impl Clusters {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, known: HashMap::new(), coming: Coming::default() }
    }

    fn find(&mut self, server: &Arc<str>) -> &mut Known {
        self.known.entry(server.clone()).or_insert_with(|| {
            let cluster = Cluster::new(self.shared.clone(), server.clone());
            let (state, prepared) = (cluster.state(), cluster.prepared());
            self.shared.directory.add_cluster(server, state.clone());
            Known { address: cluster.start(), state, prepared, slices: BTreeMap::new(), watches: Meter::default() }
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
        let is_coming = self.coming.keys().filter_map(parts_of).any(|(coming, _)| **coming == *server);
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
    /// for that no more, and the slices that did not come before.
    pub(super) fn expect(&mut self, coming: Coming) -> (Vec<Arc<str>>, Vec<Awaited>) {
        let (before, now) = (slices_of(&self.coming), slices_of(&coming));
        self.coming = coming;
        let mut awaited = Vec::new();
        for (server, slices) in &now {
            let known_before = before.get(server);
            if known_before == Some(slices) {
                continue;
            }
            let known = self.find(server);
            #[expect(clippy::disallowed_methods, reason = "one per cluster and change of what comes")]
            known.address.do_send(Expect(slices.clone()));
            let new = slices.iter().filter(|slice| known_before.is_none_or(|before| !before.contains(*slice)));
            awaited.extend(new.map(|slice| Awaited { slice: *slice, prepared: known.prepared.clone() }));
        }
        let unneeded: Vec<Arc<str>> = before.into_keys().filter(|server| !now.contains_key(server)).collect();
        for known in unneeded.iter().filter_map(|server| self.known.get(server)) {
            #[expect(clippy::disallowed_methods, reason = "one per cluster of which nothing comes any more")]
            known.address.do_send(Expect(BTreeSet::new()));
        }
        (unneeded, awaited)
    }

    /// What comes next and can be taken over at any moment.
    pub(super) fn prepared(&self) -> BTreeSet<EntityId> {
        let is_prepared = |(server, slice): (&Arc<str>, Slice)| {
            self.known.get(server).is_some_and(|known| known.prepared.borrow().contains(&slice))
        };
        self.coming.keys().filter(|entity| parts_of(entity).is_some_and(is_prepared)).cloned().collect()
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

fn parts_of(entity: &EntityId) -> Option<(&Arc<str>, Slice)> {
    match entity {
        EntityId::ClusterSlice { server, slice } => Some((server, *slice)),
        EntityId::Repository { .. } => None,
    }
}

/// The slices of each cluster that come.
fn slices_of(coming: &Coming) -> BTreeMap<Arc<str>, BTreeSet<Slice>> {
    let mut slices: BTreeMap<Arc<str>, BTreeSet<Slice>> = BTreeMap::new();
    for (server, slice) in coming.keys().filter_map(parts_of) {
        slices.entry(server.clone()).or_default().insert(slice);
    }
    slices
}
