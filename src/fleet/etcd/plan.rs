//! What the leader stores next: the decision, pure.
//!
//! The one rule that keeps an entity from having two owners: an entry is taken
//! out or replaced only when its owner has let go of it (it said so under its
//! lease, with the epoch) or is gone (its session is over in etcd, and was over
//! earlier by its own clock). Until then it can only be marked as leaving, and
//! never back. Both facts stay true for ever, so a leader that sees them late
//! does no harm, and an owner that sees the mark late only delays the move.
//!
//! A slice is given to nobody while an entry stands that has applications in
//! common with it: a cluster that is split, or joined again, is let go of as a
//! whole before its new slices begin.
//!
//! One exception: an owner that others have lost sight of is replaced at once if the
//! cluster itself refuses it after a takeover; the write compares that this is so at
//! that moment still. It may believe to own for a while, and is remembered as doubted
//! until it cannot. Its successor works behind the same fence until then, and the
//! cluster is neither split nor joined nor moved meanwhile. When somebody has lost
//! sight of more than half of the replicas, that says more about itself ([`Lookout`]).
//!
//! Before an entry is marked, its next owner is named and prepares, so that it
//! has all it needs when it is its turn. That promises nothing to anybody.

mod lookout;
mod sizes;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::assignment::{Assignment, Demand, Placed, assign_demands};
use crate::etcd::document::{Document, Entry, Leaving, Session};
use crate::id::{Cost, EntityId, Epoch, Replica, ReplicaId};
pub(crate) use lookout::{Lookout, OutOfSight};
use sizes::Sizes;

/// Owners replaced in one write although they may be at work: etcd compares no more
/// keys in one transaction, and each must be fenced at that moment still.
const REPLACED: usize = 100;

/// The replicas that are there, each with its session.
pub(crate) type Sessions = BTreeMap<ReplicaId, (Session, Replica)>;

/// What the leader decides on, all of one revision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) sessions: &'a Sessions,
    pub(crate) costs: &'a BTreeMap<EntityId, Cost>,
    /// Epochs whose owners have let go.
    pub(crate) released: &'a BTreeSet<Epoch>,
    /// Epochs that somebody is prepared to take over from.
    pub(crate) ready: &'a BTreeMap<Epoch, ReplicaId>,
    /// Epochs whose takeover has been prepared for longer than an owner who leaves waits.
    pub(crate) overdue: &'a BTreeSet<Epoch>,
    /// Replicas that the leader has lost sight of, though their sessions last.
    pub(crate) lost: &'a BTreeSet<ReplicaId>,
    /// Those, and others that are given nothing for the same reason.
    pub(crate) avoided: &'a BTreeSet<ReplicaId>,
    /// Epochs whose owners the cluster refuses once somebody has taken over.
    pub(crate) fenced: &'a BTreeSet<Epoch>,
    /// Clusters that are pinned to a shard.
    pub(crate) pins: &'a BTreeMap<Arc<str>, u32>,
    /// What a cluster costs at least that is split at all.
    pub(crate) worth_splitting: Cost,
}

/// What is stored next, at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) document: Document,
    /// Costs that follow from it: of slices that are new, and of those that are
    /// no more. Seldom any, and never more than fit into the transaction.
    pub(crate) costs: Vec<(EntityId, Option<Cost>)>,
}

/// What follows `document`; the same when nothing is to change.
pub(crate) fn plan_document(document: &Document, facts: Facts<'_>) -> Next {
    let replicas: Vec<Replica> = facts.replicas().collect();
    let sizes = Sizes::decide(document, facts);
    let demands = sizes.demands(facts);
    let decided = assign_demands(&standing(document, facts), &replicas, &demands);
    let wanted = decided.iter().map(|(entity, placed)| (entity, &placed.replica)).collect();
    let is_declared = |server: &str| facts.costs.contains_key(&EntityId::cluster(server));
    let pins = facts.pins.iter().filter(|(server, _)| is_declared(server));
    let pins = pins.map(|(server, shard)| (server.clone(), *shard)).collect();
    sizes.into_next(Document { pins, ..step(document, facts, &wanted) })
}

/// Goes as far towards `wanted` as the rule permits.
pub(crate) fn step(document: &Document, facts: Facts<'_>, wanted: &BTreeMap<&EntityId, &ReplicaId>) -> Document {
    let mut next = Document { entries: BTreeMap::new(), doubted: facts.doubted(document), ..document.clone() };
    let target = |entity: &EntityId| wanted.get(entity).copied().filter(|name| facts.sessions.contains_key(*name));
    let mut replaced = 0;
    for (entity, entry) in document.entries.iter().filter(|(_, entry)| !facts.has_ended(entry)) {
        let target = target(entity);
        let is_elsewhere = target.is_some_and(|target| *target != entry.replica);
        if facts.may_be_replaced(entity, entry) && is_elsewhere && replaced < REPLACED {
            replaced += 1;
            next.doubt(entity, entry);
            continue;
        }
        // Asking an owner to leave who is out of sight would only mean that it must,
        // should it come back.
        let stays = facts.stays(&next, entity, entry) && entry.leaving.is_none() && target.is_some();
        let target = if stays { Some(&entry.replica) } else { target };
        next.entries.insert(entity.clone(), facts.follow(entry, target));
    }
    // An entity that is given on keeps its place in the order, so that epochs are
    // handed out the same way whoever leads.
    for entity in wanted.keys() {
        if let Some(replica) = target(entity).filter(|_| !next.is_taken(entity)) {
            next.give(entity, replica, facts);
        }
    }
    next
}

