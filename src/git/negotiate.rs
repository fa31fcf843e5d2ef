//! What to ask a remote for and what to tell it we have, from comparing its
//! refs with the mirror. Since the remote has said which refs it has, the ones
//! the mirror knows are certainly common, and one message settles it.

use std::collections::BTreeSet;

use git2::{Odb, Oid, Repository, Sort};

use crate::Error;
use crate::refs::RemoteRefs;

/// Ids told to the remote; 50 bytes each on the wire.
const MAX_COMMON: usize = 256;
const MAX_SAMPLE: usize = 128;
/// Commits walked to find the sample.
const MAX_WALK: usize = 20_000;

/// The tips that the mirror lacks.
pub(crate) fn plan_wants(remote: &RemoteRefs, odb: &Odb<'_>) -> Vec<Oid> {
    let tips: BTreeSet<Oid> = remote.refs.values().map(|target| target.oid).chain(remote.head).collect();
    tips.into_iter().filter(|oid| !odb.exists(*oid)).collect()
}

/// Commits the mirror has: first those the remote has shown to have too, then a
/// sample of the history, dense where it is young. The sample matters when all
/// tips have moved, or history was rewritten.
pub(crate) fn plan_haves(remote: &RemoteRefs, own: &RemoteRefs, repository: &Repository) -> Result<Vec<Oid>, Error> {
    let odb = repository.odb().map_err(Error::store("open the object database"))?;
    let mut haves: Vec<Oid> = Vec::new();
    let mut seen = BTreeSet::new();
    let common = remote.branches().chain(remote.tags()).map(|(_, oid)| oid);
    for oid in common.filter(|oid| odb.exists(*oid)).take(MAX_COMMON) {
        if seen.insert(oid) {
            haves.push(oid);
        }
    }
    let mut walk = repository.revwalk().map_err(Error::store("walk the history"))?;
    walk.set_sorting(Sort::TIME).map_err(Error::store("walk the history"))?;
    for (_, oid) in own.branches() {
        // A branch may name something other than a commit; that is no history.
        if repository.find_commit(oid).is_ok() {
            walk.push(oid).map_err(Error::store("walk the history"))?;
        }
    }
    let mut next = 0;
    for (index, oid) in walk.take(MAX_WALK).enumerate() {
        let oid = oid.map_err(Error::store("walk the history"))?;
        if index < next || !seen.insert(oid) {
            continue;
        }
        haves.push(oid);
        // Every commit of the first 32, then ever larger steps.
        next = if index < 32 { index + 1 } else { index + index / 8 };
        if haves.len() >= MAX_COMMON + MAX_SAMPLE {
            break;
        }
    }
    Ok(haves)
}
