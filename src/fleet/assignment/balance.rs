//! Keeping loads within their band with as few moves as will do.
//!
//! A replica whose load is beyond the tolerance takes part in moves, and they bring
//! loads nearer to their shares than that. Every move strictly lessens the sum of
//! what replicas carry above their ceiling and lack below their floor. So the search
//! ends, and where it ends no move is left: given its own output it finds none.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::assignment::{Assignment, Demand};
use crate::id::{EntityId, Replica, ReplicaId};

/// How far a load may be from its share before anything moves, in percent: wide
/// enough that measured costs may wobble.
const TOLERANCE: u128 = 15;

/// How near to its share a load is brought where something moves, or is placed for
/// the first time, in percent: near enough that it stays within the tolerance.
const AIM: u128 = 4;

/// Largest cost that is told apart, so that sums of millions do not overflow.
const MAX_COST: u64 = 1 << 40;

/// What each entity is placed on.
pub(super) fn place<'a>(
    previous: &'a Assignment,
    replicas: &'a [Replica],
    demands: &'a BTreeMap<EntityId, Demand>,
) -> BTreeMap<&'a EntityId, &'a ReplicaId> {
    let mut plan = Plan::new(previous, replicas, demands);
    if plan.replicas.is_empty() {
        return BTreeMap::new();
    }
    plan.place_orphans();
    // Each move puts right at least one unit of cost, and in practice a whole
    // entity; the bound is for the contrived rest.
    let mut moves = plan.entities.len().saturating_mul(4);
    while plan.mark_beyond() && plan.even_out(&mut moves) {}
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

/// The replica an entity prefers, were there room everywhere.
pub(crate) fn preferred<'a>(entity: &EntityId, replicas: &'a [Replica]) -> Option<&'a ReplicaId> {
    let name = entity.to_string();
    let working = replicas.iter().filter(|replica| replica.weight > 0);
    let rank = |replica: &Replica| preference(&name, &replica.id, u64::from(replica.weight));
    working.min_by(|a, b| rank(a).total_cmp(&rank(b)).then(a.id.cmp(&b.id))).map(|replica| &replica.id)
}

/// Weighted rendezvous: the lowest wins, and a replica wins in proportion to its
/// weight.
fn preference(entity: &str, replica: &ReplicaId, weight: u64) -> f64 {
    let hash = score(entity.as_bytes(), replica.as_str().as_bytes());
    // 53 bits fill a double's fraction; the half keeps it from 0.
    let unit = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -unit.ln() / weight as f64
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
    /// Outside of this its load is beyond the tolerance.
    tolerated: RangeInclusive<u64>,
    is_beyond: bool,
    /// Indices of the entities it owns.
    owns: Vec<usize>,
}

struct Item<'a> {
    id: &'a EntityId,
    name: String,
    cost: u64,
    before: Option<usize>,
    owner: Option<usize>,
    /// It is pinned there.
    stays: bool,
}

// === impl Plan ===

