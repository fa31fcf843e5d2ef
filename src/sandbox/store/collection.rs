//! The objects of one resource and what happened to them lately.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::watch;

use super::object::Kept;
use super::{Change, Object, ObjectKey, TooOld, WatchEvent};

/// Most bytes of versions that nothing but a history holds.
const MAX_HELD: usize = 1 << 20;
/// Events that are remembered however large they are.
const MIN_HISTORY: usize = 64;

/// Namespace and name.
type Place = (Arc<str>, Arc<str>);

pub(super) struct Collection {
    group: Arc<str>,
    resource: Arc<str>,
    objects: BTreeMap<Place, Kept>,
    /// Oldest first.
    history: VecDeque<Past>,
    /// Bytes of what the history alone holds.
    held: usize,
    /// Nothing is missing from the history after this version.
    complete_after: u64,
    /// Told the version of each write.
    news: watch::Sender<u64>,
}

/// One write, as it is remembered.
struct Past {
    place: Place,
    what: What,
    object: Kept,
    previous: Option<Kept>,
}

/// What a write did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Added,
    Modified,
    Deleted,
}

// === impl ObjectKey ===

impl ObjectKey {
    fn place(&self) -> Place {
        (self.namespace.clone(), self.name.clone())
    }
}

// === impl Past ===

impl Past {
    /// Bytes that are held by nothing else, once what was before is forgotten.
    fn held(&self) -> usize {
        let last = if self.what == What::Deleted { self.object.text().len() } else { 0 };
        last + self.previous.as_ref().map_or(0, |previous| previous.text().len())
    }
}

// === impl Collection ===

impl Collection {
    pub(super) fn new(group: &Arc<str>, resource: &Arc<str>, complete_after: u64) -> Self {
        Self {
            group: group.clone(),
            resource: resource.clone(),
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            held: 0,
            complete_after,
            news: watch::Sender::new(complete_after),
        }
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<&Kept> {
        self.objects.get(&key.place())
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn load(&mut self, key: &ObjectKey, object: Kept) {
        self.objects.insert(self.place_of(key), object);
    }

    /// Each object as an event that added it.
    pub(super) fn objects(&self) -> impl Iterator<Item = Change> {
        self.objects.iter().map(|(place, object)| Change {
            key: self.key(place),
            event: WatchEvent::Added(object.object()),
            previous: None,
        })
    }

    pub(super) fn list(&self, namespace: Option<&str>) -> Vec<Arc<Object>> {
        match namespace {
            None => self.objects.values().map(Kept::object).collect(),
            Some(namespace) => self.within(namespace).map(|(_, object)| object.object()).collect(),
        }
    }

    /// As it was at an earlier version: what happened since is undone.
    pub(super) fn list_at(&self, namespace: Option<&str>, version: u64) -> Result<Vec<Arc<Object>>, TooOld> {
        self.reaches(version)?;
        let mut objects: BTreeMap<&Place, &Kept> = match namespace {
            None => self.objects.iter().collect(),
            Some(namespace) => self.within(namespace).collect(),
        };
        for past in self.since(version).rev().filter(|past| namespace.is_none_or(|n| n == &*past.place.0)) {
            match &past.previous {
                Some(previous) => objects.insert(&past.place, previous),
                None => objects.remove(&past.place),
            };
        }
        Ok(objects.into_values().map(Kept::object).collect())
    }

    /// Takes a write in, remembers it, and returns it as a change that nobody has looked into.
    pub(super) fn record(&mut self, key: &ObjectKey, what: What, object: Kept, bound: usize) -> Change {
        let place = self.place_of(key);
        let version = object.version();
        let previous = match what {
            What::Deleted => self.objects.remove(&place),
            What::Added | What::Modified => self.objects.insert(place.clone(), object.clone()),
        };
        let past = Past { place, what, object, previous };
        let change = self.change(&past);
        self.held += past.held();
        self.history.push_back(past);
        while self.history.len() > bound || (self.held > MAX_HELD && self.history.len() > MIN_HISTORY) {
            let Some(forgotten) = self.history.pop_front() else { break };
            self.held -= forgotten.held();
            self.complete_after = forgotten.object.version();
        }
        self.news.send_replace(version);
        change
    }

    /// What happened after a version, in one namespace or all, oldest first.
    pub(super) fn changes(&self, namespace: Option<&str>, version: u64) -> Vec<Change> {
        let concerned = self.since(version).filter(|past| namespace.is_none_or(|n| n == &*past.place.0));
        concerned.map(|past| self.change(past)).collect()
    }

    fn change(&self, past: &Past) -> Change {
        let object = past.object.object();
        let event = match past.what {
            What::Added => WatchEvent::Added(object),
            What::Modified => WatchEvent::Modified(object),
            What::Deleted => WatchEvent::Deleted(object),
        };
        Change { key: self.key(&past.place), event, previous: past.previous.as_ref().map(Kept::object) }
    }

    fn since(&self, version: u64) -> impl DoubleEndedIterator<Item = &Past> {
        let start = self.history.partition_point(|past| past.object.version() <= version);
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

    /// Of what is there already no second copy is made.
    fn place_of(&self, key: &ObjectKey) -> Place {
        let place = key.place();
        if let Some((place, _)) = self.objects.get_key_value(&place) {
            return place.clone();
        }
        let neighbour = self.within(&key.namespace).next();
        neighbour.map_or(place, |((namespace, _), _)| (namespace.clone(), key.name.clone()))
    }

    fn key(&self, place: &Place) -> ObjectKey {
        let (namespace, name) = place.clone();
        ObjectKey { group: self.group.clone(), resource: self.resource.clone(), namespace, name }
    }

    fn within<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = (&'a Place, &'a Kept)> {
        let first: Place = (namespace.into(), "".into());
        self.objects.range((Bound::Included(first), Bound::Unbounded)).take_while(move |((n, _), _)| &**n == namespace)
    }
}
