//! Which replica owns which entity: the decision.
//!
//! Weighted rendezvous with bounded load. What is placed stays where it is as
//! long as its replica lives and every replica's load keeps within a band
//! around its share; what has no owner goes to the replica its hash prefers
//! among those with room; what breaks the band is moved, and no more. The same
//! input gives the same output, and its output given back changes nothing.

mod balance;

use std::collections::BTreeMap;

use crate::error::Error;
use crate::id::{Cost, EntityId, Epoch, Replica, ReplicaId, slices_of};

pub(crate) use balance::{preferred, score};

/// Where one entity is placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The owner.
    pub replica: ReplicaId,
    /// Which ownership it is.
    pub epoch: Epoch,
}

/// Where everything is placed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    placed: BTreeMap<EntityId, Placed>,
    /// The first epoch nobody ever had. It outlives entities, so that one that
    /// is forgotten and known again does not start over.
    next_epoch: Epoch,
}

/// What an entity demands of its owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// What it costs.
    pub cost: Cost,
    /// The shard it is pinned to. While no replica stands for that it is placed as
    /// if it were not pinned.
    pub pin: Option<u32>,
}

/// [`assign_demands`] with nothing pinned.
pub fn assign_entities(previous: &Assignment, replicas: &[Replica], costs: &BTreeMap<EntityId, Cost>) -> Assignment {
    let demand = |(entity, cost): (&EntityId, &Cost)| (entity.clone(), Demand { cost: *cost, pin: None });
    assign_demands(previous, replicas, &costs.iter().map(demand).collect())
}

/// Decides who owns what. Entities are the keys of `demands`; those of `previous`
/// that are not among them are dropped. Replicas of weight 0 get nothing, and
/// without any other nothing is placed. An entity gets a new epoch exactly when
/// it gets a new owner.
///
/// Bound: with `m` the largest cost, no replica's load passes its share of the
/// total by more than 15 percent plus `m`.
pub fn assign_demands(previous: &Assignment, replicas: &[Replica], demands: &BTreeMap<EntityId, Demand>) -> Assignment {
    let mut next_epoch = previous.next_epoch;
    let mut placed = BTreeMap::new();
    for (entity, replica) in balance::place(previous, replicas, demands) {
        let epoch = match previous.placed.get(entity) {
            Some(before) if before.replica == *replica => before.epoch,
            _ => {
                let epoch = next_epoch;
                next_epoch = next_epoch.next();
                epoch
            }
        };
        placed.insert(entity.clone(), Placed { replica: replica.clone(), epoch });
    }
    Assignment { placed, next_epoch }
}

// === impl Assignment ===

impl Assignment {
    /// An assignment of nothing, whose first epoch will be `first`.
    pub fn starting_at(first: Epoch) -> Self {
        Self { placed: BTreeMap::new(), next_epoch: first }
    }

    /// An assignment as it was kept somewhere.
    pub(crate) fn of(placed: BTreeMap<EntityId, Placed>, next_epoch: Epoch) -> Self {
        Self { placed, next_epoch }
    }

    /// Where an entity is placed.
    pub fn get(&self, entity: &EntityId) -> Option<&Placed> {
        self.placed.get(entity)
    }

    /// The slice of a cluster that an application is in, as far as it is placed.
    pub fn slice_with(&self, server: &str, application: &str) -> Option<&EntityId> {
        let is_in =
            |entity: &&EntityId| matches!(entity, EntityId::ClusterSlice { slice, .. } if slice.contains(application));
        self.placed.range(slices_of(&server.into())).map(|(entity, _)| entity).find(is_in)
    }

    /// The first slice of a cluster, as far as it is placed.
    pub fn first_slice(&self, server: &str) -> Option<&EntityId> {
        self.placed.range(slices_of(&server.into())).next().map(|(entity, _)| entity)
    }

    /// Every placed entity, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&EntityId, &Placed)> {
        self.placed.iter()
    }

    /// How many entities are placed.
    pub fn len(&self) -> usize {
        self.placed.len()
    }

    /// Whether nothing is placed.
    pub fn is_empty(&self) -> bool {
        self.placed.is_empty()
    }

    /// The first epoch nobody ever had.
    pub fn next_epoch(&self) -> Epoch {
        self.next_epoch
    }

    /// Whether this may follow `previous`: whoever keeps an epoch keeps its
    /// replica, and whatever is new has an epoch nobody ever had.
    ///
    /// # Errors
    /// [`Error::EpochWentBack`] with the first entity for which it is not so.
    pub fn check_follows(&self, previous: &Self) -> Result<(), Error> {
        for (entity, now) in &self.placed {
            if previous.placed.get(entity) == Some(now) {
                continue;
            }
            if now.epoch < previous.next_epoch || now.epoch >= self.next_epoch {
                let previous = previous.next_epoch;
                return Err(Error::EpochWentBack { entity: entity.clone(), previous, next: now.epoch });
            }
        }
        Ok(())
    }
}
