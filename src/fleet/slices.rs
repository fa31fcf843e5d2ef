//! How many slices a cluster has, and which applications are in which.

use crate::assignment::score;
use crate::id::Cost;

/// A slice should cost no more than this part of a replica's mean load, so that
/// loads can be evened out by moving whole slices.
const SLICES_PER_REPLICA: u64 = 4;

/// Most slices of one cluster: each has watches of its own on the API server.
const MAX_SLICES: u64 = 64;

/// How many slices a cluster should have, given what it costs in all and the
/// mean load of a replica. It splits as soon as a slice is too large and joins
/// only when half the slices would do, so that it does not swing.
pub fn plan_slices(cost: Cost, mean_load: Cost, current: u32) -> u32 {
    if mean_load.0 == 0 {
        return current.max(1);
    }
    let wanted = cost.0.saturating_mul(SLICES_PER_REPLICA).div_ceil(mean_load.0).clamp(1, MAX_SLICES);
    let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
    if wanted > current || wanted.saturating_mul(2) <= current { wanted } else { current.max(1) }
}

/// The slice of an application, by its name: one of `0..slices`. A further
/// slice draws from all others and moves nothing between them.
pub fn slice_of(application: &str, slices: u32) -> u32 {
    let best = (0..slices).max_by_key(|slice| score(application.as_bytes(), &slice.to_be_bytes()));
    best.unwrap_or(0)
}
