//! Who is alive and who belongs to whom, kept up with the store's changes.

use std::collections::{BTreeSet, HashMap};

use argosy_model::object;
use serde_json::Value;

use crate::store::{Change, ObjectKey, WatchEvent};

/// All objects by uid, and what each uid owns. Costs some hundred bytes an object.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    alive: HashMap<u128, ObjectKey>,
    owned: HashMap<u128, BTreeSet<ObjectKey>>,
}

// === impl Owners ===

impl Owners {
    /// Takes note of a change.
    pub(crate) fn note(&mut self, change: &Change) {
        let value = &change.event.object().value;
        if let Some(previous) = &change.previous {
            for owner in owner_uids(&previous.value) {
                self.disown(owner, &change.key);
            }
        }
        let Some(own) = number(object::uid(value)) else { return };
        if matches!(change.event, WatchEvent::Deleted(_)) {
            self.alive.remove(&own);
            for owner in owner_uids(value) {
                self.disown(owner, &change.key);
            }
            return;
        }
        self.alive.insert(own, change.key.clone());
        for owner in owner_uids(value) {
            self.owned.entry(owner).or_default().insert(change.key.clone());
        }
    }

    /// Where the object of a uid is; `None` when there is none.
    pub(crate) fn find(&self, uid: &str) -> Option<&ObjectKey> {
        self.alive.get(&number(uid)?)
    }

    /// What the object of a uid owns.
    pub(crate) fn owned_by(&self, uid: &str) -> impl Iterator<Item = &ObjectKey> {
        number(uid).and_then(|uid| self.owned.get(&uid)).into_iter().flatten()
    }

    /// Everything in a namespace.
    pub(crate) fn within<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a ObjectKey> {
        self.alive.values().filter(move |key| &*key.namespace == namespace)
    }

    fn disown(&mut self, owner: u128, key: &ObjectKey) {
        if let Some(owned) = self.owned.get_mut(&owner) {
            owned.remove(key);
            if owned.is_empty() {
                self.owned.remove(&owner);
            }
        }
    }
}

/// The owner references of an object.
pub(crate) fn references(value: &Value) -> impl Iterator<Item = &Value> {
    object::get(value, &["metadata", "ownerReferences"]).and_then(Value::as_array).into_iter().flatten()
}

fn owner_uids(value: &Value) -> impl Iterator<Item = u128> {
    references(value).filter_map(|reference| number(reference["uid"].as_str()?))
}

/// A uid as a number, which is half the size of its text.
fn number(uid: &str) -> Option<u128> {
    let digits: String = uid.chars().filter(|c| *c != '-').collect();
    u128::from_str_radix(&digits, 16).ok()
}
