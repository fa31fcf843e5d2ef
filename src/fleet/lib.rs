//! Who does the work: replicas, their leader, and which of them owns what.
//!
//! The unit of placement is an entity ([`EntityId`]): a slice of a cluster or a
//! repository. A replica joins under a lease ([`Membership`]); one is elected
//! ([`Leadership`]) and decides placement with [`assign_entities`], a pure
//! function, written and fenced through [`PlacementStore`]. Every replica sees
//! what it owns through [`Placement`], and finds what it does not own through
//! [`Directory`]. The controller knows these traits alone; [`Local`] is their
//! implementation for a single process, where one replica owns everything, and
//! [`Etcd`] the one for many, of which [`Divided`] leaves repositories to
//! everybody. [`ByHand`] is for those who share clusters out themselves. How replicas
//! know each other on the network is [`peer_tls`], and how they notice that one is gone
//! [`keep_links`].
//!
//! Promises, whatever the implementation:
//! - an entity's epochs only grow, and no two owners ever have the same one;
//! - an owner holds an [`Ownership`] and stops by itself, on a monotonic clock,
//!   when it is revoked or the replica's lease runs out, whichever is first;
//! - a lease that has run out is never renewed: the replica joins anew;
//! - replicas work on without a leader, and a deposed leader's writes are refused.
//!
//! Nothing here is remembered through a crash but what a store keeps. A process
//! that restarts starts its epochs from the number it is given.

mod assignment;
mod by_hand;
mod directory;
mod divided;
mod error;
pub mod etcd;
mod id;
mod lease;
mod links;
mod local;
mod membership;
pub mod peer_tls;
mod placement;
mod report;
mod slices;
mod succession;

pub use assignment::{Assignment, Demand, Placed, assign_demands, assign_entities};
pub use by_hand::{ByHand, Rule, deal};
pub use directory::{Directory, Fleet, Location};
pub use divided::Divided;
pub use error::{BoxError, Error};
pub use etcd::Etcd;
pub use id::{Cost, EntityId, Epoch, Replica, ReplicaId, Term};
pub use lease::{Lease, LeaseState, LeaseView, Ownership};
pub use links::{Link, LinkService, Sight, keep_links};
pub use local::Local;
pub use membership::{Leadership, Members, Membership};
pub use placement::{Coming, OwnershipEvent, Pins, Placement, PlacementStore};
pub use report::{EntityReport, Move, PlacementReport, Reason, ReplicaReport};
pub use slices::{Slice, plan_slices, slice_of};
pub use succession::Succession;
