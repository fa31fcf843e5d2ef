//! Fewer packs. Every fetch that brings something adds one, and libgit2 never
//! joins them.
//!
//! A new pack is written in `incoming`, adopted, and only then are the packs it
//! replaces removed; whoever reads sees each object in one pack or the other.

use std::fs;
use std::path::Path;

use git2::{Oid, PackBuilder, PackBuilderStage, Repository};

use crate::Error;
use crate::pack::Stop;
use crate::refs::RemoteRefs;
use crate::store::Store;

/// Packs up to this many are left alone: a look-up in 20 indexes is still far
/// below a microsecond each.
const MAX_PACKS: usize = 20;

/// Joins the smallest packs into one when there are too many. Only as many as
/// keep each remaining pack larger than all that were joined together, so that
/// in the long run every object is rewritten a logarithmic number of times.
/// Returns whether anything was joined.
pub(crate) fn merge(store: &Store, repository: &Repository, stop: &Stop) -> Result<bool, Error> {
    let packs = store.packs()?;
    if packs.len() <= MAX_PACKS {
        return Ok(false);
    }
    let sizes: Vec<u64> = packs.iter().map(|(_, size)| *size).collect();
    let joined: Vec<&str> = packs[..plan_merge(&sizes)].iter().map(|(name, _)| name.as_str()).collect();
    let mut builder = new_builder(repository, stop)?;
    for name in &joined {
        let index = store.pack_dir().join(format!("pack-{name}.idx"));
        for oid in read_index(&index)? {
            builder.insert_object(oid, None).map_err(Error::store("pack an object"))?;
        }
    }
    replace(store, &mut builder, &joined)?;
    Ok(true)
}

/// Writes everything reachable into one pack and removes all others.
pub(crate) fn collect(
    store: &Store,
    repository: &Repository,
    refs: &RemoteRefs,
    keep: &[Oid],
    stop: &Stop,
) -> Result<(), Error> {
    let packs = store.packs()?;
    let old: Vec<&str> = packs.iter().map(|(name, _)| name.as_str()).collect();
    let mut builder = new_builder(repository, stop)?;
    let mut walk = repository.revwalk().map_err(Error::store("walk the history"))?;
    for oid in refs.refs.values().map(|target| target.oid).chain(refs.head).chain(keep.iter().copied()) {
        let Ok(object) = repository.find_object(oid, None) else { continue };
        if let Ok(commit) = object.peel_to_commit() {
            walk.push(commit.id()).map_err(Error::store("walk the history"))?;
        }
        if object.as_commit().is_none() {
            // An annotated tag, or a ref to something that is no commit.
            builder.insert_recursive(oid, None).map_err(Error::store("pack an object"))?;
        }
    }
    builder.insert_walk(&mut walk).map_err(Error::store("pack the history"))?;
    if builder.object_count() == 0 {
        return Ok(());
    }
    replace(store, &mut builder, &old)
}

/// How many of the packs (sizes ascending) to join: enough to halve the number
/// allowed, and from there the fewest that the next larger pack outweighs.
fn plan_merge(sizes: &[u64]) -> usize {
    let least = sizes.len().saturating_sub(MAX_PACKS / 2);
    let outweighs = |count: &usize| sizes[*count] >= sizes[..*count].iter().sum();
    (least..sizes.len()).find(outweighs).unwrap_or(sizes.len())
}

fn new_builder<'r>(repository: &'r Repository, stop: &Stop) -> Result<PackBuilder<'r>, Error> {
    let mut builder = repository.packbuilder().map_err(Error::store("begin a pack"))?;
    // Repacking is nobody's hurry; one thread leaves the others to the fleet.
    builder.set_threads(1);
    let stop = stop.clone();
    let progress = move |_: PackBuilderStage, _: u32, _: u32| !stop.is_due();
    builder.set_progress_callback(progress).map_err(Error::store("begin a pack"))?;
    Ok(builder)
}

fn replace(store: &Store, builder: &mut PackBuilder<'_>, old: &[&str]) -> Result<(), Error> {
    builder.write(&store.incoming_dir(), 0o444).map_err(Error::store("write a pack"))?;
    let name = builder.name().map_err(Error::store("write a pack"))?;
    let name = name.map(str::to_owned).ok_or_else(|| Error::Store {
        action: "write a pack",
        source: git2::Error::from_str("the pack has no name"),
    })?;
    store.adopt_pack(&name)?;
    for pack in old.iter().filter(|pack| **pack != name) {
        store.remove_pack(pack)?;
    }
    Ok(())
}

/// The ids in a version 2 pack index: a table of 256 running totals, then the
/// ids, 20 bytes each.
fn read_index(path: &Path) -> Result<Vec<Oid>, Error> {
    const HEADER: usize = 8;
    const NAMES: usize = HEADER + 256 * 4;
    let damaged = || Error::Damaged { action: "read the index of a pack", source: git2::Error::from_str("malformed") };
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    if !bytes.starts_with(b"\xfftOc\0\0\0\x02") {
        return Err(damaged());
    }
    let total = bytes.get(NAMES - 4..NAMES).and_then(|total| total.try_into().ok()).map(u32::from_be_bytes);
    let count = total.ok_or_else(damaged)? as usize;
    let names = bytes.get(NAMES..NAMES + count * 20).ok_or_else(damaged)?;
    names.chunks_exact(20).map(|name| Oid::from_bytes(name).map_err(Error::store("read an id"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_packs_are_joined_and_a_large_one_is_left() {
        let mut sizes = vec![10; 24];
        assert_eq!(plan_merge(&sizes), 24, "equals are all joined");
        sizes.push(10_000);
        assert_eq!(plan_merge(&sizes), 24, "the first clone stays as it is");
        sizes.push(1_000_000);
        assert_eq!(plan_merge(&sizes), 24);
        let doubling: Vec<u64> = (0..21).map(|n| 1 << n).collect();
        assert_eq!(plan_merge(&doubling), 11, "ten remain");
    }
}
