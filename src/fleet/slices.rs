//! How many slices a cluster has, and which applications are in which.

use std::fmt;

use crate::assignment::score;
use crate::id::Cost;

/// A slice should cost no more than this part of a replica's mean load, so that
/// loads can be evened out by moving whole slices.
const SLICES_PER_REPLICA: u64 = 4;

/// Most slices of one cluster. Their costs are written in one transaction of
/// etcd, which takes 128 operations.
const MAX_SLICES: u64 = 48;

/// A part of a cluster's applications, by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slice {
    /// Which one, from 0.
    pub number: u32,
    /// Of how many.
    pub of: u32,
}

// === impl Slice ===

impl Slice {
    /// All applications of a cluster.
    pub const WHOLE: Self = Self { number: 0, of: 1 };

    /// All slices of a cluster that has so many.
    pub fn all(of: u32) -> impl Iterator<Item = Self> {
        (0..of.max(1)).map(move |number| Self { number, of: of.max(1) })
    }

    /// Whether an application is in it.
    pub fn contains(self, application: &str) -> bool {
        slice_of(application, self.of) == self.number
    }

    /// Whether two slices of one cluster may have applications in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.of != other.of || self.number == other.number
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slice {} of {}", self.number + 1, self.of)
    }
}

/// How many slices a cluster should have, given what it costs in all, the mean load
/// of a replica, and what a cluster costs at least that is split at all. It splits as soon as a slice is too large and joins
/// only when half the slices would do, so that it does not swing.
pub fn plan_slices(cost: Cost, mean_load: Cost, worth_splitting: Cost, current: u32) -> u32 {
    if mean_load.0 == 0 {
        return current.max(1);
    }
    let wanted = if cost < worth_splitting {
        1
    } else {
        cost.0.saturating_mul(SLICES_PER_REPLICA).div_ceil(mean_load.0).clamp(1, MAX_SLICES)
    };
    let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
    if wanted > current || wanted.saturating_mul(2) <= current { wanted } else { current.max(1) }
}

/// The slice of an application, by its name: one of `0..slices`. A further
/// slice draws from all others and moves nothing between them.
pub fn slice_of(application: &str, slices: u32) -> u32 {
    let best = (0..slices).max_by_key(|slice| score(application.as_bytes(), &slice.to_be_bytes()));
    best.unwrap_or(0)
}
