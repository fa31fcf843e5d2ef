//! Keeping loads within their band with as few moves as will do.
//!
//! Every move strictly lessens the sum of what replicas carry above their
//! ceiling and lack below their floor. So the search ends, and where it ends no
//! move is left: given its own output it finds none.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::assignment::Assignment;
use crate::id::{Cost, EntityId, Replica, ReplicaId};

/// How far a load may be from its share before anything moves, in percent:
/// wide enough that measured costs may wobble, and that a replica's death moves
/// little but what it owned.
const SLACK: u128 = 25;

/// Largest cost that is told apart, so that sums of millions do not overflow.
const MAX_COST: u64 = 1 << 40;

/// What each entity is placed on.
pub(super) fn place<'a>(
    previous: &'a Assignment,
    replicas: &'a [Replica],
    costs: &'a BTreeMap<EntityId, Cost>,
) -> BTreeMap<&'a EntityId, &'a ReplicaId> {
    let mut plan = Plan::new(previous, replicas, costs);
    if plan.replicas.is_empty() {
        return BTreeMap::new();
    }
    plan.place_orphans();
    // Each move puts right at least one unit of cost, and in practice a whole
    // entity; the bound is for the contrived rest.
    for _ in 0..plan.entities.len().saturating_mul(4) {
        match plan.best_move() {
            Some((entity, to)) => plan.set_owner(entity, to),
            None => break,
        }
    }
    plan.result()
}

/// Preference of an entity for a replica, before weights. The same on every
/// machine and in every version: FNV-1a, finished so that all bits count.
pub(crate) fn score(entity: &[u8], replica: &[u8]) -> u64 {
    let bytes = entity.iter().chain(&[0xff]).chain(replica);
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

struct Plan<'a> {
    replicas: Vec<Slot<'a>>,
    entities: Vec<Item<'a>>,
}

struct Slot<'a> {
    id: &'a ReplicaId,
    weight: u64,
    load: u64,
    /// Below this the replica lacks work.
    floor: u64,
    /// Above this it has too much.
    ceiling: u64,
    /// Indices of the entities it owns.
    owns: Vec<usize>,
}

struct Item<'a> {
    id: &'a EntityId,
    name: String,
    cost: u64,
    before: Option<usize>,
    owner: Option<usize>,
}

// === impl Plan ===

impl<'a> Plan<'a> {
    fn new(previous: &'a Assignment, replicas: &'a [Replica], costs: &'a BTreeMap<EntityId, Cost>) -> Self {
        // By name, so that the order they are given in does not matter.
        let by_name: BTreeMap<&ReplicaId, u32> =
            replicas.iter().filter(|r| r.weight > 0).map(|r| (&r.id, r.weight)).collect();
        let index: BTreeMap<&ReplicaId, usize> = by_name.keys().enumerate().map(|(i, id)| (*id, i)).collect();
        let cost_of = |cost: &Cost| cost.0.clamp(1, MAX_COST);
        let total: u128 = costs.values().map(|cost| u128::from(cost_of(cost))).sum();
        let weights: u128 = by_name.values().map(|weight| u128::from(*weight)).sum();
        let part = |weight: u32, percent: u128| total * u128::from(weight) * percent / (weights * 100);
        let clip = |value: u128| u64::try_from(value).unwrap_or(u64::MAX);
        let slots = by_name.iter().map(|(id, weight)| Slot {
            id,
            weight: u64::from(*weight),
            load: 0,
            floor: clip(part(*weight, 100 - SLACK)),
            ceiling: clip(part(*weight, 100 + SLACK) + 1),
            owns: Vec::new(),
        });
        let mut plan = Self { replicas: slots.collect(), entities: Vec::new() };
        for (id, cost) in costs {
            let before = previous.get(id).and_then(|placed| index.get(&placed.replica).copied());
            let item = Item { id, name: id.to_string(), cost: cost_of(cost), before, owner: None };
            plan.entities.push(item);
            if let Some(owner) = before {
                plan.set_owner(plan.entities.len() - 1, owner);
            }
        }
        plan
    }

    fn set_owner(&mut self, entity: usize, to: usize) {
        let item = &mut self.entities[entity];
        if let Some(from) = item.owner.replace(to) {
            let slot = &mut self.replicas[from];
            slot.load -= item.cost;
            slot.owns.retain(|owned| *owned != entity);
        }
        let slot = &mut self.replicas[to];
        slot.load += item.cost;
        slot.owns.push(entity);
    }

