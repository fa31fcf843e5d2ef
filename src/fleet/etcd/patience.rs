//! Since when the leader has waited for replicas to prepare.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::etcd::document::Document;
use crate::id::Epoch;

/// Remembered by one leader; the next one waits anew.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    since: BTreeMap<Epoch, Instant>,
}

// === impl Patience ===

impl Patience {
    /// Looks at what is stored, at `now`. The epochs that are not waited for any
    /// longer than `most`, and when the next of the others will not be.
    pub(crate) fn judge(
        &mut self,
        document: &Document,
        now: Instant,
        most: Duration,
    ) -> (BTreeSet<Epoch>, Option<Instant>) {
        let coming: BTreeSet<Epoch> =
            document.entries.values().filter(|entry| entry.coming.is_some()).map(|entry| entry.epoch).collect();
        self.since.retain(|epoch, _| coming.contains(epoch));
        for epoch in coming {
            self.since.entry(epoch).or_insert(now);
        }
        let (over, waiting): (Vec<_>, Vec<_>) = self.since.iter().partition(|(_, since)| **since + most <= now);
        let next = waiting.into_iter().map(|(_, since)| *since + most).min();
        (over.into_iter().map(|(epoch, _)| *epoch).collect(), next)
    }
}