/// The demand of each entity, by the number of slices that clusters have now.
pub(crate) fn demands(document: &Document, facts: Facts<'_>) -> BTreeMap<EntityId, Demand> {
    Sizes::standing(document, facts).demands(facts)
}

/// The placement that a new one should keep to: where things are, or are going.
/// A replica that has joined anew counts as the one it was.
fn standing(document: &Document, facts: Facts<'_>) -> Assignment {
    let placed = document.entries.iter().filter_map(|(entity, entry)| {
        let replica = match (&entry.leaving, &entry.coming) {
            (Some(leaving), _) => leaving.next.as_ref(),
            (None, Some(coming)) if facts.sessions.contains_key(coming) => Some(coming),
            (None, _) => Some(&entry.replica),
        };
        Some((entity.clone(), Placed { replica: replica?.clone(), epoch: entry.epoch }))
    });
    let next_epoch = document.next_epoch;
    let placed = placed.filter(|(_, placed)| facts.sessions.contains_key(&placed.replica)).collect();
    Assignment::of(placed, next_epoch)
}

// === impl Facts ===

impl Facts<'_> {
    /// What there is to place on: what is out of sight gets nothing.
    fn replicas(&self) -> impl Iterator<Item = Replica> {
        self.sessions.values().map(|(_, replica)| match self.avoided.contains(&replica.id) {
            true => Replica { weight: 0, ..replica.clone() },
            false => replica.clone(),
        })
    }

    /// Whether nobody need wait until the owner has stopped.
    fn may_be_replaced(&self, entity: &EntityId, entry: &Entry) -> bool {
        let is_slice = matches!(entity, EntityId::ClusterSlice { .. });
        is_slice && self.lost.contains(&entry.replica) && self.fenced.contains(&entry.epoch)
    }

    /// Whether an entry stays where it is for now: its owner is out of sight, or nobody
    /// could follow on it soon, because somebody before it may be at work. One that
    /// drains sees to itself.
    fn stays(&self, document: &Document, entity: &EntityId, entry: &Entry) -> bool {
        let is_held_back = self.avoided.contains(&entry.replica) || document.is_doubted(entity, entry.epoch);
        is_held_back && !self.drains(entry)
    }

    /// Whether the owner gives everything away.
    fn drains(&self, entry: &Entry) -> bool {
        self.sessions.get(&entry.replica).is_none_or(|(_, replica)| replica.weight == 0)
    }

    /// Those replaced before who may still be at work.
    fn doubted(&self, document: &Document) -> BTreeMap<Arc<str>, BTreeMap<Epoch, Session>> {
        let lasts = |session: &Session| self.sessions.values().any(|(known, _)| known == session);
        let mut doubted = document.doubted.clone();
        for stays in doubted.values_mut() {
            stays.retain(|epoch, session| !self.released.contains(epoch) && lasts(session));
        }
        doubted.retain(|_, stays| !stays.is_empty());
        doubted
    }

    fn has_ended(&self, entry: &Entry) -> bool {
        !entry.lasts(self.sessions) || self.released.contains(&entry.epoch)
    }

    /// An entry whose owner has not let go, on its way to `target`.
    fn follow(&self, entry: &Entry, target: Option<&ReplicaId>) -> Entry {
        let mut entry = entry.clone();
        entry.coming = None;
        match target {
            Some(target) if entry.leaving.is_none() && *target == entry.replica => {}
            Some(target) if entry.leaving.is_none() && !self.is_prepared(&entry, target) => {
                entry.coming = Some(target.clone());
            }
            target => entry.leaving = Some(Leaving { next: target.cloned() }),
        }
        entry
    }

    /// Who stays waits until its successor is prepared, however long that takes: a
    /// cluster is better off with an owner that reaches it. Who leaves cannot.
    fn is_prepared(&self, entry: &Entry, target: &ReplicaId) -> bool {
        let is_overdue = self.drains(entry) && self.overdue.contains(&entry.epoch);
        is_overdue || self.ready.get(&entry.epoch) == Some(target)
    }
}

// === impl Entry ===

impl Entry {
    /// Whether the stay lasts in which it was given.
    pub(crate) fn lasts(&self, sessions: &Sessions) -> bool {
        sessions.get(&self.replica).is_some_and(|(session, _)| *session == self.session)
    }
}

// === impl Document ===

impl Document {
    /// Whether an entry stands that has anything in common with an entity.
    fn is_taken(&self, entity: &EntityId) -> bool {
        match entity {
            EntityId::Repository { .. } => self.entries.contains_key(entity),
            EntityId::ClusterSlice { server, .. } => {
                self.slices_of(server).any(|(standing, _)| standing.overlaps(entity))
            }
        }
    }

    /// Somebody is replaced who may not know it for a while.
    fn doubt(&mut self, entity: &EntityId, entry: &Entry) {
        if let EntityId::ClusterSlice { server, .. } = entity {
            self.doubted.entry(server.clone()).or_default().insert(entry.epoch, entry.session);
        }
    }

    /// A new ownership under an epoch nobody ever had.
    fn give(&mut self, entity: &EntityId, replica: &ReplicaId, facts: Facts<'_>) {
        let Some((session, _)) = facts.sessions.get(replica) else { return };
        let epoch = self.next_epoch;
        self.next_epoch = epoch.next();
        let entry = Entry { replica: replica.clone(), session: *session, epoch, coming: None, leaving: None };
        self.entries.insert(entity.clone(), entry);
    }
}
