//! One watch: what it has not been told yet, and never more of it than fits.
//!
//! Unread changes are kept per application, the latest one of each. A reader that
//! falls so far behind that even those are too many is not dropped: its unread
//! changes are forgotten, and it is told once more of everything that has changed
//! since the first of them, read from the index itself. Only deletions must be
//! remembered one by one; a watch with too many of those ends.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argosy_model::AppKey;
use argosy_proto::v1alpha1::Application;
use tokio::sync::Notify;

use super::catalog::ByName;
use super::filter::{Filter, version};
use super::{CHUNK, Inner};

/// Applications with unread changes before a watch catches up from the index.
const MOST_UNREAD: usize = 4096;

/// What happened to an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It is new, or new to the watch.
    Added,
    /// It changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// A change as a watch tells it.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The state then, or the last one.
    pub app: Arc<Application>,
}

/// The reader is so slow that the watch cannot be kept complete.
#[derive(Debug, thiserror::Error)]
#[error("the watch has fallen too far behind; start it again")]
pub struct TooSlow;

/// A reader's end. Dropping it ends the watch.
pub struct Watcher {
    mailbox: Arc<Mailbox>,
    index: Arc<Inner>,
    /// To be told before anything else.
    next: VecDeque<Event>,
    /// What is read from the index itself, before the mailbox.
    catching_up: Option<CatchUp>,
}

/// A walk over the index: everything that was there when it began and still is
/// gets told, in a state that is no older than what the mailbox held then.
pub(super) struct CatchUp {
    kind: EventKind,
    filter: Filter,
    cursor: Option<ByName>,
}

/// The index's end.
pub(super) struct Mailbox {
    pub(super) filter: Filter,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    unread: HashMap<AppKey, Unread>,
    /// Keys in the order of their first unread change; some may have been taken
    /// back.
    order: VecDeque<AppKey>,
    /// Changes from this version on were forgotten.
    forgotten: Option<u64>,
    overrun: bool,
}

/// Of one application: perhaps that it went, and then perhaps that it is there.
#[derive(Default)]
struct Unread {
    gone: Option<Event>,
    there: Option<Event>,
}

// === impl EventKind ===

impl EventKind {
    /// As Kubernetes' watches write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

// === impl Mailbox ===

impl Mailbox {
    pub(super) fn new(filter: Filter) -> Arc<Self> {
        Arc::new(Self { filter, state: Mutex::default(), arrived: Notify::new() })
    }

    /// Adds a change, which takes the place of an unread one of the same application.
    pub(super) fn post(&self, key: &AppKey, event: Event) {
        let mut state = self.lock();
        state.post(key, event);
        if state.unread.len() > MOST_UNREAD {
            state.forget();
        }
        drop(state);
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn post(&mut self, key: &AppKey, event: Event) {
        if !self.unread.contains_key(key) {
            self.order.push_back(key.clone());
        }
        let unread = self.unread.entry(key.clone()).or_default();
        let unread_kind = unread.there.as_ref().map(|event| event.kind);
        if event.kind != EventKind::Deleted {
            let kind = unread_kind.filter(|kind| *kind == EventKind::Added).unwrap_or(event.kind);
            unread.there = Some(Event { kind, ..event });
            return;
        }
        unread.there = None;
        // What came and went unread is not worth a word, unless an earlier word
        // about it was forgotten.
        if unread_kind != Some(EventKind::Added) || self.forgotten.is_some() {
            unread.gone = Some(event);
        } else if unread.gone.is_none() {
            self.unread.remove(key);
            self.forget_stale_keys();
        }
    }

    /// Makes room: what is there can be read from the index again, what went cannot.
    fn forget(&mut self) {
        let states = self.unread.values_mut().filter_map(|unread| unread.there.take());
        if let Some(first) = states.map(|event| version(&event.app)).min() {
            self.forgotten = Some(self.forgotten.map_or(first, |earlier| earlier.min(first)));
        }
        self.unread.retain(|_, unread| unread.gone.is_some());
        self.overrun |= self.unread.len() > MOST_UNREAD / 2;
        self.forget_stale_keys();
    }

    /// Bounds the keys whose change was taken back.
    fn forget_stale_keys(&mut self) {
        if self.order.len() > 2 * self.unread.len() + 64 {
            let mut seen = HashSet::new();
            let Self { unread, order, .. } = self;
            order.retain(|key| unread.contains_key(key) && seen.insert(key.clone()));
        }
    }

    /// Empties the mailbox; gives the deletions in it.
    fn take_deletions(&mut self) -> Vec<Event> {
        let mut deletions = Vec::new();
        while let Some(unread) = self.take() {
            deletions.extend(unread.gone);
        }
        deletions
    }

    fn take(&mut self) -> Option<Unread> {
        loop {
            let key = self.order.pop_front()?;
            if let Some(unread) = self.unread.remove(&key) {
                return Some(unread);
            }
        }
    }
}

// === impl CatchUp ===

impl CatchUp {
    pub(super) fn new(kind: EventKind, filter: Filter) -> Self {
        Self { kind, filter, cursor: None }
    }
}

// === impl Watcher ===

impl Watcher {
    /// `first` is told before anything else, then what the walk finds.
    pub(super) fn new(
        mailbox: Arc<Mailbox>,
        index: Arc<Inner>,
        first: impl IntoIterator<Item = Event>,
        walk: Option<CatchUp>,
    ) -> Self {
        Self { mailbox, index, next: first.into_iter().collect(), catching_up: walk }
    }

    /// The next change; waits for one. Safe to cancel.
    ///
    /// # Errors
    /// [`TooSlow`]; nothing comes after it.
    pub async fn next(&mut self) -> Result<Event, TooSlow> {
        loop {
            if let Some(event) = self.try_next()? {
                return Ok(event);
            }
            self.mailbox.arrived.notified().await;
        }
    }

    /// The next change, if there is one unread.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn try_next(&mut self) -> Result<Option<Event>, TooSlow> {
        loop {
            if let Some(event) = self.next.pop_front() {
                return Ok(Some(event));
            }
            if self.catching_up.is_some() {
                self.catch_up();
                continue;
            }
            let mut state = self.mailbox.lock();
            if state.overrun {
                return Err(TooSlow);
            }
            if let Some(since) = state.forgotten.take() {
                // What is unread besides deletions is newer still, and found too.
                self.next.extend(state.take_deletions());
                let own = &self.mailbox.filter;
                let filter = Filter { since: since.max(own.since), ..own.clone() };
                self.catching_up = Some(CatchUp::new(EventKind::Modified, filter));
            } else if let Some(Unread { gone, there }) = state.take() {
                self.next.extend(gone.into_iter().chain(there));
            } else {
                return Ok(None);
            }
        }
    }

    /// Reads one more part of the index.
    fn catch_up(&mut self) {
        let Some(walk) = &mut self.catching_up else { return };
        let mut part = Vec::new();
        let more = self.index.scan(&walk.filter, &mut walk.cursor, CHUNK, &mut part);
        self.next.extend(part.into_iter().map(|app| Event { kind: walk.kind, app }));
        if !more {
            self.catching_up = None;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.index.forget(&self.mailbox);
    }
}
