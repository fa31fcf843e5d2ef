//! The latest known state of all objects of one kind, and who wants to hear of
//! changes.
//!
//! A reader gets an `Arc` and holds no lock. A subscriber has a mailbox with at
//! most one entry per object: what it has not fetched yet is replaced by what is
//! newer, so a slow one sees the latest state and costs no more memory than the
//! objects themselves. Objects that nobody could read are kept by key with the
//! complaint.

mod mailbox;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use argosy_model::AppKey;
use argosy_proto::v1alpha1::{AppProject, Application};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::watch::{Event, Watched};
use mailbox::Mailbox;

pub use mailbox::Changes;

/// Something changed about one object.
#[derive(Debug)]
pub enum Change<T> {
    /// The object is there, in a new state.
    Applied {
        /// Namespace and name.
        key: AppKey,
        /// The state this subscriber was told last, if any.
        old: Option<Arc<T>>,
        /// The state now.
        new: Arc<T>,
    },
    /// The object is gone.
    Deleted {
        /// Namespace and name.
        key: AppKey,
        /// The last state that could be read.
        last: Option<Arc<T>>,
    },
    /// The object is there and cannot be read; it is not in the store until it can.
    Malformed {
        /// Namespace and name.
        key: AppKey,
        /// What is wrong with it.
        error: Arc<str>,
    },
}

/// How long a writer waits for the watch to tell of what it wrote. A watch that
/// takes longer is broken, and heals by itself.
const ECHO: Duration = Duration::from_secs(5);

/// A change of an Application.
pub type AppEvent = Change<Application>;
/// A change of an AppProject.
pub type ProjectEvent = Change<AppProject>;

/// All objects of one kind.
pub struct Store<T> {
    state: Mutex<State<T>>,
    /// Counts changes, for those who only want to know that there were some.
    version: watch::Sender<u64>,
    /// How many of the watches that fill the store have not come through yet.
    unsynced: watch::Sender<usize>,
}

struct State<T> {
    objects: HashMap<AppKey, Arc<T>>,
    malformed: HashMap<AppKey, Arc<str>>,
    mailboxes: Vec<Arc<Mailbox<T>>>,
}

// === impl Change ===

impl<T> Change<T> {
    /// Which object it is about.
    pub fn key(&self) -> &AppKey {
        match self {
            Self::Applied { key, .. } | Self::Deleted { key, .. } | Self::Malformed { key, .. } => key,
        }
    }
}

impl<T> Clone for Change<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Applied { key, old, new } => Self::Applied { key: key.clone(), old: old.clone(), new: new.clone() },
            Self::Deleted { key, last } => Self::Deleted { key: key.clone(), last: last.clone() },
            Self::Malformed { key, error } => Self::Malformed { key: key.clone(), error: error.clone() },
        }
    }
}

// === impl Store ===

impl<T: Watched> Store<T> {
    /// An empty store that `watches` watches are about to fill.
    pub(crate) fn new(watches: usize) -> Arc<Self> {
        let state = State { objects: HashMap::new(), malformed: HashMap::new(), mailboxes: Vec::new() };
        Arc::new(Self {
            state: Mutex::new(state),
            version: watch::Sender::new(0),
            unsynced: watch::Sender::new(watches),
        })
    }

    /// The object, as last seen or written.
    pub fn get(&self, key: &AppKey) -> Option<Arc<T>> {
        self.lock().objects.get(key).cloned()
    }

    /// All objects, in no order.
    pub fn list(&self) -> Vec<(AppKey, Arc<T>)> {
        self.lock().objects.iter().map(|(k, o)| (k.clone(), o.clone())).collect()
    }

