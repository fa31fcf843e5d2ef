//! What the lock of a store protects: the collections, the version, and who reads
//! everything.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::collection::{Collection, What};
use super::object::Kept;
use super::{Change, Object, ObjectKey, TooOld};

pub(super) struct State {
    version: u64,
    /// Where the histories begin.
    opened_at: u64,
    history: usize,
    /// By group, then resource.
    collections: HashMap<Arc<str>, HashMap<Arc<str>, Collection>>,
    feeds: Vec<mpsc::UnboundedSender<Change>>,
}

// === impl State ===

impl State {
    pub(super) fn new(history: usize, version: u64) -> Self {
        Self { version, opened_at: version, history, collections: HashMap::new(), feeds: Vec::new() }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn len(&self) -> usize {
        self.collections.values().flat_map(HashMap::values).map(Collection::len).sum()
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        self.kept(key).map(Kept::object)
    }

    pub(super) fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Object>> {
        self.collection(group, resource).map(|c| c.list(namespace)).unwrap_or_default()
    }

    pub(super) fn list_at(
        &self,
        group: &str,
        resource: &str,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<Vec<Arc<Object>>, TooOld> {
        match self.collection(group, resource) {
            Some(collection) => collection.list_at(namespace, version),
            None if version < self.opened_at => Err(TooOld { asked: version, oldest: self.opened_at }),
            None => Ok(Vec::new()),
        }
    }

    /// What happened to a resource after a version, in one namespace or all.
    pub(super) fn since(
        &self,
        group: &str,
        resource: &str,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<Vec<Change>, TooOld> {
        let Some(collection) = self.collection(group, resource) else { return Ok(Vec::new()) };
        collection.reaches(version)?;
        Ok(collection.changes(namespace, version))
    }

    pub(super) fn subscribe(&mut self, group: &str, resource: &str, from: u64) -> Result<watch::Receiver<u64>, TooOld> {
        let collection = self.collection_mut(group, resource);
        collection.reaches(from)?;
        Ok(collection.subscribe())
    }

    pub(super) fn feed(&mut self, sender: mpsc::UnboundedSender<Change>) {
        for change in self.collections.values().flat_map(HashMap::values).flat_map(Collection::objects) {
            if sender.send(change).is_err() {
                return;
            }
        }
        self.feeds.push(sender);
    }

    pub(super) fn load(&mut self, key: &ObjectKey, object: Kept) {
        self.collection_mut(&key.group, &key.resource).load(key, object);
    }

    /// Stores a value at the next version.
    pub(super) fn put(&mut self, key: &ObjectKey, value: Value) -> Arc<Object> {
        let what = if self.kept(key).is_some() { What::Modified } else { What::Added };
        self.record(key, value, what)
    }

    /// Removes an object at the next version; `value` is its last state.
    pub(super) fn remove(&mut self, key: &ObjectKey, value: Value) -> Arc<Object> {
        self.record(key, value, What::Deleted)
    }

    fn record(&mut self, key: &ObjectKey, value: Value, what: What) -> Arc<Object> {
        self.version += 1;
        let object = Arc::new(Object::at(value, self.version));
        let bound = self.history;
        let change = self.collection_mut(&key.group, &key.resource).record(key, what, object.kept(), bound);
        self.feeds.retain(|feed| feed.send(change.clone()).is_ok());
        object
    }

    fn kept(&self, key: &ObjectKey) -> Option<&Kept> {
        self.collection(&key.group, &key.resource)?.get(key)
    }

    fn collection(&self, group: &str, resource: &str) -> Option<&Collection> {
        self.collections.get(group)?.get(resource)
    }

    fn collection_mut(&mut self, group: &str, resource: &str) -> &mut Collection {
        if self.collection(group, resource).is_none() {
            let (group, resource): (Arc<str>, Arc<str>) = (group.into(), resource.into());
            let new = Collection::new(&group, &resource, self.opened_at);
            self.collections.entry(group).or_default().insert(resource, new);
        }
        let resources = self.collections.get_mut(group).expect("made above");
        resources.get_mut(resource).expect("made above")
    }
}
