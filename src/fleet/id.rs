//! Identities of the fleet: entities, replicas, epochs, terms.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::slices::Slice;

/// What a replica can own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntityId {
    /// A slice of a cluster's applications.
    ClusterSlice {
        /// Address of the cluster's API server.
        server: Arc<str>,
        /// Which of them.
        slice: Slice,
    },
    /// A repository, by an address in which no credential is written.
    Repository {
        /// The address.
        url: Arc<str>,
    },
}

/// A replica, by a name no other replica has or had.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaId(Arc<str>);

/// A replica as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its name.
    pub id: ReplicaId,
    /// Where its peer service listens, `host:port`.
    pub address: Arc<str>,
    /// How much work it takes beside the others. 0 takes none: it is draining.
    pub weight: u32,
    /// The shard it stands for, where clusters are pinned to shards.
    pub shard: Option<u32>,
}

/// One ownership of an entity among all that ever were. Only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// One leadership among all that ever were. Only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term(pub u64);

/// What owning an entity costs: microseconds of work in a second, measured over
/// minutes. Only its proportions matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cost(pub u64);

/// Where the slices of a cluster are among all entities in order.
pub(crate) fn slices_of(server: &Arc<str>) -> RangeInclusive<EntityId> {
    let bound = |number| EntityId::ClusterSlice { server: server.clone(), slice: Slice { number, of: number } };
    bound(0)..=bound(u32::MAX)
}

// === impl EntityId ===

impl EntityId {
    /// A slice of a cluster.
    pub fn cluster_slice(server: &str, slice: Slice) -> Self {
        Self::ClusterSlice { server: server.into(), slice }
    }

    /// A cluster that is not split. Under this name clusters are declared, split or
    /// not.
    pub fn cluster(server: &str) -> Self {
        Self::cluster_slice(server, Slice::WHOLE)
    }

    /// Whether two entities have applications in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ClusterSlice { server: a, slice: one }, Self::ClusterSlice { server: b, slice: two }) => {
                a == b && one.overlaps(*two)
            }
            (one, two) => one == two,
        }
    }

    /// A repository.
    pub fn repository(url: &str) -> Self {
        Self::Repository { url: url.into() }
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClusterSlice { server, slice: Slice::WHOLE } => write!(f, "cluster {server}"),
            Self::ClusterSlice { server, slice } => write!(f, "cluster {server} {slice}"),
            Self::Repository { url } => write!(f, "repository {url}"),
        }
    }
}

// === impl ReplicaId ===

impl ReplicaId {
    /// A replica by its name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Replica ===

impl Replica {
    /// A replica of ordinary weight.
    pub fn new(name: &str, address: &str) -> Self {
        Self { id: ReplicaId::new(name), address: address.into(), weight: 1, shard: None }
    }
}

// === impl Epoch, Term ===

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}", self.0)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "term {}", self.0)
    }
}
