//! What the lock of a store protects: the collections, the version, and who reads
//! everything.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::collection::{Collection, event_of};
use super::{Change, Object, ObjectKey, TooOld, WatchEvent, set_version};

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

    pub(super) fn get(&self, key: &ObjectKey) -> Option<&Arc<Object>> {
        self.collection(&key.group, &key.resource)?.get(&(key.namespace.clone(), key.name.clone()))
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

    /// What happened to a resource after a version.
    pub(super) fn since(&self, group: &str, resource: &str, version: u64) -> Result<Vec<Arc<Change>>, TooOld> {
        let Some(collection) = self.collection(group, resource) else { return Ok(Vec::new()) };
        collection.reaches(version)?;
        Ok(collection.since(version).cloned().collect())
    }

    pub(super) fn subscribe(&mut self, group: &str, resource: &str, from: u64) -> Result<watch::Receiver<u64>, TooOld> {
        let collection = self.collection_mut(group, resource);
        collection.reaches(from)?;
        Ok(collection.subscribe())
    }

    pub(super) fn feed(&mut self, sender: mpsc::UnboundedSender<Change>) {
        for (group, resources) in &self.collections {
            for (resource, collection) in resources {
                for ((namespace, name), object) in collection.objects() {
                    let key = ObjectKey {
                        group: group.clone(),
                        resource: resource.clone(),
                        namespace: namespace.clone(),
                        name: name.clone(),
                    };
                    let change = Change { key, event: WatchEvent::Added(object.clone()), previous: None };
                    if sender.send(change).is_err() {
                        return;
                    }
                }
            }
        }
        self.feeds.push(sender);
    }

    pub(super) fn load(&mut self, key: &ObjectKey, object: Arc<Object>) {
        let place = (key.namespace.clone(), key.name.clone());
        self.collection_mut(&key.group, &key.resource).load(place, object);
    }

    /// Stores a value at the next version.
    pub(super) fn put(&mut self, key: &ObjectKey, value: Value) -> Arc<Object> {
        let (object, previous) = self.next(key, value);
        let event = event_of(&object, previous.as_ref());
        self.record(key, Some(object.clone()), event, previous);
        object
    }

    /// Removes an object at the next version; `value` is its last state.
    pub(super) fn remove(&mut self, key: &ObjectKey, value: Value) -> Arc<Object> {
        let (object, previous) = self.next(key, value);
        self.record(key, None, WatchEvent::Deleted(object.clone()), previous);
        object
    }

    fn next(&mut self, key: &ObjectKey, mut value: Value) -> (Arc<Object>, Option<Arc<Object>>) {
        let previous = self.get(key).cloned();
        self.version += 1;
        set_version(&mut value, self.version);
        (Arc::new(Object { value, version: self.version }), previous)
    }

    fn record(
        &mut self,
        key: &ObjectKey,
        object: Option<Arc<Object>>,
        event: WatchEvent,
        previous: Option<Arc<Object>>,
    ) {
        let change = Change { key: key.clone(), event, previous };
        self.feeds.retain(|feed| feed.send(change.clone()).is_ok());
        let bound = self.history;
        let place = (key.namespace.clone(), key.name.clone());
        self.collection_mut(&key.group, &key.resource).record(place, object, Arc::new(change), bound);
    }

    fn collection(&self, group: &str, resource: &str) -> Option<&Collection> {
        self.collections.get(group)?.get(resource)
    }

    fn collection_mut(&mut self, group: &str, resource: &str) -> &mut Collection {
        if self.collection(group, resource).is_none() {
            let new = Collection::new(self.opened_at);
            self.collections.entry(group.into()).or_default().insert(resource.into(), new);
        }
        let resources = self.collections.get_mut(group).expect("made above");
        resources.get_mut(resource).expect("made above")
    }
}