    /// How many objects there are that can be read.
    pub fn len(&self) -> usize {
        self.lock().objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The objects that cannot be read, and why.
    pub fn malformed(&self) -> Vec<(AppKey, Arc<str>)> {
        self.lock().malformed.iter().map(|(k, e)| (k.clone(), e.clone())).collect()
    }

    /// Changes from now on, after one [`Change::Applied`] or
    /// [`Change::Malformed`] for each object there is.
    pub fn subscribe(&self) -> Changes<T> {
        let mailbox = Mailbox::new();
        let mut state = self.lock();
        for (key, new) in &state.objects {
            mailbox.post(Change::Applied { key: key.clone(), old: None, new: new.clone() }, false);
        }
        for (key, error) in &state.malformed {
            mailbox.post(Change::Malformed { key: key.clone(), error: error.clone() }, false);
        }
        state.mailboxes.push(mailbox.clone());
        Changes::new(mailbox)
    }

    /// Returns once every object that existed at the start is in the store.
    pub async fn synced(&self) {
        // The sender is in `self` and cannot be gone.
        let _ = self.unsynced.subscribe().wait_for(|left| *left == 0).await;
    }

    /// Wakes at every change; the number counts them.
    pub fn version(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// One of the watches has come through for the first time.
    pub(crate) fn on_first_sync(&self) {
        self.unsynced.send_modify(|left| *left = left.saturating_sub(1));
    }

    /// Other watches, so many, are about to fill the store in place of those
    /// before. A store that is synced already stays so.
    pub(crate) fn expect_watches(&self, watches: usize) {
        self.unsynced.send_modify(|left| {
            if *left > 0 {
                *left = watches;
            }
        });
    }

    /// Takes over what a watch reports. `owned` tells which keys that watch is
    /// responsible for, so that several can fill one store.
    pub(crate) fn on_event(&self, event: Event<T>, owned: impl Fn(&AppKey) -> bool) {
        match event {
            Event::Applied { key, .. } | Event::Malformed { key, .. } if !owned(&key) => {}
            Event::Applied { key, object, forced } => self.on_applied(key, object, forced),
            Event::Malformed { key, error } => self.on_malformed(key, error.into()),
            Event::Deleted { key, version } => self.on_deleted(&key, Some(&version)),
            Event::Synced { keys } => self.retain(|key| !owned(key) || keys.contains(key)),
        }
    }

    /// Takes over the answer to a write, if the object is known and this is newer.
    /// An unknown one is left alone: it may have been deleted meanwhile, and a
    /// watch will tell of it if not. Returns what the store holds now, or else
    /// the answer.
    pub(crate) fn on_written(&self, key: &AppKey, object: T) -> Arc<T> {
        self.take_over(key, Arc::new(object))
    }

    fn take_over(&self, key: &AppKey, object: Arc<T>) -> Arc<T> {
        let mut state = self.lock();
        let Some(old) = state.objects.get(key).cloned() else { return object };
        if !is_newer(&*object, &*old) {
            // The watch was faster.
            return old;
        }
        self.replace(&mut state, key.clone(), object)
    }

    /// As [`Self::on_written`], and returns only when the store holds the object:
    /// one it did not know, such as a new one, comes with the watch. Returns it as it
    /// was written, whatever others have made of it meanwhile.
    pub(crate) async fn keep(&self, key: &AppKey, object: T) -> Arc<T> {
        let answer = Arc::new(object);
        let written = number(&answer.metadata().resource_version);
        self.take_over(key, answer.clone());
        let is_there = |known: Option<&T>| known.is_some_and(|o| number(&o.metadata().resource_version) >= written);
        if !self.wait_until(key, is_there).await {
            // Deleted again, or the watch is broken: no reason to fail the write.
            tracing::debug!(object = %key, "written, and not heard of again");
        }
        let known = self.get(key).filter(|known| number(&known.metadata().resource_version) == written);
        known.unwrap_or(answer)
    }

    /// What a watch that is behind brings of an object that exists; `None` where it
    /// brings nothing in time, such as of a namespace that is not watched.
    pub(crate) async fn arrival(&self, key: &AppKey) -> Option<Arc<T>> {
        self.wait_until(key, |known| known.is_some()).await;
        self.get(key)
    }

    /// Returns when the object with this uid is not in the store any more.
    pub(crate) async fn forget(&self, key: &AppKey, uid: &str) {
        if !self.wait_until(key, |known| known.is_none_or(|o| o.metadata().uid != uid)).await {
            tracing::debug!(object = %key, "deleted, and not heard of yet");
        }
    }

    /// Waits, not for ever, until the object is as wanted; says whether it is.
    async fn wait_until(&self, key: &AppKey, wanted: impl Fn(Option<&T>) -> bool) -> bool {
        let mut versions = self.version();
        let come = async {
            while !wanted(self.get(key).as_deref()) {
                // The sender is in `self` and cannot be gone.
                let _ = versions.changed().await;
            }
        };
        timeout(ECHO, come).await.is_ok()
    }

    /// Forgets every object that `keep` does not want.
    pub(crate) fn retain(&self, keep: impl Fn(&AppKey) -> bool) {
        let gone: HashSet<AppKey> = {
            let state = self.lock();
            state.objects.keys().chain(state.malformed.keys()).filter(|key| !keep(key)).cloned().collect()
        };
        for key in gone {
            self.on_deleted(&key, None);
        }
    }

    fn on_applied(&self, key: AppKey, object: T, forced: bool) {
        let mut state = self.lock();
        if let Some(old) = state.objects.get(&key) {
            let same = old.metadata().resource_version == object.metadata().resource_version;
            if same || !forced && !is_newer(&object, &**old) {
                return;
            }
        }
        self.replace(&mut state, key, Arc::new(object));
    }

    fn on_malformed(&self, key: AppKey, error: Arc<str>) {
        let mut state = self.lock();
        if state.malformed.get(&key) == Some(&error) {
            return;
        }
        let known = state.objects.remove(&key).is_some() | state.malformed.contains_key(&key);
        tracing::warn!(object = %key, %error, "cannot be read");
        state.malformed.insert(key.clone(), error.clone());
        self.tell(&mut state, Change::Malformed { key, error }, known);
    }

    fn on_deleted(&self, key: &AppKey, version: Option<&str>) {
        let mut state = self.lock();
        if let (Some(object), Some(version)) = (state.objects.get(key), version)
            && number(&object.metadata().resource_version) > number(version)
        {
            // It has been made again since.
            return;
        }
        let last = state.objects.remove(key);
        let malformed = state.malformed.remove(key).is_some();
        if last.is_some() || malformed {
            self.tell(&mut state, Change::Deleted { key: key.clone(), last }, true);
        }
    }

    fn replace(&self, state: &mut State<T>, key: AppKey, new: Arc<T>) -> Arc<T> {
        let old = state.objects.insert(key.clone(), new.clone());
        let known = state.malformed.remove(&key).is_some() | old.is_some();
        self.tell(state, Change::Applied { key, old, new: new.clone() }, known);
        new
    }

    /// `known` says whether subscribers may have heard of the object before.
    fn tell(&self, state: &mut State<T>, change: Change<T>, known: bool) {
        state.mailboxes.retain(Mailbox::is_wanted);
        for mailbox in &state.mailboxes {
            mailbox.post(change.clone(), known);
        }
        self.version.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every change to the state is complete before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Store<T> {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for mailbox in &state.mailboxes {
            mailbox.close();
        }
    }
}

/// Kubernetes' versions are numbers that grow with every write.
fn is_newer<T: Watched>(a: &T, b: &T) -> bool {
    number(&a.metadata().resource_version) > number(&b.metadata().resource_version)
}

fn number(version: &str) -> u64 {
    version.parse().unwrap_or(0)
}

#[cfg(test)]
#[path = "store/tests.rs"]
mod tests;
