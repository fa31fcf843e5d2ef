//! Where an entity lives.

use crate::assignment::Assignment;
use crate::id::{EntityId, Epoch, Replica, ReplicaId};
use crate::membership::Members;
use crate::placement::Placement;

/// Where to send a message for an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// To a mailbox of this process.
    Local {
        /// The epoch of the ownership.
        epoch: Epoch,
    },
    /// To the peer service of another replica.
    Remote {
        /// The owner.
        replica: Replica,
        /// The epoch of its ownership; a receiver with another one declines.
        epoch: Epoch,
    },
}

/// Finds the owner of an entity.
pub trait Directory: Send + Sync {
    /// Where the entity lives; `None` while nobody owns it or its owner is gone.
    fn locate(&self, entity: &EntityId) -> Option<Location>;
}

/// What a controller needs of the fleet.
pub trait Fleet: Placement + Directory {}

impl<T: Placement + Directory> Fleet for T {}

pub(crate) fn locate(
    entity: &EntityId,
    me: &ReplicaId,
    assignment: &Assignment,
    members: &Members,
) -> Option<Location> {
    let placed = assignment.get(entity)?;
    let replica = members.get(&placed.replica)?;
    let epoch = placed.epoch;
    Some(if replica.id == *me {
        Location::Local { epoch }
    } else {
        Location::Remote { replica: replica.clone(), epoch }
    })
}
