//! One at a time per session: requests that come together share what one of them
//! asked the provider.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::OwnedMutexGuard;

/// Most sessions that are remembered; the ones that end first are forgotten.
const MOST: usize = 10_000;

/// A value per key with an end; whoever holds the turn reads and replaces it.
#[derive(Debug)]
pub(super) struct Turns<K, V> {
    slots: Mutex<HashMap<K, Arc<tokio::sync::Mutex<Slot<V>>>>>,
}

/// What is remembered under a key.
#[derive(Debug)]
pub(super) struct Slot<V> {
    value: Option<(V, Timestamp)>,
}

// === impl Turns ===

impl<K: Eq + Hash + Clone, V> Turns<K, V> {
    pub(super) fn new() -> Self {
        Self { slots: Mutex::default() }
    }

    /// Waits for the turn of a key.
    pub(super) async fn take(&self, key: &K, now: Timestamp) -> OwnedMutexGuard<Slot<V>> {
        let slot = {
            // Nothing is done under this lock that a panic could leave half done.
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            if slots.len() >= MOST && !slots.contains_key(key) {
                Self::make_room(&mut slots, now);
            }
            slots.entry(key.clone()).or_insert_with(|| Arc::new(tokio::sync::Mutex::new(Slot { value: None }))).clone()
        };
        slot.lock_owned().await
    }

    /// Forgets what is remembered under a key.
    pub(super) fn forget(&self, key: &K) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn make_room(slots: &mut HashMap<K, Arc<tokio::sync::Mutex<Slot<V>>>>, now: Timestamp) {
        // One that is waited for stays: it is in use.
        slots.retain(|_, slot| {
            slot.try_lock().map_or(true, |slot| slot.value.as_ref().is_some_and(|(_, end)| *end > now))
        });
        if slots.len() >= MOST {
            // All are fresh; any will be asked for again at the cost of one question.
            let half: Vec<K> = slots.keys().take(MOST / 2).cloned().collect();
            half.iter().for_each(|key| drop(slots.remove(key)));
        }
    }
}

// === impl Slot ===

impl<V> Slot<V> {
    pub(super) fn get(&self, now: Timestamp) -> Option<&V> {
        self.value.as_ref().filter(|(_, end)| *end > now).map(|(value, _)| value)
    }

    pub(super) fn set(&mut self, value: V, end: Timestamp) {
        self.value = Some((value, end));
    }
}
