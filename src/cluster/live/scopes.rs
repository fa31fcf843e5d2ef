//! How each watch is doing.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use argosy_model::GroupKind;
use tokio::sync::watch;
use tokio::time::Instant;

use super::index::Sizes;
use crate::error::Error;

/// What one watch covers: a kind, in one namespace or (empty) in all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    pub(crate) kind: GroupKind,
    pub(crate) namespace: String,
}

/// How the watch of a kind is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KindState {
    /// Not served, or excluded.
    Unwatched,
    /// Not listed yet.
    Pending,
    /// Listed and followed.
    Synced,
    /// Cannot be followed; what is known of it may be old. Says why.
    Failing(String),
}

/// A kind that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindFailure {
    /// The kind.
    pub kind: GroupKind,
    /// The namespace, where only one is looked at.
    pub namespace: String,
    /// Why.
    pub message: String,
}

/// Sizes and failures of a live state.
#[derive(Clone, Debug, Default)]
pub struct LiveStats {
    /// Kinds watched.
    pub kinds: usize,
    /// Objects known.
    pub objects: usize,
    /// Objects kept whole.
    pub full_objects: usize,
    /// Memory of all but the whole objects, in bytes, as counted.
    pub bytes: usize,
    /// Memory of the whole objects, in bytes.
    pub full_bytes: usize,
    /// Events received since the start.
    pub events: u64,
    /// Whether every kind has been listed, or has refused to be.
    pub synced: bool,
    /// Time since all kinds were first listed.
    pub age: Option<Duration>,
    /// Kinds that cannot be followed.
    pub failing: Vec<KindFailure>,
}

#[derive(Clone, Debug)]
struct State {
    full: bool,
    phase: Phase,
    /// Number of the reading that is wanted, and of the last that was complete.
    reading: u64,
    read: u64,
    /// Whether it was ever complete.
    was_read: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Pending,
    Synced,
    /// `settled`: the API server's own word, which waiting does not change.
    Failing {
        message: String,
        settled: bool,
    },
}

/// The states of all watches.
pub(crate) struct Scopes {
    states: Mutex<Inner>,
    moved: watch::Sender<()>,
}

#[derive(Default)]
struct Inner {
    /// Plans asked for, and the one in force.
    asked: u64,
    planned: Option<u64>,
    states: HashMap<Scope, State>,
    events: u64,
    since: Option<Instant>,
}

impl Default for Scopes {
    fn default() -> Self {
        Self { states: Mutex::default(), moved: watch::Sender::new(()) }
    }
}

// === impl Scopes ===

