//! A map bounded by weight that drops what was not used for longest. Logarithmic;
//! memory is the entries' own.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

pub(crate) struct Lru<K, V> {
    slots: HashMap<K, Slot<V>>,
    /// Keys by the tick of their last use.
    order: BTreeMap<u64, K>,
    tick: u64,
    weight: u64,
    capacity: u64,
}

struct Slot<V> {
    value: V,
    weight: u64,
    tick: u64,
}

// === impl Lru ===

impl<K: Clone + Eq + Hash, V> Lru<K, V> {
    pub(crate) fn new(capacity: u64) -> Self {
        Self { slots: HashMap::new(), order: BTreeMap::new(), tick: 0, weight: 0, capacity }
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<&V> {
        self.get_mut(key).map(|value| &*value)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let slot = self.slots.get_mut(key)?;
        self.tick += 1;
        if let Some(key) = self.order.remove(&slot.tick) {
            self.order.insert(self.tick, key);
        }
        slot.tick = self.tick;
        Some(&mut slot.value)
    }

    /// Puts a value, and gives the number of others dropped for it. One that alone is
    /// heavier than the capacity is not kept.
    pub(crate) fn insert(&mut self, key: K, value: V, weight: u64) -> u64 {
        self.remove(&key);
        if weight > self.capacity {
            return 0;
        }
        self.tick += 1;
        self.weight += weight;
        self.order.insert(self.tick, key.clone());
        self.slots.insert(key, Slot { value, weight, tick: self.tick });
        let mut dropped = 0;
        while self.weight > self.capacity {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.remove(&oldest);
            dropped += 1;
        }
        dropped
    }

    pub(crate) fn remove(&mut self, key: &K) {
        if let Some(slot) = self.slots.remove(key) {
            self.order.remove(&slot.tick);
            self.weight -= slot.weight;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut lru = Lru::new(10);
        assert_eq!(lru.insert("a", 1, 4), 0);
        assert_eq!(lru.insert("b", 2, 4), 0);
        assert_eq!(lru.get(&"a"), Some(&1));
        assert_eq!(lru.insert("c", 3, 4), 1);
        assert_eq!(lru.get(&"b"), None);
        assert_eq!((lru.len(), lru.weight()), (2, 8));
    }

    #[test]
    fn what_is_too_heavy_is_not_kept() {
        let mut lru = Lru::new(10);
        lru.insert("a", 1, 4);
        assert_eq!(lru.insert("a", 2, 11), 0);
        assert_eq!(lru.get(&"a"), None);
        assert_eq!(lru.weight(), 0);
    }
}
