//! All applications in memory, for lists and watches.
//!
//! [`Index`] follows the store of Applications and keeps them in the order of
//! their names. A list is read in parts, so that neither a long one nor an
//! expensive question of permission holds up the changes; a page is as dear as
//! what is looked at to fill it. A change is matched with each watch once and
//! costs a watch that does not want it nothing more; a watch asks for permission
//! as it reads. What a watch must hold is bounded, see [`Watcher`].
//!
//! Everything here is lost in a crash and read again.

mod catalog;
mod filter;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod selector;
mod watcher;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use argosy_home::{AppEvent, Change, Home};
use argosy_model::AppKey;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::Application;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use catalog::{ByName, Catalog, Tombstone};
use watcher::{CatchUp, Mailbox};

pub use filter::{Filter, project, version};
pub use selector::{InvalidSelector, Selector};
pub use watcher::{Event, EventKind, TooSlow, Watcher};

/// Applications looked at under one hold of the lock.
const CHUNK: usize = 1024;
/// For so long a watch by name that comes too late is told of a deletion.
const LATE: Duration = Duration::from_secs(60);

/// See the module's page. Clones share everything.
#[derive(Clone)]
pub struct Index {
    inner: Arc<Inner>,
    _task: Option<Arc<AbortOnDropHandle<()>>>,
}

/// What a watch begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Everything that matches, as added.
    Everything,
    /// What changed since the version of the filter.
    Newer,
}

/// One page of a list.
#[derive(Debug, Default)]
pub struct Page {
    /// The applications, by name and namespace.
    pub items: Vec<Arc<Application>>,
    /// Where the next page begins; `None` where there is none.
    pub next: Option<Cursor>,
}

/// A place in the order of a list.
#[derive(Clone, Debug)]
pub struct Cursor(ByName);

#[derive(Default)]
struct Inner {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    catalog: Catalog,
    /// Watches of one application.
    named: HashMap<AppKey, Vec<Arc<Mailbox>>>,
    others: Vec<Arc<Mailbox>>,
}

// === impl Index ===

impl Index {
    /// Follows the store from now on. Must be called on a tokio runtime.
    pub fn start(home: &Home) -> Self {
        let index = Self::empty();
        let inner = index.inner.clone();
        let mut changes = home.apps().subscribe();
        let task = tokio::spawn(async move {
            while let Some(change) = changes.next().await {
                inner.apply(change);
            }
        });
        Self { _task: Some(Arc::new(AbortOnDropHandle::new(task))), ..index }
    }

    /// An index that follows nothing; [`Self::apply`] fills it.
    pub fn empty() -> Self {
        Self { inner: Arc::default(), _task: None }
    }

    /// Takes a change over and tells the watches.
    pub fn apply(&self, change: AppEvent) {
        self.inner.apply(change);
    }

    /// How many applications there are.
    pub fn len(&self) -> usize {
        self.inner.read().catalog.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The latest version of any application. A watch that is given this one
    /// misses nothing after a list that was made later.
    pub fn latest_version(&self) -> u64 {
        self.inner.read().catalog.latest()
    }

    /// The applications that match and that `permits` lets through, by name and
    /// namespace: the first `most` after `after`.
    pub fn list(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        most: usize,
        mut permits: impl FnMut(&Application) -> bool,
    ) -> Page {
        let mut page = Page::default();
        let mut cursor = after.map(|Cursor(at)| at);
        let mut part = Vec::new();
        loop {
            // One more than fits says whether there is a next page.
            let more = self.inner.scan(filter, &mut cursor, most.clamp(1, CHUNK - 1) + 1, &mut part);
            for app in part.drain(..) {
                if !permits(&app) {
                    continue;
                }
                if page.items.len() == most {
                    page.next = page.items.last().map(|last| Cursor(at(last)));
                    return page;
                }
                page.items.push(app);
            }
            if !more {
                return page;
            }
        }
    }

    /// Watches what matches: first what `replay` asks for, then each change.
    pub fn watch(&self, filter: Filter, replay: Replay) -> Watcher {
        let mut state = self.inner.write();
        let missed: Vec<Event> = state.missed_deletions(&filter).collect();
        let mailbox = Mailbox::new(filter.clone());
        state.add(mailbox.clone());
        let latest = state.catalog.latest();
        drop(state);
        let since = if replay == Replay::Newer { filter.since.saturating_add(1) } else { filter.since };
        // As a rule nothing has happened since the list that a watch goes on from.
        let walk = (since <= latest).then(|| CatchUp::new(EventKind::Added, Filter { since, ..filter }));
        Watcher::new(mailbox, self.inner.clone(), missed, walk)
    }

    /// How many watches there are.
    pub fn watchers(&self) -> usize {
        let state = self.inner.read();
        state.named.values().map(Vec::len).sum::<usize>() + state.others.len()
    }
}

// === impl Inner ===

impl Inner {
    fn apply(&self, change: AppEvent) {
        let mut state = self.write();
        match change {
            Change::Applied { key, new, .. } => {
                let old = state.catalog.insert(&key, &new);
                let uid = |app: &Application| app.metadata().uid.clone();
                let kind = match old {
                    Some(old) if uid(&old) == uid(&new) => EventKind::Modified,
                    // Another one of the same name, made so soon that the store
                    // tells of both changes at once.
                    Some(old) => {
                        state.tell(&key, &Event { kind: EventKind::Deleted, app: old });
                        EventKind::Added
                    }
                    None => EventKind::Added,
                };
                state.tell(&key, &Event { kind, app: new });
            }
            Change::Deleted { key, last } => state.remove(&key, last),
            // One that cannot be read is not there for clients until it can.
            Change::Malformed { key, .. } => state.remove(&key, None),
        }
    }

