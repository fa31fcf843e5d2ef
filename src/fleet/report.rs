//! Placement for people: who owns what, why, and what would move.

use std::collections::BTreeMap;

use crate::assignment::{Assignment, Demand, Placed, assign_demands, preferred};
use crate::id::{Cost, EntityId, Epoch, Replica, ReplicaId};

/// The state of a fleet at one moment.
#[derive(Clone, Debug, Default)]
pub struct PlacementReport {
    /// Who decides; `None` while nobody does.
    pub leader: Option<ReplicaId>,
    /// The replicas, in order, with what they carry.
    pub replicas: Vec<ReplicaReport>,
    /// Everything that is known, in order.
    pub entities: Vec<EntityReport>,
    demands: BTreeMap<EntityId, Demand>,
}

/// One replica and what it carries.
#[derive(Clone, Debug)]
pub struct ReplicaReport {
    /// The replica.
    pub replica: Replica,
    /// How much of what it owns.
    pub entities: usize,
    /// What that costs.
    pub load: Cost,
}

/// One entity and whose it is.
#[derive(Clone, Debug)]
pub struct EntityReport {
    /// Which.
    pub entity: EntityId,
    /// What it costs.
    pub cost: Cost,
    /// Its owner and the epoch of that; `None` while it has none.
    pub owner: Option<Placed>,
    /// Why it is there.
    pub reason: Reason,
    /// The next owner of what moves.
    pub next: Option<ReplicaId>,
}

/// Why an entity is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is pinned to this shard, and its owner stands for that.
    Pinned(u32),
    /// It is pinned to this shard, which no replica stands for.
    PinnedToNobody(u32),
    /// Its owner is the one it prefers by its hash.
    Preferred,
    /// Its owner has room for it and had it before, or the one it prefers has none.
    Even,
    /// Its next owner prepares, and its owner works on.
    Preparing,
    /// Its owner is letting go of it.
    Leaving,
    /// Nobody has it: no replica takes work, or it has only just been made known.
    Unplaced,
}

/// What happens to one entity when a replica leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which.
    pub entity: EntityId,
    /// Who has it.
    pub from: ReplicaId,
    /// Who would get it; `None` when nobody is left.
    pub to: Option<ReplicaId>,
}

/// What is known of an entry, for [`PlacementReport::new`].
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) owner: Placed,
    pub(crate) coming: Option<ReplicaId>,
    /// Present when the owner has to let go.
    pub(crate) leaving: Option<Option<ReplicaId>>,
}

// === impl PlacementReport ===

impl PlacementReport {
    pub(crate) fn new(
        leader: Option<ReplicaId>,
        replicas: Vec<Replica>,
        standing: &BTreeMap<EntityId, Standing>,
        demands: BTreeMap<EntityId, Demand>,
    ) -> Self {
        let entity = |(entity, demand): (&EntityId, &Demand)| {
            let known = standing.get(entity);
            EntityReport {
                entity: entity.clone(),
                cost: demand.cost,
                owner: known.map(|known| known.owner.clone()),
                reason: reason(entity, demand, known, &replicas),
                next: known.and_then(|known| known.leaving.clone().flatten().or_else(|| known.coming.clone())),
            }
        };
        let entities: Vec<EntityReport> = demands.iter().map(entity).collect();
        let carried = |replica: Replica| {
            let has = |report: &&EntityReport| report.owner.as_ref().is_some_and(|owner| owner.replica == replica.id);
            let owned: Vec<Cost> = entities.iter().filter(has).map(|report| report.cost).collect();
            let load = Cost(owned.iter().map(|cost| cost.0.max(1)).sum());
            ReplicaReport { replica, entities: owned.len(), load }
        };
        let replicas = replicas.into_iter().map(carried).collect();
        Self { leader, replicas, entities, demands }
    }

    /// What would move if a replica left now. Slices stay as they are in that: they
    /// follow costs, later.
    pub fn without(&self, gone: &ReplicaId) -> Vec<Move> {
        let left: Vec<Replica> =
            self.replicas.iter().map(|report| report.replica.clone()).filter(|replica| replica.id != *gone).collect();
        let placed = self.entities.iter().filter_map(|report| {
            let owner = report.owner.clone()?;
            Some((report.entity.clone(), Placed { replica: report.next.clone().unwrap_or(owner.replica), ..owner }))
        });
        let standing = Assignment::of(placed.collect(), Epoch(u64::MAX >> 1));
        let after = assign_demands(&standing, &left, &self.demands);
        let moves = standing.iter().filter_map(|(entity, before)| {
            let to = after.get(entity).map(|placed| placed.replica.clone());
            (to.as_ref() != Some(&before.replica)).then(|| Move {
                entity: entity.clone(),
                from: before.replica.clone(),
                to,
            })
        });
        moves.collect()
    }

    /// The largest load beside the mean, of replicas that take work; 1 is even.
    pub fn imbalance(&self) -> f64 {
        let working = self.replicas.iter().filter(|report| report.replica.weight > 0);
        let loads: Vec<u64> = working.map(|report| report.load.0).collect();
        let total: u64 = loads.iter().sum();
        if total == 0 {
            return 1.0;
        }
        loads.iter().max().copied().unwrap_or(0) as f64 * loads.len() as f64 / total as f64
    }
}

fn reason(entity: &EntityId, demand: &Demand, known: Option<&Standing>, replicas: &[Replica]) -> Reason {
    let Some(known) = known else { return Reason::Unplaced };
    if known.leaving.is_some() {
        return Reason::Leaving;
    }
    if known.coming.is_some() {
        return Reason::Preparing;
    }
    let stands_for = |pin: u32| replicas.iter().any(|replica| replica.shard == Some(pin) && replica.weight > 0);
    match demand.pin {
        Some(pin) if stands_for(pin) => Reason::Pinned(pin),
        Some(pin) => Reason::PinnedToNobody(pin),
        None if preferred(entity, replicas) == Some(&known.owner.replica) => Reason::Preferred,
        None => Reason::Even,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_whose_everything_is_and_what_would_move() {
        let replicas = [0, 1, 2].map(|n| Replica { shard: Some(n), ..Replica::new(&format!("replica-{n}"), "h:1") });
        let cluster = |n: u32| EntityId::cluster(&format!("https://cluster-{n}"));
        let demands: BTreeMap<EntityId, Demand> = (0..12)
            .map(|n| (cluster(n), Demand { cost: Cost(100), pin: (n == 0).then_some(2).or((n == 1).then_some(9)) }))
            .collect();
        let assignment = assign_demands(&Assignment::default(), &replicas, &demands);
        let standing: BTreeMap<EntityId, Standing> = assignment
            .iter()
            .filter(|(entity, _)| **entity != cluster(11))
            .map(|(entity, owner)| (entity.clone(), Standing { owner: owner.clone(), coming: None, leaving: None }))
            .collect();
        let report = PlacementReport::new(None, replicas.to_vec(), &standing, demands);
        let reason = |n: u32| report.entities.iter().find(|report| report.entity == cluster(n)).unwrap().reason.clone();
        assert_eq!(
            (reason(0), reason(1), reason(11)),
            (Reason::Pinned(2), Reason::PinnedToNobody(9), Reason::Unplaced)
        );
        assert_eq!(report.replicas.iter().map(|replica| replica.load.0).sum::<u64>(), 1_100);
        assert!(report.imbalance() < 1.2);
        let gone = ReplicaId::new("replica-1");
        let moves = report.without(&gone);
        assert!(!moves.is_empty() && moves.iter().all(|m| m.from == gone && m.to.is_some()), "{moves:?}");
    }
}
