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

    /// Where the slice of a cluster lives that an application is in.
    fn locate_application(&self, server: &str, application: &str) -> Option<Location>;

    /// Where the first slice of a cluster lives: who speaks for the cluster as such.
    fn locate_cluster(&self, server: &str) -> Option<Location>;
}

/// What a controller needs of the fleet.
pub trait Fleet: Placement + Directory {}

impl<T: Placement + Directory> Fleet for T {}

/// As [`Directory::locate_application`].
pub(crate) fn locate_application(
    (server, application): (&str, &str),
    me: &ReplicaId,
    assignment: &Assignment,
    members: &Members,
) -> Option<Location> {
    let entity = assignment.slice_with(server, application)?;
    locate(entity, me, assignment, members)
}

/// As [`Directory::locate_cluster`].
pub(crate) fn locate_cluster(
    server: &str,
    me: &ReplicaId,
    assignment: &Assignment,
    members: &Members,
) -> Option<Location> {
    locate(assignment.first_slice(server)?, me, assignment, members)
}

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
