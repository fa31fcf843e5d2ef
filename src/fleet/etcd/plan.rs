//! What the leader stores next: the decision, pure.
//!
//! The one rule that keeps an entity from having two owners: an entry is taken
//! out or replaced only when its owner has let go of it (it said so under its
//! lease, with the epoch) or is gone (its session is over in etcd, and was over
//! earlier by its own clock). Until then it can only be marked as leaving, and
//! never back. Both facts stay true for ever, so a leader that sees them late
//! does no harm, and an owner that sees the mark late only delays the move.

use std::collections::{BTreeMap, BTreeSet};

use crate::assignment::{Assignment, Placed, assign_entities};
use crate::etcd::document::{Document, Entry, Leaving, Session};
use crate::id::{Cost, EntityId, Epoch, Replica, ReplicaId};

/// The replicas that are there, each with its session.
pub(crate) type Sessions = BTreeMap<ReplicaId, (Session, Replica)>;

/// What the leader decides on, all of one revision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) sessions: &'a Sessions,
    pub(crate) costs: &'a BTreeMap<EntityId, Cost>,
    /// Epochs whose owners have let go.
    pub(crate) released: &'a BTreeSet<Epoch>,
}

/// What follows `document`; the same when nothing is to change.
pub(crate) fn plan_document(document: &Document, facts: Facts<'_>) -> Document {
    let replicas: Vec<Replica> = facts.sessions.values().map(|(_, replica)| replica.clone()).collect();
    let decided = assign_entities(&standing(document, facts), &replicas, facts.costs);
    let wanted = decided.iter().map(|(entity, placed)| (entity, &placed.replica)).collect();
    step(document, facts, &wanted)
}

/// Goes as far towards `wanted` as the rule permits.
pub(crate) fn step(document: &Document, facts: Facts<'_>, wanted: &BTreeMap<&EntityId, &ReplicaId>) -> Document {
    let mut next = Document::starting_at(document.next_epoch);
    for (entity, entry) in &document.entries {
        let target = wanted.get(entity).copied().filter(|replica| facts.sessions.contains_key(*replica));
        if !facts.has_ended(entry) {
            let mut entry = entry.clone();
            if entry.leaving.is_some() || target != Some(&entry.replica) {
                entry.leaving = Some(Leaving { next: target.cloned() });
            }
            next.entries.insert(entity.clone(), entry);
        } else if let Some(target) = target {
            next.give(entity, target, facts);
        }
    }
    for (entity, replica) in wanted {
        if !document.entries.contains_key(*entity) {
            next.give(entity, replica, facts);
        }
    }
    next
}

/// The placement that a new one should keep to: where things are, or are going.
/// A replica that has joined anew counts as the one it was.
fn standing(document: &Document, facts: Facts<'_>) -> Assignment {
    let placed = document.entries.iter().filter_map(|(entity, entry)| {
        let replica = match &entry.leaving {
            None => Some(&entry.replica),
            Some(leaving) => leaving.next.as_ref(),
        };
        Some((entity.clone(), Placed { replica: replica?.clone(), epoch: entry.epoch }))
    });
    let next_epoch = document.next_epoch;
    let placed = placed.filter(|(_, placed)| facts.sessions.contains_key(&placed.replica)).collect();
    Assignment::of(placed, next_epoch)
}

// === impl Facts ===

impl Facts<'_> {
    fn has_ended(&self, entry: &Entry) -> bool {
        let is_there = self.sessions.get(&entry.replica).is_some_and(|(session, _)| *session == entry.session);
        !is_there || self.released.contains(&entry.epoch)
    }
}

// === impl Document ===

impl Document {
    /// A new ownership under an epoch nobody ever had.
    fn give(&mut self, entity: &EntityId, replica: &ReplicaId, facts: Facts<'_>) {
        let Some((session, _)) = facts.sessions.get(replica) else { return };
        let epoch = self.next_epoch;
        self.next_epoch = epoch.next();
        let entry = Entry { replica: replica.clone(), session: *session, epoch, leaving: None };
        self.entries.insert(entity.clone(), entry);
    }
}
