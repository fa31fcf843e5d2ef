//! What owners take with them: objects whose owners are all gone are deleted,
//! owners that wait for what they own, or let go of it, are released.

use argosy_model::object;
use serde_json::Value;

use super::deletion::{FOREGROUND, ORPHAN};
use super::owners::references;
use super::{Owners, Propagation};
use crate::controllers::{WorkError, World};
use crate::store::{ObjectKey, Store};

/// What is to become of an object that names owners.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// All its owners are there.
    Keep,
    /// Some are not: these uids are to be removed.
    Release(Vec<String>),
    /// None is: it goes.
    Delete(Propagation),
}

/// Deletes an object without owners left, or removes references to those that are gone.
pub(crate) fn collect(world: &World, key: &ObjectKey) -> Result<(), WorkError> {
    let Some(current) = world.store.get(key) else { return Ok(()) };
    if object::is_deleting(&current.value) {
        return Ok(());
    }
    match judge(&world.owners, &world.store, key, &current.value) {
        Verdict::Keep => Ok(()),
        Verdict::Release(uids) => world.update(key, |value| remove_references(value, &uids)),
        Verdict::Delete(propagation) => world.delete(key, propagation),
    }
}

/// Goes on with the deletion of an owner that waits for what it owns or orphans it.
pub(crate) fn settle_owner(world: &World, key: &ObjectKey) -> Result<(), WorkError> {
    let Some(current) = world.store.get(key) else { return Ok(()) };
    if !object::is_deleting(&current.value) {
        return Ok(());
    }
    let uid = object::uid(&current.value);
    let owned: Vec<ObjectKey> = world.owners.owned_by(uid).cloned().collect();
    let has = |wanted: &str| object::finalizers(&current.value).any(|finalizer| finalizer == wanted);
    if has(ORPHAN) {
        let uids = [uid.to_owned()];
        for child in &owned {
            world.update(child, |value| remove_references(value, &uids))?;
        }
        return world.update(key, |value| remove_finalizer(value, ORPHAN));
    }
    if has(FOREGROUND) {
        let blocking = owned.iter().filter(|child| blocks(&world.store, child, uid)).count();
        for child in &owned {
            collect(world, child)?;
        }
        if blocking == 0 {
            world.update(key, |value| remove_finalizer(value, FOREGROUND))?;
        }
    }
    Ok(())
}

fn judge(owners: &Owners, store: &Store, key: &ObjectKey, value: &Value) -> Verdict {
    let (mut solid, mut dangling, mut waiting) = (0, Vec::new(), Vec::new());
    for reference in references(value) {
        let uid = reference["uid"].as_str().unwrap_or_default();
        let owner = owners.find(uid).filter(|owner| owner.namespace.is_empty() || owner.namespace == key.namespace);
        match owner.and_then(|owner| store.get(owner)) {
            None => dangling.push(uid.to_owned()),
            Some(owner) if waits_for_dependents(&owner.value) => waiting.push(uid.to_owned()),
            Some(_) => solid += 1,
        }
    }
    if solid > 0 {
        let gone: Vec<String> = dangling.into_iter().chain(waiting).collect();
        return if gone.is_empty() { Verdict::Keep } else { Verdict::Release(gone) };
    }
    if dangling.is_empty() && waiting.is_empty() {
        return Verdict::Keep;
    }
    let owns_something = owners.owned_by(object::uid(value)).next().is_some();
    let has = |wanted: &str| object::finalizers(value).any(|finalizer| finalizer == wanted);
    Verdict::Delete(match () {
        () if !waiting.is_empty() && owns_something => Propagation::Foreground,
        () if has(ORPHAN) => Propagation::Orphan,
        () if has(FOREGROUND) => Propagation::Foreground,
        () => Propagation::Background,
    })
}

fn waits_for_dependents(owner: &Value) -> bool {
    object::is_deleting(owner) && object::finalizers(owner).any(|finalizer| finalizer == FOREGROUND)
}

/// Whether an object holds back the deletion of its owner.
fn blocks(store: &Store, child: &ObjectKey, owner: &str) -> bool {
    store.get(child).is_some_and(|child| {
        references(&child.value).any(|reference| reference["uid"] == owner && reference["blockOwnerDeletion"] == true)
    })
}

fn remove_references(value: &mut Value, uids: &[String]) {
    let Some(metadata) = object::metadata(value) else { return };
    let Some(references) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) else { return };
    references.retain(|reference| !uids.iter().any(|uid| reference["uid"] == uid.as_str()));
    if references.is_empty() {
        metadata.remove("ownerReferences");
    }
}

/// Takes a finalizer off an object.
pub(crate) fn remove_finalizer(value: &mut Value, name: &str) {
    let Some(metadata) = object::metadata(value) else { return };
    let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) else { return };
    finalizers.retain(|finalizer| finalizer != name);
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    }
}