    fn forget(&self, mailbox: &Arc<Mailbox>) {
        self.write().forget(mailbox);
    }

    fn scan(
        &self,
        filter: &Filter,
        cursor: &mut Option<ByName>,
        most: usize,
        into: &mut Vec<Arc<Application>>,
    ) -> bool {
        self.read().catalog.scan(filter, cursor, most, into)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    /// Deletions a client cannot have heard of: those since its version, and where
    /// it asks for one application without a version, a very recent one.
    fn missed_deletions<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = Event> + 'a {
        let most = if filter.name.is_some() { 1 } else { usize::MAX };
        let unheard = move |stone: &&Tombstone| match filter.since {
            0 => filter.name.is_some() && stone.since.elapsed() < LATE,
            since => stone.version >= since,
        };
        self.catalog
            .tombstones()
            .filter(unheard)
            .filter(move |stone| filter.wants(&stone.last) && !self.catalog.contains(&stone.key))
            .map(|stone| Event { kind: EventKind::Deleted, app: stone.last.clone() })
            .take(most)
    }

    /// `last` is a later state than the known one where both changes came at once.
    fn remove(&mut self, key: &AppKey, last: Option<Arc<Application>>) {
        let known = self.catalog.remove(key, Instant::now());
        if let Some(known) = known {
            self.tell(key, &Event { kind: EventKind::Deleted, app: last.unwrap_or(known) });
        }
    }

    fn add(&mut self, mailbox: Arc<Mailbox>) {
        self.watches_of(&mailbox).push(mailbox);
    }

    fn forget(&mut self, mailbox: &Arc<Mailbox>) {
        self.watches_of(mailbox).retain(|other| !Arc::ptr_eq(other, mailbox));
        if let Some(key) = one_application(&mailbox.filter)
            && self.named.get(&key).is_some_and(Vec::is_empty)
        {
            self.named.remove(&key);
        }
    }

    fn watches_of(&mut self, mailbox: &Mailbox) -> &mut Vec<Arc<Mailbox>> {
        match one_application(&mailbox.filter) {
            Some(key) => self.named.entry(key).or_default(),
            None => &mut self.others,
        }
    }

    fn tell(&self, key: &AppKey, event: &Event) {
        let named = self.named.get(key).into_iter().flatten();
        for mailbox in named.chain(&self.others) {
            let filter = &mailbox.filter;
            // A deletion has no version of its own.
            let wanted = match event.kind {
                EventKind::Deleted => filter.wants(&event.app),
                EventKind::Added | EventKind::Modified => filter.matches(&event.app),
            };
            if wanted {
                mailbox.post(key, event.clone());
            }
        }
    }
}

/// The one application that a filter can match, if it is so.
fn one_application(filter: &Filter) -> Option<AppKey> {
    Some(AppKey::new(filter.namespace.as_ref()?, filter.name.as_ref()?))
}

fn at(app: &Application) -> ByName {
    let metadata = app.metadata();
    ByName::from(&AppKey::new(&metadata.namespace, &metadata.name))
}

#[cfg(test)]
#[path = "index/tests.rs"]
mod tests;
