//! What has changed, gathered for a moment and handed over in one go.
//!
//! A change is kept by the object's key, so that a hundred updates of one object
//! are one change and a slow reader costs memory only for objects, not for
//! events. A reader that falls behind by [`MOST`] objects is told that it lost
//! some, instead of being given them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use argosy_model::ResourceKey;
use tokio::sync::Notify;

/// Objects whose changes wait for one reader. At about 200 bytes each, 20 MB.
const MOST: usize = 100_000;

/// How long changes are gathered after the first.
const GATHER: Duration = Duration::from_millis(50);

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was not known before.
    Added,
    /// It looks different: its state, its owner, its application, its health.
    Updated,
    /// It is gone.
    Removed,
}

/// One object that has changed. Changes nobody would see are left out: a new
/// `resourceVersion` alone is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which object.
    pub key: ResourceKey,
    /// What happened, the last of it where there was more.
    pub kind: ChangeKind,
    /// Whether it is itself a managed object, and not part of one.
    pub root: bool,
    /// Instance names of the applications concerned, before and after. Empty for
    /// objects that belong to none.
    pub apps: Vec<Arc<str>>,
}

/// Changes gathered over a moment.
#[derive(Debug, Default)]
pub struct Batch {
    /// One per object, in no order.
    pub changes: Vec<Change>,
    /// Some were dropped: look at everything.
    pub lost: bool,
}

/// A reader of changes; dropping it ends the gathering.
pub struct Changes {
    shared: Arc<Reader>,
}

#[derive(Default)]
struct Reader {
    pending: Mutex<Pending>,
    arrived: Notify,
}

#[derive(Default)]
struct Pending {
    changes: HashMap<ResourceKey, Change>,
    lost: bool,
}

/// Hands changes to every reader.
#[derive(Default)]
pub(crate) struct Publisher {
    readers: Mutex<Vec<Weak<Reader>>>,
}

// === impl Changes ===

impl Changes {
    /// The next changes, waiting for some.
    pub async fn next(&mut self) -> Batch {
        loop {
            self.shared.arrived.notified().await;
            tokio::time::sleep(GATHER).await;
            let pending = std::mem::take(&mut *self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner));
            // A notification may be left over from changes taken with the last batch.
            if pending.lost || !pending.changes.is_empty() {
                return Batch { changes: pending.changes.into_values().collect(), lost: pending.lost };
            }
        }
    }
}

// === impl Publisher ===

impl Publisher {
    pub(crate) fn subscribe(&self) -> Changes {
        let shared = Arc::new(Reader::default());
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&shared));
        Changes { shared }
    }

    pub(crate) fn publish(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| reader.strong_count() > 0);
        for reader in readers.iter().filter_map(Weak::upgrade) {
            reader.pending.lock().unwrap_or_else(PoisonError::into_inner).add(&changes);
            reader.arrived.notify_one();
        }
    }
}

// === impl Pending ===

impl Pending {
    fn add(&mut self, changes: &[Change]) {
        for change in changes {
            if self.lost || self.changes.len() >= MOST {
                *self = Self { changes: HashMap::new(), lost: true };
                return;
            }
            match self.changes.get_mut(&change.key) {
                Some(known) => {
                    // Added and then updated is still news to the reader.
                    if !(known.kind == ChangeKind::Added && change.kind == ChangeKind::Updated) {
                        known.kind = change.kind;
                    }
                    known.root |= change.root;
                    known
                        .apps
                        .extend(change.apps.iter().filter(|a| !known.apps.contains(a)).cloned().collect::<Vec<_>>());
                }
                None => {
                    self.changes.insert(change.key.clone(), change.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: ChangeKind, app: &str) -> Change {
        Change { key: ResourceKey::new("", "ConfigMap", "n", "a"), kind, root: true, apps: vec![app.into()] }
    }

    #[tokio::test(start_paused = true)]
    async fn changes_of_one_object_become_one_with_every_application_concerned() {
        let publisher = Publisher::default();
        let mut reader = publisher.subscribe();
        publisher.publish(vec![change(ChangeKind::Added, "old"), change(ChangeKind::Updated, "new")]);
        let batch = reader.next().await;
        assert_eq!(batch.changes.len(), 1);
        assert_eq!(batch.changes[0].kind, ChangeKind::Added);
        assert_eq!(batch.changes[0].apps, ["old".into(), "new".into()]);
        assert!(!batch.lost);
    }
}
