//! Every write that was asked of the API: when, by whom, with which credential,
//! and how it ended. Tests read it as the judge.
//!
//! Writes of the simulated controllers are not requests and are not in it. It is
//! bounded: the oldest entries go first, and [`Journal::forgotten`] says how many,
//! so that nobody takes a part for the whole. Bodies are never kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::hooks::Record;

/// How many writes are kept unless configured.
pub const DEFAULT_CAPACITY: usize = 10_000;

/// The journal of one sandbox; clones are the same.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    capacity: usize,
    entries: Mutex<VecDeque<Record>>,
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

    /// Adds a request, if it was a write.
    pub fn record(&self, record: Record) {
        if !is_write(&record) {
            return;
        }
        let mut entries = self.lock();
        entries.push_back(record);
        while entries.len() > self.shared.capacity {
            entries.pop_front();
        }
        self.shared.count.send_modify(|count| *count += 1);
    }

    /// The writes, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Record> {
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
    pub async fn wait_for(&self, mut wanted: impl FnMut(&Record) -> bool) -> Record {
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

    fn lock(&self) -> MutexGuard<'_, VecDeque<Record>> {
        self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY)
    }
}

fn is_write(record: &Record) -> bool {
    matches!(record.attributes.verb.as_str(), "create" | "update" | "patch" | "apply" | "delete" | "deletecollection")
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::hooks::{Attributes, Caller};

    fn request(journal: &Journal, verb: &str, name: &str) {
        let caller = Caller { token_id: Some("t1".to_owned()), ..Caller::default() };
        let attributes = Attributes { verb: verb.to_owned(), name: name.to_owned(), ..Attributes::default() };
        journal.record(Record {
            time: jiff::Timestamp::UNIX_EPOCH,
            caller,
            attributes,
            field_manager: String::new(),
            dry_run: false,
            code: StatusCode::CREATED,
            version: Some(7),
        });
    }

    #[test]
    fn it_says_who_wrote_and_how_much_it_forgot() {
        let journal = Journal::new(2);
        request(&journal, "get", "read");
        for name in ["a", "b", "c"] {
            request(&journal, "create", name);
        }
        let names: Vec<String> = journal.entries().into_iter().map(|entry| entry.attributes.name).collect();
        assert_eq!((names, journal.count(), journal.forgotten()), (vec!["b".to_owned(), "c".to_owned()], 3, 1));
        assert_eq!(journal.entries()[0].caller.token_id.as_deref(), Some("t1"));
    }

    #[tokio::test]
    async fn a_test_can_wait_for_a_write() {
        let journal = Journal::default();
        let waiting = journal.wait_for(|entry| entry.attributes.name == "late");
        let (found, ()) = tokio::join!(waiting, async { request(&journal, "patch", "late") });
        assert_eq!(found.version, Some(7));
    }
}
