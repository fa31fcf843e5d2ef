//! One subscriber's unread changes: at most one per object.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argosy_model::AppKey;
use tokio::sync::Notify;

use super::Change;

pub(super) struct Mailbox<T> {
    state: Mutex<State<T>>,
    arrived: Notify,
}

struct State<T> {
    unread: HashMap<AppKey, Unread<T>>,
    /// Keys in order of their first unread change.
    order: VecDeque<AppKey>,
    closed: bool,
}

impl<T> State<T> {
    /// Keys in `order` whose change was taken back are skipped when they are
    /// reached; this drops them before they outnumber the others.
    fn forget_stale_keys(&mut self) {
        if self.order.len() > 2 * self.unread.len() + 64 {
            let Self { unread, order, .. } = self;
            let mut seen = HashSet::new();
            order.retain(|key| unread.contains_key(key) && seen.insert(key.clone()));
        }
    }
}

struct Unread<T> {
    change: Change<T>,
    /// Whether the subscriber has been told of the object before.
    known: bool,
}

/// A subscriber's end.
pub struct Changes<T> {
    mailbox: Arc<Mailbox<T>>,
}

// === impl Mailbox ===

impl<T> Mailbox<T> {
    pub(super) fn new() -> Arc<Self> {
        let state = State { unread: HashMap::new(), order: VecDeque::new(), closed: false };
        Arc::new(Self { state: Mutex::new(state), arrived: Notify::new() })
    }

    /// Whether a subscriber is still there.
    pub(super) fn is_wanted(mailbox: &Arc<Self>) -> bool {
        Arc::strong_count(mailbox) > 1
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Adds a change, merging it with an unread one about the same object.
    pub(super) fn post(&self, change: Change<T>, known: bool) {
        let mut state = self.lock();
        let key = change.key().clone();
        match state.unread.remove(&key) {
            None => {
                state.order.push_back(key.clone());
                state.unread.insert(key, Unread { change, known });
            }
            Some(Unread { known: false, .. }) if matches!(change, Change::Deleted { .. }) => {
                // Came and went without the subscriber hearing of it.
                state.forget_stale_keys();
            }
            Some(previous) => {
                let change = merge(previous.change, change);
                state.unread.insert(key, Unread { change, known: previous.known });
            }
        }
        drop(state);
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The later change, told against what the subscriber knew before the earlier one.
fn merge<T>(earlier: Change<T>, later: Change<T>) -> Change<T> {
    let before = match earlier {
        Change::Applied { old, .. } => old,
        Change::Deleted { last, .. } => last,
        Change::Malformed { .. } => None,
    };
    match later {
        Change::Applied { key, new, .. } => Change::Applied { key, old: before, new },
        other => other,
    }
}

// === impl Changes ===

impl<T> Changes<T> {
    pub(super) fn new(mailbox: Arc<Mailbox<T>>) -> Self {
        Self { mailbox }
    }

    /// The next change; waits for one. `None` when there will be no more. Safe to
    /// cancel.
    pub async fn next(&mut self) -> Option<Change<T>> {
        loop {
            if let Some(change) = self.try_next() {
                return Some(change);
            }
            if self.mailbox.lock().closed {
                return None;
            }
            self.mailbox.arrived.notified().await;
        }
    }

    /// The next change, if one is unread.
    pub fn try_next(&mut self) -> Option<Change<T>> {
        let mut state = self.mailbox.lock();
        loop {
            let key = state.order.pop_front()?;
            if let Some(unread) = state.unread.remove(&key) {
                return Some(unread.change);
            }
        }
    }
}
