//! What controllers see and do: the store, who owns what, and the few ways in
//! which they write.

use std::sync::Arc;
use std::time::Duration;

use argosy_model::object;
use serde_json::{Value, json};

use super::Options;
use super::kind::Kind;
use super::recent::Recent;
use super::selector::selects;
use crate::identity::{Identities, KeyError};
use crate::lifecycle::{Deletion, Owners, Propagation, plan_deletion};
use crate::stamp::Stamps;
use crate::store::{Object, ObjectKey, Store, StoreError, UpdateError};

/// When to look again: `None` when something changes, else after a while at the latest.
pub(crate) type Next = Option<Duration>;

/// Why a turn ended early. It is taken again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    #[error("{key:?} was not written")]
    Write {
        key: ObjectKey,
        #[source]
        source: StoreError,
    },
    #[error("a token was not made")]
    Token(#[source] KeyError),
}

/// The store as controllers use it.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) stamps: Stamps,
    pub(crate) identities: Arc<Identities>,
    pub(crate) options: Options,
    pub(crate) owners: Owners,
    pub(crate) recent: Recent,
}

// === impl World ===

impl World {
    pub(crate) fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.store.get(&kind.key(namespace, name)).map(|object| self.recent.known(object))
    }

    pub(crate) fn list(&self, kind: &Kind, namespace: Option<&str>) -> Vec<Arc<Object>> {
        let objects = self.store.list(kind.group, kind.resource, namespace).0;
        objects.into_iter().map(|object| self.recent.known(object)).collect()
    }

    /// The objects of a kind that `owner` controls, by name.
    pub(crate) fn controlled(&self, owner: &Value, kind: &Kind) -> Vec<Arc<Object>> {
        let uid = object::uid(owner);
        let keys = self.owners.owned_by(uid).filter(|key| kind.is_of(key));
        let objects = keys.filter_map(|key| self.store.get(key)).map(|object| self.recent.known(object));
        objects.filter(|object| controller_uid(&object.value) == Some(uid)).collect()
    }

    /// Takes over objects that a new owner's selector selects and nobody controls.
    /// Only an owner that nobody has looked at yet does so; whether it took any.
    pub(crate) fn adopt(&self, kind: &Kind, owner: &Value, of: &Kind) -> Result<bool, WorkError> {
        let is_new = object::get(owner, &["status", "observedGeneration"]).is_none();
        if !is_new || object::is_deleting(owner) {
            return Ok(false);
        }
        let mut adopted = false;
        for child in self.list(of, Some(object::namespace(owner))) {
            let is_free = controller_uid(&child.value).is_none() && !object::is_deleting(&child.value);
            if !is_free || !selects(&owner["spec"]["selector"], &child.value["metadata"]["labels"]) {
                continue;
            }
            adopted = true;
            self.update(&of.key(object::namespace(owner), object::name(&child.value)), |value| {
                let mut references = value["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
                references.push(control_reference(kind, owner));
                value["metadata"]["ownerReferences"] = references.into();
            })?;
        }
        Ok(adopted)
    }

    /// Creates an object of a kind, with uid and time; `None` when there is one of that name.
    pub(crate) fn create(&self, kind: &Kind, mut value: Value) -> Result<Option<Arc<Object>>, WorkError> {
        value["apiVersion"] = kind.api_version().into();
        value["kind"] = kind.name.into();
        self.stamps.stamp(&mut value);
        if kind.counts_generations() {
            value["metadata"]["generation"] = 1.into();
        }
        let key = kind.key(object::namespace(&value), object::name(&value));
        match self.store.create(&key, value) {
            Ok(object) => Ok(Some(object)),
            Err(StoreError::Exists) => Ok(None),
            Err(source) => Err(WorkError::Write { key, source }),
        }
    }

    /// Changes an object, if it is still there. A value that stays the same is not written.
    pub(crate) fn update(&self, key: &ObjectKey, change: impl FnOnce(&mut Value)) -> Result<(), WorkError> {
        let changed = self.store.update(key, None, |current| {
            let mut value = current.clone();
            change(&mut value);
            Ok::<_, std::convert::Infallible>(Some(value))
        });
        match changed {
            Ok(_) | Err(UpdateError::Store(StoreError::NotFound)) => Ok(()),
            Err(UpdateError::Store(source)) => Err(WorkError::Write { key: key.clone(), source }),
            Err(UpdateError::Refused(never)) => match never {},
        }
    }

    /// Sets the status of an object.
    pub(crate) fn set_status(&self, key: &ObjectKey, status: Value) -> Result<(), WorkError> {
        self.update(key, |value| value["status"] = status)
    }

    /// Deletes an object, if it is still there, as a request would.
    pub(crate) fn delete(&self, key: &ObjectKey, propagation: Propagation) -> Result<(), WorkError> {
        loop {
            let Some(current) = self.store.get(key) else { return Ok(()) };
            let expected = Some(current.version);
            let now = self.stamps.timestamp();
            let done = match plan_deletion(key, &current.value, Some(propagation), None, now) {
                Deletion::Unchanged => return Ok(()),
                Deletion::Remove => self.store.delete(key, expected).map(drop),
                Deletion::Mark(marked) => {
                    let marked = self.store.update(key, expected, |_| Ok::<_, std::convert::Infallible>(Some(marked)));
                    marked.map(drop).map_err(|error| match error {
                        UpdateError::Store(error) => error,
                        UpdateError::Refused(never) => match never {},
                    })
                }
            };
            match done {
                Ok(()) | Err(StoreError::NotFound) => return Ok(()),
                // Somebody else wrote between the look and the mark.
                Err(StoreError::Conflict { .. }) => {}
                Err(source) => return Err(WorkError::Write { key: key.clone(), source }),
            }
        }
    }
}

/// The uid of an object's controller.
pub(crate) fn controller_uid(value: &Value) -> Option<&str> {
    let references = object::get(value, &["metadata", "ownerReferences"])?.as_array()?;
    references.iter().find(|reference| reference["controller"] == true)?["uid"].as_str()
}

/// The reference by which an owner controls what it makes.
pub(crate) fn control_reference(kind: &Kind, owner: &Value) -> Value {
    json!({
        "apiVersion": kind.api_version(),
        "kind": kind.name,
        "name": object::name(owner),
        "uid": object::uid(owner),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// A number at a path, or what it is when absent.
pub(crate) fn count(value: &Value, path: &[&str], absent: i64) -> i64 {
    object::get(value, path).and_then(Value::as_i64).unwrap_or(absent)
}

/// A text at a path, or `""`.
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    object::get(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// A time at a path.
pub(crate) fn time(value: &Value, path: &[&str]) -> Option<jiff::Timestamp> {
    object::get(value, path)?.as_str()?.parse().ok()
}

/// A map of the fields whose numbers are not zero, as Kubernetes leaves out zeros.
pub(crate) fn nonzero(fields: &[(&str, i64)]) -> Value {
    let fields = fields.iter().filter(|(_, number)| *number != 0);
    Value::Object(fields.map(|(name, number)| ((*name).to_owned(), (*number).into())).collect())
}

/// How long from `now` until `then`, not below zero.
pub(crate) fn until(now: jiff::Timestamp, then: jiff::Timestamp) -> Duration {
    then.duration_since(now).try_into().unwrap_or(Duration::ZERO)
}
