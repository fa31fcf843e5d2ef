//! What an owner does about a stored assignment: the decision, pure.
//!
//! It owns what an entry gives to its session, until the entry says that it is
//! leaving, or gives it to somebody else, or its session ends. What it stopped it
//! acknowledges once all work on it has ended, and not before. Old assignments are
//! harmless: an entry that this session has let go of is never taken up again.

use std::collections::{BTreeMap, BTreeSet};

use crate::etcd::document::{Document, Session};
use crate::id::{EntityId, Epoch, ReplicaId};

/// One thing to do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// The entity is owned from now on.
    Gain(EntityId, Epoch),
    /// It is no longer: revoke, wait until work has ended, tell
    /// [`Owner::on_drained`].
    Stop(EntityId, Epoch),
    /// Write under the lease that this epoch was let go of.
    Acknowledge(Epoch),
    /// The leader has seen that: it need not be kept.
    Forget(Epoch),
}

/// What this replica owns, and what it is letting go of.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    session: Option<Session>,
    held: BTreeMap<EntityId, Epoch>,
    draining: BTreeSet<Epoch>,
    acknowledged: BTreeSet<Epoch>,
}

// === impl Owner ===

impl Owner {
    /// A session has begun.
    pub(crate) fn on_joined(&mut self, session: Session) {
        *self = Self { session: Some(session), ..Self::default() };
    }

    /// The session has ended: everything stops, and nothing is acknowledged, for
    /// the end of the session says it all.
    pub(crate) fn on_lapsed(&mut self) -> Vec<Duty> {
        let held = std::mem::take(self).held;
        held.into_iter().map(|(entity, epoch)| Duty::Stop(entity, epoch)).collect()
    }

    /// The stored assignment, now or as it was a while ago.
    pub(crate) fn on_document(&mut self, me: &ReplicaId, document: &Document) -> Vec<Duty> {
        let Some(session) = self.session else { return Vec::new() };
        let mine = document.entries.iter().filter(|(_, entry)| entry.session == session && entry.replica == *me);
        let mine: BTreeMap<&EntityId, (Epoch, bool)> =
            mine.map(|(entity, entry)| (entity, (entry.epoch, entry.leaving.is_some()))).collect();
        let mut duties = Vec::new();
        let stays = |entity: &EntityId, epoch: Epoch| mine.get(entity) == Some(&(epoch, false));
        for (entity, epoch) in self.held.extract_if(.., |entity, epoch| !stays(entity, *epoch)) {
            self.draining.insert(epoch);
            duties.push(Duty::Stop(entity, epoch));
        }
        for (entity, (epoch, leaving)) in &mine {
            if self.held.contains_key(*entity) || self.draining.contains(epoch) || self.acknowledged.contains(epoch) {
                continue;
            }
            if *leaving {
                // Taken back before it was ever seen here.
                self.acknowledged.insert(*epoch);
                duties.push(Duty::Acknowledge(*epoch));
            } else {
                self.held.insert((*entity).clone(), *epoch);
                duties.push(Duty::Gain((*entity).clone(), *epoch));
            }
        }
        let epochs: BTreeSet<Epoch> = mine.values().map(|(epoch, _)| *epoch).collect();
        // An assignment from before the epoch was given would forget too early, and the
        // leader has not seen what it still doubts.
        let is_past =
            |epoch: &Epoch| *epoch < document.next_epoch && !epochs.contains(epoch) && !document.doubts(*epoch);
        duties.extend(self.acknowledged.extract_if(.., |epoch| is_past(epoch)).map(Duty::Forget));
        duties
    }

    /// All work on what was owned under this epoch has ended.
    pub(crate) fn on_drained(&mut self, epoch: Epoch) -> Option<Duty> {
        self.draining.remove(&epoch).then(|| {
            self.acknowledged.insert(epoch);
            Duty::Acknowledge(epoch)
        })
    }
}
