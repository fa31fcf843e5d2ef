//! Every write that was asked of the API: when, by whom, with which credential,
//! and how it ended. Tests read it as the judge.
//!
//! Writes of the simulated controllers are not requests and are not in it. It is
//! bounded: the oldest entries go first, and [`Journal::forgotten`] says how many,
//! so that nobody takes a part for the whole. Bodies are never kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::identity::Identity;

/// How many writes are kept unless configured.
pub const DEFAULT_CAPACITY: usize = 10_000;

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it ended.
    pub time: jiff::Timestamp,
    /// As whom it was done.
    pub user: String,
    /// Who asked, where the user was impersonated.
    pub impersonator: Option<String>,
    /// Which credential was shown.
    pub token_id: Option<String>,
    /// What was written.
    pub write: Write,
    /// The HTTP status of the answer.
    pub code: u16,
    /// The version that came of it; `None` where nothing was written.
    pub version: Option<u64>,
}

/// What a write is to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// `create`, `update`, `patch`, `apply`, `delete`, `deletecollection`.
    pub verb: String,
    /// API group, empty for core.
    pub group: String,
    /// Plural.
    pub resource: String,
    /// Empty for the object itself.
    pub subresource: String,
    /// Empty at the cluster scope.
    pub namespace: String,
    /// Empty for collections.
    pub name: String,
    /// Who manages the fields, where the request says.
    pub field_manager: String,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// Whether nothing was to be kept.
    pub dry_run: bool,
}

/// The journal of one sandbox; clones are the same.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    capacity: usize,
    entries: Mutex<VecDeque<Entry>>,
    /// How many there ever were.
    count: watch::Sender<u64>,
}

// === impl Journal ===

impl Journal {
    /// An empty journal that keeps so many writes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let shared = Shared { capacity, entries: Mutex::default(), count: watch::Sender::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// Adds a write.
    pub fn record(&self, time: jiff::Timestamp, by: &Identity, write: Write, code: u16, version: Option<u64>) {
        let entry = Entry {
            time,
            user: by.user.name.clone(),
            impersonator: by.impersonator.clone(),
            token_id: by.token_id.clone(),
            write,
            code,
            version,
        };
        let mut entries = self.lock();
        entries.push_back(entry);
        while entries.len() > self.shared.capacity {
            entries.pop_front();
        }
        self.shared.count.send_modify(|count| *count += 1);
    }

    /// The writes, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().iter().cloned().collect()
    }

    /// How many writes there ever were.
    #[must_use]
    pub fn count(&self) -> u64 {
        *self.shared.count.borrow()
    }

    /// How many of them are no longer kept.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        let entries = self.lock();
        self.count() - entries.len() as u64
    }

    /// Waits until an entry satisfies a condition, and returns the first that does.
    pub async fn wait_for(&self, mut wanted: impl FnMut(&Entry) -> bool) -> Entry {
        let mut count = self.shared.count.subscribe();
        loop {
            count.mark_unchanged();
            let found = self.lock().iter().find(|entry| wanted(entry)).cloned();
            if let Some(found) = found {
                return found;
            }
            // The sender lives in `self`, so that waiting cannot fail.
            let _ = count.changed().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(journal: &Journal, name: &str) {
        let by = Identity { token_id: Some("t1".to_owned()), ..Identity::anonymous() };
        let write = Write { verb: "create".to_owned(), name: name.to_owned(), ..Write::default() };
        journal.record(jiff::Timestamp::UNIX_EPOCH, &by, write, 201, Some(7));
    }

    #[test]
    fn it_says_who_wrote_and_how_much_it_forgot() {
        let journal = Journal::new(2);
        for name in ["a", "b", "c"] {
            write(&journal, name);
        }
        let names: Vec<String> = journal.entries().into_iter().map(|entry| entry.write.name).collect();
        assert_eq!((names, journal.count(), journal.forgotten()), (vec!["b".to_owned(), "c".to_owned()], 3, 1));
        assert_eq!(journal.entries()[0].token_id.as_deref(), Some("t1"));
    }

    #[tokio::test]
    async fn a_test_can_wait_for_a_write() {
        let journal = Journal::default();
        let waiting = journal.wait_for(|entry| entry.write.name == "late");
        let (found, ()) = tokio::join!(waiting, async { write(&journal, "late") });
        assert_eq!(found.code, 201);
    }
}
