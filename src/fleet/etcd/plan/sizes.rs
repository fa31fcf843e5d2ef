//! How many slices each cluster is to have.
//!
//! A cluster is split or joined again only while all of its slices are settled
//! and have a cost, one cluster at a time and the costliest first: its new slices
//! get equal parts of the cost in the same write, so the next decision sees what
//! this one has done.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::assignment::Demand;
use crate::etcd::document::{Document, Entry};
use crate::etcd::plan::{Facts, Next};
use crate::id::{Cost, EntityId};
use crate::slices::{Slice, plan_slices};

/// Costs of what is no more that are dropped in one write.
const DROPPED: usize = 20;

pub(super) struct Sizes {
    slices: BTreeMap<Arc<str>, u32>,
    /// Costs that differ from those that are known.
    changes: BTreeMap<EntityId, Option<Cost>>,
}

// === impl Sizes ===

impl Sizes {
    /// As they are.
    pub(super) fn standing(document: &Document, facts: Facts<'_>) -> Self {
        let is_declared = |server: &str| facts.costs.contains_key(&EntityId::cluster(server));
        let slices = document.slices.iter().filter(|(server, _)| is_declared(server));
        Self { slices: slices.map(|(server, of)| (server.clone(), *of)).collect(), changes: BTreeMap::new() }
    }

    /// As they are to be.
    pub(super) fn decide(document: &Document, facts: Facts<'_>) -> Self {
        let mut sizes = Self::standing(document, facts);
        sizes.drop_strays(facts);
        let replicas = facts.replicas().filter(|replica| replica.weight > 0).count() as u64;
        // With nobody to share with nothing is gained.
        if replicas < 2 {
            return sizes;
        }
        let demands = sizes.demands(facts);
        let total: u64 = demands.values().map(|demand| demand.cost.0.max(1)).sum();
        let mean = Cost(total / replicas);
        let mut wished: Option<(Cost, Arc<str>, u32)> = None;
        for server in declared(facts) {
            let current = sizes.of(server);
            let Some(cost) = sizes.settled_cost(document, facts, server) else { continue };
            let is_pinned = facts.pins.contains_key(server);
            let wanted = if is_pinned { 1 } else { plan_slices(cost, mean, facts.worth_splitting, current) };
            if wanted != current && wished.as_ref().is_none_or(|(known, ..)| *known < cost) {
                wished = Some((cost, server.clone(), wanted));
            }
        }
        if let Some((cost, server, of)) = wished {
            sizes.resize(&server, cost, of);
        }
        sizes
    }

    /// What each entity demands. A slice whose cost is not known yet counts as an
    /// equal part of what the cluster was last known to cost.
    pub(super) fn demands(&self, facts: Facts<'_>) -> BTreeMap<EntityId, Demand> {
        let mut demands = BTreeMap::new();
        for (entity, cost) in facts.costs {
            match entity {
                EntityId::Repository { .. } => drop(demands.insert(entity.clone(), Demand { cost: *cost, pin: None })),
                EntityId::ClusterSlice { server, slice: Slice::WHOLE } => {
                    let (pin, of) = (facts.pins.get(server).copied(), self.of(server));
                    for slice in Slice::all(of) {
                        let entity = EntityId::ClusterSlice { server: server.clone(), slice };
                        let part = || Cost(cost.0 / u64::from(of));
                        let cost = self.cost(facts, &entity).unwrap_or_else(part);
                        demands.insert(entity, Demand { cost, pin });
                    }
                }
                EntityId::ClusterSlice { .. } => {}
            }
        }
        demands
    }

    /// What is stored with them.
    pub(super) fn into_next(self, document: Document) -> Next {
        Next { document: Document { slices: self.slices, ..document }, costs: self.changes.into_iter().collect() }
    }

    fn of(&self, server: &str) -> u32 {
        self.slices.get(server).copied().unwrap_or(1).max(1)
    }

    fn cost(&self, facts: Facts<'_>, entity: &EntityId) -> Option<Cost> {
        self.changes.get(entity).copied().unwrap_or_else(|| facts.costs.get(entity).copied())
    }

    /// What a cluster costs in all; `None` while one of its slices is on the move, or
    /// out of sight, or was taken from somebody who may still be at work, or has not been measured.
    fn settled_cost(&self, document: &Document, facts: Facts<'_>, server: &Arc<str>) -> Option<Cost> {
        if document.doubted.contains_key(server) {
            return None;
        }
        let of = self.of(server);
        let is_settled =
            |entry: &Entry| entry.leaving.is_none() && entry.coming.is_none() && !facts.lost.contains(&entry.replica);
        let mut standing = document.slices_of(server);
        if !standing.all(|(entity, entry)| is_settled(entry) && is_slice_of(entity, of)) {
            return None;
        }
        let entities = Slice::all(of).map(|slice| EntityId::ClusterSlice { server: server.clone(), slice });
        entities.map(|entity| self.cost(facts, &entity).map(|cost| cost.0)).sum::<Option<u64>>().map(Cost)
    }

    fn resize(&mut self, server: &Arc<str>, cost: Cost, of: u32) {
        let before = self.of(server);
        let entity = |slice| EntityId::ClusterSlice { server: server.clone(), slice };
        // The cluster's own key stays: by it the cluster is known.
        for slice in Slice::all(before).filter(|slice| *slice != Slice::WHOLE) {
            self.changes.insert(entity(slice), None);
        }
        for slice in Slice::all(of) {
            self.changes.insert(entity(slice), Some(Cost(cost.0 / u64::from(of))));
        }
        if of == 1 {
            self.slices.remove(server);
        } else {
            self.slices.insert(server.clone(), of);
        }
    }

    /// Costs of slices that no cluster has.
    fn drop_strays(&mut self, facts: Facts<'_>) {
        let is_stray = |entity: &&EntityId| match entity {
            EntityId::ClusterSlice { slice: Slice::WHOLE, .. } | EntityId::Repository { .. } => false,
            EntityId::ClusterSlice { server, slice } => self.slices.get(server) != Some(&slice.of),
        };
        let strays: Vec<EntityId> = facts.costs.keys().filter(is_stray).take(DROPPED).cloned().collect();
        self.changes.extend(strays.into_iter().map(|entity| (entity, None)));
    }
}

fn declared<'a>(facts: Facts<'a>) -> impl Iterator<Item = &'a Arc<str>> {
    facts.costs.keys().filter_map(|entity| match entity {
        EntityId::ClusterSlice { server, slice: Slice::WHOLE } => Some(server),
        EntityId::ClusterSlice { .. } | EntityId::Repository { .. } => None,
    })
}

fn is_slice_of(entity: &EntityId, of: u32) -> bool {
    matches!(entity, EntityId::ClusterSlice { slice, .. } if slice.of == of)
}
