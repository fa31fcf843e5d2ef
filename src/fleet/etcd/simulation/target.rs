//! The clusters themselves as far as the protocol sees them: which epochs' credentials
//! they accept.

use std::collections::BTreeMap;

use crate::id::{EntityId, Epoch};

/// What an owner works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A subject of its own, which the next owner removes.
    Binding,
    /// Anything that is accepted for longer than the next owner needs; here for ever.
    Lasting,
}

/// What is accepted, by what it was made for.
#[derive(Default)]
pub(super) struct Targets {
    accepted: BTreeMap<EntityId, BTreeMap<Epoch, Vec<Kind>>>,
}

// === impl Targets ===

impl Targets {
    /// An owner removes what earlier owners of anything it has a part of can be kept out
    /// with, and makes its own; `false` when a later one has been there.
    pub(super) fn make(&mut self, entity: &EntityId, epoch: Epoch, kind: Kind) -> bool {
        let mut others: Vec<_> = self.accepted.iter_mut().filter(|(other, _)| other.overlaps(entity)).collect();
        if others.iter().any(|(_, made)| made.range(epoch.next()..).next().is_some()) {
            return false;
        }
        let earlier = others.iter_mut().flat_map(|(_, made)| made.range_mut(..epoch));
        earlier.for_each(|(_, kinds)| kinds.retain(|kind| *kind == Kind::Lasting));
        self.accepted.entry(entity.clone()).or_default().entry(epoch).or_default().push(kind);
        true
    }

    /// Whether anything an owner was given is accepted.
    pub(super) fn accepts(&self, entity: &EntityId, epoch: Epoch) -> bool {
        self.accepted.get(entity).and_then(|made| made.get(&epoch)).is_some_and(|kinds| !kinds.is_empty())
    }
}