impl<'a> Plan<'a> {
    fn new(previous: &'a Assignment, replicas: &'a [Replica], demands: &'a BTreeMap<EntityId, Demand>) -> Self {
        // By name, so that the order they are given in does not matter.
        let by_name: BTreeMap<&ReplicaId, &Replica> =
            replicas.iter().filter(|r| r.weight > 0).map(|r| (&r.id, r)).collect();
        let index: BTreeMap<&ReplicaId, usize> = by_name.keys().enumerate().map(|(i, id)| (*id, i)).collect();
        let shards: BTreeMap<u32, usize> =
            by_name.values().enumerate().filter_map(|(i, replica)| Some((replica.shard?, i))).collect();
        let cost_of = |demand: &Demand| demand.cost.0.clamp(1, MAX_COST);
        let total: u128 = demands.values().map(|demand| u128::from(cost_of(demand))).sum();
        let weights: u128 = by_name.values().map(|replica| u128::from(replica.weight)).sum();
        let part = |weight: u32, percent: u128| total * u128::from(weight) * percent / (weights * 100);
        let clip = |value: u128| u64::try_from(value).unwrap_or(u64::MAX);
        let slots = by_name.iter().map(|(id, replica)| Slot {
            id,
            weight: u64::from(replica.weight),
            load: 0,
            floor: clip(part(replica.weight, 100 - AIM)),
            ceiling: clip(part(replica.weight, 100 + AIM) + 1),
            tolerated: clip(part(replica.weight, 100 - TOLERANCE))..=clip(part(replica.weight, 100 + TOLERANCE) + 1),
            is_beyond: false,
            owns: Vec::new(),
        });
        let mut plan = Self { replicas: slots.collect(), entities: Vec::new() };
        for (id, demand) in demands {
            let pinned = demand.pin.and_then(|pin| shards.get(&pin).copied());
            let before = previous.get(id).and_then(|placed| index.get(&placed.replica).copied());
            let (name, cost, stays) = (id.to_string(), cost_of(demand), pinned.is_some());
            plan.entities.push(Item { id, name, cost, before, owner: None, stays });
            if let Some(owner) = pinned.or(before) {
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
    /// one it burdens least; what is too large for preferences, to that at once.
    fn place_orphans(&mut self) {
        let mut orphans: Vec<usize> = (0..self.entities.len()).filter(|i| self.entities[*i].owner.is_none()).collect();
        orphans.sort_by_key(|i| std::cmp::Reverse(self.entities[*i].cost));
        for orphan in orphans {
            let cost = self.entities[orphan].cost;
            let mut order: Vec<usize> = (0..self.replicas.len()).collect();
            order.sort_by(|a, b| self.preference(orphan, *a).total_cmp(&self.preference(orphan, *b)));
            let room = |slot: &Slot<'_>| slot.load + cost <= slot.ceiling;
            let find = |fits: &dyn Fn(&Slot<'_>) -> bool| order.iter().copied().find(|r| fits(&self.replicas[*r]));
            let is_small = |slot: &Slot<'_>| cost <= slot.ceiling - slot.floor;
            let chosen = find(&|slot| is_small(slot) && slot.load < slot.floor && room(slot))
                .or_else(|| find(&|slot| is_small(slot) && room(slot)))
                .or_else(|| order.iter().copied().min_by(|a, b| self.compare_load(*a, *b, cost)));
            if let Some(chosen) = chosen {
                self.set_owner(orphan, chosen);
            }
        }
    }

    fn preference(&self, entity: usize, replica: usize) -> f64 {
        let slot = &self.replicas[replica];
        preference(&self.entities[entity].name, slot.id, slot.weight)
    }

    /// Which of two replicas would have less load for its weight with `more` added.
    fn compare_load(&self, a: usize, b: usize, more: u64) -> Ordering {
        let (a, b) = (&self.replicas[a], &self.replicas[b]);
        let (left, right) = (u128::from(a.load + more), u128::from(b.load + more));
        (left * u128::from(b.weight)).cmp(&(right * u128::from(a.weight)))
    }

    /// Says which replicas take part in moves; false when none does.
    fn mark_beyond(&mut self) -> bool {
        for slot in &mut self.replicas {
            slot.is_beyond = !slot.tolerated.contains(&slot.load);
        }
        self.replicas.iter().any(|slot| slot.is_beyond)
    }

    /// Moves what puts loads right, as long as `moves` are left; false when nothing was
    /// to be moved.
    fn even_out(&mut self, moves: &mut usize) -> bool {
        let before = *moves;
        while *moves > 0
            && let Some((entity, to)) = self.best_move()
        {
            self.set_owner(entity, to);
            *moves -= 1;
        }
        *moves < before
    }

    /// The best move between the fullest replica and the emptiest for which
    /// there is one.
    fn best_move(&self) -> Option<(usize, usize)> {
        let mut order: Vec<usize> = (0..self.replicas.len()).collect();
        order.sort_by(|a, b| self.compare_load(*a, *b, 0));
        for &from in order.iter().rev() {
            for &to in &order {
                let (donor, receiver) = (&self.replicas[from], &self.replicas[to]);
                let takes_part = donor.is_beyond || receiver.is_beyond;
                if from == to || !takes_part || (donor.load <= donor.ceiling && receiver.load >= receiver.floor) {
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
        let movable = donor.owns.iter().filter(|entity| !self.entities[**entity].stays);
        let candidates = movable.filter_map(|&entity| gain(entity).map(|gain| (entity, gain)));
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
