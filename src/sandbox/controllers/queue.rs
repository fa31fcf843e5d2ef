//! What is to be looked at, and when: each key at most once, at its earliest time.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use tokio::time::Instant;

/// A queue of keys that become due.
#[derive(Debug)]
pub(crate) struct WorkQueue<K> {
    due: HashMap<K, (Instant, u64)>,
    order: BTreeSet<(Instant, u64, K)>,
    /// Keys that are due at the same time come in the order they were added.
    next: u64,
}

// === impl WorkQueue ===

impl<K: Clone + Eq + Hash + Ord> WorkQueue<K> {
    pub(crate) fn new() -> Self {
        Self { due: HashMap::new(), order: BTreeSet::new(), next: 0 }
    }

    /// Adds a key; one that is due earlier already stays as it is.
    pub(crate) fn add(&mut self, key: K, at: Instant) {
        if let Some((earlier, number)) = self.due.get(&key) {
            if *earlier <= at {
                return;
            }
            self.order.remove(&(*earlier, *number, key.clone()));
        }
        self.due.insert(key.clone(), (at, self.next));
        self.order.insert((at, self.next, key));
        self.next += 1;
    }

    /// When the next key is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.order.first().map(|(at, _, _)| *at)
    }

    /// Takes out the first key that is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<K> {
        if self.next_due()? > now {
            return None;
        }
        let (_, _, key) = self.order.pop_first()?;
        self.due.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_is_due_once_at_its_earliest() {
        let mut queue = WorkQueue::new();
        let now = Instant::now();
        let later = now + Duration::from_secs(5);
        queue.add("a", later);
        queue.add("b", now);
        queue.add("a", now);
        queue.add("a", later);
        assert_eq!((queue.pop(now), queue.pop(now), queue.pop(now)), (Some("b"), Some("a"), None));
        assert_eq!((queue.pop(later), queue.next_due()), (None, None));
    }
}