impl Scopes {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.lock();
        change(&mut inner);
        if inner.since.is_none() && inner.settled(&|_| true) {
            inner.since = Some(Instant::now());
        }
        drop(inner);
        self.moved.send_replace(());
    }

    /// Sets which watches there are; one that is read in another way starts over
    /// in its state unless it is already listed.
    pub(crate) fn plan(&self, asked: u64, scopes: impl IntoIterator<Item = (Scope, bool, u64)>) {
        self.update(|inner| {
            let mut old = std::mem::take(&mut inner.states);
            for (scope, full, reading) in scopes {
                let state = old.remove(&scope).filter(|s| s.full || !full);
                let state = state.unwrap_or(State { full, phase: Phase::Pending, reading, read: 0, was_read: false });
                inner.states.insert(scope, State { full, reading, ..state });
            }
            inner.planned = Some(asked);
        });
    }

    pub(crate) fn synced(&self, scope: &Scope, reading: u64) {
        self.update(|inner| {
            if let Some(state) = inner.states.get_mut(scope) {
                state.phase = Phase::Synced;
                state.was_read = true;
                state.read = state.read.max(reading);
            }
        });
    }

    pub(crate) fn failed(&self, scope: &Scope, error: &Error) {
        let settled = error.code().is_some() && !error.is_transient() && error.code() != Some(401);
        self.update(|inner| {
            if let Some(state) = inner.states.get_mut(scope) {
                state.phase = Phase::Failing { message: error.to_string(), settled };
            }
        });
    }

    pub(crate) fn count(&self, events: usize) {
        self.lock().events += events as u64;
    }

    /// Whether objects of a kind in a namespace are followed.
    pub(crate) fn watches(&self, kind: &GroupKind, namespace: &str) -> bool {
        let inner = self.lock();
        let within =
            |namespace: &str| inner.states.contains_key(&Scope { kind: kind.clone(), namespace: namespace.to_owned() });
        within("") || within(namespace)
    }

    pub(crate) fn state(&self, kind: &GroupKind) -> KindState {
        let inner = self.lock();
        let mut state = KindState::Unwatched;
        for (_, found) in inner.states.iter().filter(|(scope, _)| scope.kind == *kind) {
            match (&found.phase, &state) {
                (Phase::Failing { message, .. }, _) => return KindState::Failing(message.clone()),
                (Phase::Pending, _) => state = KindState::Pending,
                (Phase::Synced, KindState::Unwatched) => state = KindState::Synced,
                (Phase::Synced, _) => {}
            }
        }
        state
    }

    /// Kinds of which some watch fails, and whether there is none that works.
    pub(crate) fn failing(&self) -> (BTreeSet<GroupKind>, bool) {
        let inner = self.lock();
        let failing = |state: &State| matches!(state.phase, Phase::Failing { .. });
        let kinds = inner.states.iter().filter(|(_, state)| failing(state)).map(|(scope, _)| scope.kind.clone());
        (kinds.collect(), !inner.states.is_empty() && inner.states.values().all(failing))
    }

    /// A kind of which nothing is known yet, and what keeps it from being read, if that may
    /// change.
    pub(crate) fn unread(&self) -> Option<(GroupKind, String)> {
        let inner = self.lock();
        let mut unread = inner.states.iter().filter(|(_, state)| !state.was_read);
        unread.find_map(|(scope, state)| match &state.phase {
            Phase::Failing { message, settled: false } => Some((scope.kind.clone(), message.clone())),
            Phase::Failing { .. } | Phase::Pending | Phase::Synced => None,
        })
    }

    /// Wakes whenever a watch's state may have changed.
    pub(crate) fn moves(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    /// Waits until the plan has caught up with what was asked for and the chosen
    /// kinds are settled.
    pub(crate) async fn settled(&self, wanted: impl Fn(&GroupKind) -> bool) {
        self.until(|inner| inner.settled(&wanted)).await;
    }

    /// Waits until the plan has caught up with what was asked for, every watch has come
    /// through or failed, and at least one has come through.
    pub(crate) async fn tried(&self) {
        let is_tried = |inner: &Inner| {
            let mut states = inner.states.values();
            let is_pending = |state: &State| matches!(state.phase, Phase::Pending);
            let is_synced = |state: &State| matches!(state.phase, Phase::Synced);
            inner.planned == Some(inner.asked) && !states.clone().any(is_pending) && states.any(is_synced)
        };
        self.until(is_tried).await;
    }

    /// Waits until each of the chosen kinds is listed in the reading that is wanted now,
    /// or fails.
    pub(crate) async fn caught_up(&self, wanted: impl Fn(&GroupKind) -> bool) {
        let is_read = |state: &State| match state.phase {
            Phase::Pending => false,
            Phase::Synced => state.read >= state.reading,
            Phase::Failing { .. } => true,
        };
        self.until(|inner| inner.planned == Some(inner.asked) && inner.chosen(&wanted).all(is_read)).await;
    }

    async fn until(&self, is: impl Fn(&Inner) -> bool) {
        let mut moved = self.moved.subscribe();
        loop {
            if is(&self.lock()) {
                return;
            }
            if moved.changed().await.is_err() {
                return;
            }
        }
    }

    /// Notes that another plan is wanted.
    pub(crate) fn ask(&self) {
        self.lock().asked += 1;
    }

    /// The plan wanted now.
    pub(crate) fn asked(&self) -> u64 {
        self.lock().asked
    }

    pub(crate) fn stats(&self, sizes: Sizes) -> LiveStats {
        let inner = self.lock();
        let mut kinds: Vec<&GroupKind> = inner.states.keys().map(|s| &s.kind).collect();
        kinds.sort();
        kinds.dedup();
        let mut failing: Vec<KindFailure> = inner
            .states
            .iter()
            .filter_map(|(scope, state)| match &state.phase {
                Phase::Failing { message, .. } => Some(KindFailure {
                    kind: scope.kind.clone(),
                    namespace: scope.namespace.clone(),
                    message: message.clone(),
                }),
                _ => None,
            })
            .collect();
        failing.sort_by(|a, b| (&a.kind, &a.namespace).cmp(&(&b.kind, &b.namespace)));
        LiveStats {
            kinds: kinds.len(),
            objects: sizes.objects,
            full_objects: sizes.full,
            bytes: sizes.bytes,
            full_bytes: sizes.full_bytes,
            events: inner.events,
            synced: inner.settled(&|_| true),
            age: inner.since.map(|at| at.elapsed()),
            failing,
        }
    }
}

impl Inner {
    fn settled(&self, wanted: &dyn Fn(&GroupKind) -> bool) -> bool {
        let settled = |state: &State| matches!(state.phase, Phase::Synced | Phase::Failing { settled: true, .. });
        self.planned == Some(self.asked) && self.chosen(wanted).all(settled)
    }

    fn chosen<'a>(&'a self, wanted: &'a dyn Fn(&GroupKind) -> bool) -> impl Iterator<Item = &'a State> {
        self.states.iter().filter(|(scope, _)| wanted(&scope.kind)).map(|(_, state)| state)
    }
}
