//! The objects of one resource and what happened to them lately.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Change, Object, TooOld, WatchEvent};

/// Namespace and name.
pub(super) type Place = (Arc<str>, Arc<str>);

pub(super) struct Collection {
    objects: BTreeMap<Place, Arc<Object>>,
    /// Oldest first.
    history: VecDeque<Arc<Change>>,
    /// Nothing is missing from the history after this version.
    complete_after: u64,
    /// Told the version of each write.
    news: watch::Sender<u64>,
}

// === impl Collection ===

impl Collection {
    pub(super) fn new(complete_after: u64) -> Self {
        let news = watch::Sender::new(complete_after);
        Self { objects: BTreeMap::new(), history: VecDeque::new(), complete_after, news }
    }

    pub(super) fn get(&self, place: &Place) -> Option<&Arc<Object>> {
        self.objects.get(place)
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn load(&mut self, place: Place, object: Arc<Object>) {
        self.objects.insert(place, object);
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = (&Place, &Arc<Object>)> {
        self.objects.iter()
    }

    pub(super) fn list(&self, namespace: Option<&str>) -> Vec<Arc<Object>> {
        match namespace {
            None => self.objects.values().cloned().collect(),
            Some(namespace) => self.within(namespace).map(|(_, object)| object.clone()).collect(),
        }
    }

    /// As it was at an earlier version: what happened since is undone.
    pub(super) fn list_at(&self, namespace: Option<&str>, version: u64) -> Result<Vec<Arc<Object>>, TooOld> {
        self.reaches(version)?;
        let mut objects: BTreeMap<Place, Arc<Object>> = match namespace {
            None => self.objects.clone(),
            Some(namespace) => self.within(namespace).map(|(p, o)| (p.clone(), o.clone())).collect(),
        };
        for change in self.since(version).rev().filter(|c| namespace.is_none_or(|n| n == &*c.key.namespace)) {
            let place = (change.key.namespace.clone(), change.key.name.clone());
            match &change.previous {
                Some(previous) => objects.insert(place, previous.clone()),
                None => objects.remove(&place),
            };
        }
        Ok(objects.into_values().collect())
    }

    /// Puts an object in or, with `None`, takes it out, and remembers that.
    pub(super) fn record(&mut self, place: Place, object: Option<Arc<Object>>, change: Arc<Change>, bound: usize) {
        match object {
            Some(object) => self.objects.insert(place, object),
            None => self.objects.remove(&place),
        };
        let version = change.event.object().version;
        self.history.push_back(change);
        while self.history.len() > bound {
            if let Some(forgotten) = self.history.pop_front() {
                self.complete_after = forgotten.event.object().version;
            }
        }
        self.news.send_replace(version);
    }

    /// What happened after a version, oldest first.
    pub(super) fn since(&self, version: u64) -> impl DoubleEndedIterator<Item = &Arc<Change>> {
        let start = self.history.partition_point(|c| c.event.object().version <= version);
        self.history.range(start..)
    }

    pub(super) fn reaches(&self, version: u64) -> Result<(), TooOld> {
        if version < self.complete_after {
            return Err(TooOld { asked: version, oldest: self.complete_after });
        }
        Ok(())
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn within<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = (&'a Place, &'a Arc<Object>)> {
        let first: Place = (namespace.into(), "".into());
        self.objects.range((Bound::Included(first), Bound::Unbounded)).take_while(move |((n, _), _)| &**n == namespace)
    }
}

/// The event of an object that replaces another, or none.
pub(super) fn event_of(object: &Arc<Object>, previous: Option<&Arc<Object>>) -> WatchEvent {
    match previous {
        Some(_) => WatchEvent::Modified(object.clone()),
        None => WatchEvent::Added(object.clone()),
    }
}