    /// The costliest first, while there is most room. Each goes to the replica
    /// it prefers among those that lack work, else that have room, else to the
    /// one it burdens least.
    fn place_orphans(&mut self) {
        let mut orphans: Vec<usize> = (0..self.entities.len()).filter(|i| self.entities[*i].owner.is_none()).collect();
        orphans.sort_by_key(|i| std::cmp::Reverse(self.entities[*i].cost));
        for orphan in orphans {
            let cost = self.entities[orphan].cost;
            let mut order: Vec<usize> = (0..self.replicas.len()).collect();
            order.sort_by(|a, b| self.preference(orphan, *a).total_cmp(&self.preference(orphan, *b)));
            let room = |slot: &Slot<'_>| slot.load + cost <= slot.ceiling;
            let find = |fits: &dyn Fn(&Slot<'_>) -> bool| order.iter().copied().find(|r| fits(&self.replicas[*r]));
            let chosen = find(&|slot| slot.load < slot.floor && room(slot))
                .or_else(|| find(&room))
                .or_else(|| order.iter().copied().min_by(|a, b| self.compare_load(*a, *b, cost)));
            if let Some(chosen) = chosen {
                self.set_owner(orphan, chosen);
            }
        }
    }

    /// Weighted rendezvous: the lowest wins, and a replica wins in proportion
    /// to its weight.
    fn preference(&self, entity: usize, replica: usize) -> f64 {
        let slot = &self.replicas[replica];
        let hash = score(self.entities[entity].name.as_bytes(), slot.id.as_str().as_bytes());
        // 53 bits fill a double's fraction; the half keeps it from 0.
        let unit = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        -unit.ln() / slot.weight as f64
    }

    /// Which of two replicas would have less load for its weight with `more` added.
    fn compare_load(&self, a: usize, b: usize, more: u64) -> Ordering {
        let (a, b) = (&self.replicas[a], &self.replicas[b]);
        let (left, right) = (u128::from(a.load + more), u128::from(b.load + more));
        (left * u128::from(b.weight)).cmp(&(right * u128::from(a.weight)))
    }

    /// The best move between the fullest replica and the emptiest for which
    /// there is one.
    fn best_move(&self) -> Option<(usize, usize)> {
        let mut order: Vec<usize> = (0..self.replicas.len()).collect();
        order.sort_by(|a, b| self.compare_load(*a, *b, 0));
        for &from in order.iter().rev() {
            for &to in &order {
                let (donor, receiver) = (&self.replicas[from], &self.replicas[to]);
                if from == to || (donor.load <= donor.ceiling && receiver.load >= receiver.floor) {
                    continue;
                }
                if let Some(entity) = self.best_entity(from, to) {
                    return Some((entity, to));
                }
            }
        }
        None
    }

    /// What to move between two replicas: what moves in any case before what
    /// would stay, what puts more right before what puts less, what prefers the
    /// new owner before what does not.
    fn best_entity(&self, from: usize, to: usize) -> Option<usize> {
        let (donor, receiver) = (&self.replicas[from], &self.replicas[to]);
        let now = donor.wrong(donor.load) + receiver.wrong(receiver.load);
        let gain = |entity: usize| {
            let cost = self.entities[entity].cost;
            now.checked_sub(donor.wrong(donor.load - cost) + receiver.wrong(receiver.load + cost)).filter(|g| *g > 0)
        };
        let candidates = donor.owns.iter().filter_map(|&entity| gain(entity).map(|gain| (entity, gain)));
        let best = candidates.min_by(|(a, gain_a), (b, gain_b)| {
            let stays = |entity: usize| self.entities[entity].before == Some(from);
            stays(*a)
                .cmp(&stays(*b))
                .then(gain_b.cmp(gain_a))
                .then_with(|| self.preference(*a, to).total_cmp(&self.preference(*b, to)))
                .then(a.cmp(b))
        });
        best.map(|(entity, _)| entity)
    }

    fn result(self) -> BTreeMap<&'a EntityId, &'a ReplicaId> {
        let replicas = &self.replicas;
        let owned = self.entities.iter().filter_map(|item| Some((item.id, replicas[item.owner?].id)));
        owned.collect()
    }
}

// === impl Slot ===

impl Slot<'_> {
    /// By how much a load would be outside the replica's band.
    fn wrong(&self, load: u64) -> u64 {
        load.saturating_sub(self.ceiling) + self.floor.saturating_sub(load)
    }
}
