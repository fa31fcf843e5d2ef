//! The connections that changes of a cluster are made through, one for each
//! ownership of a slice.

use std::collections::BTreeMap;
use std::sync::Arc;

use argosy_cluster::Connection;
use argosy_fleet::Epoch;
use tokio::sync::watch;

use crate::credential::Standing;

/// A connection with the credential of one ownership.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) standing: Arc<Standing>,
}

/// By epoch: each, or why there is none.
#[derive(Default)]
pub(crate) struct Writers {
    known: watch::Sender<BTreeMap<Epoch, Result<Writer, String>>>,
}

// === impl Writers ===

impl Writers {
    /// There is a connection, or none any more. True when whoever asked before was
    /// told that there was none.
    pub(super) fn set(&self, epoch: Epoch, writer: Result<Writer, String>) -> bool {
        let mut has_failed = false;
        self.known.send_modify(|known| has_failed = matches!(known.insert(epoch, writer), Some(Err(_))));
        has_failed
    }

    /// An attempt has failed; one that works goes on working.
    pub(super) fn fail(&self, epoch: Epoch, reason: String) {
        self.known.send_if_modified(|known| {
            let works = matches!(known.get(&epoch), Some(Ok(_)));
            if !works {
                known.insert(epoch, Err(reason));
            }
            !works
        });
    }

    pub(super) fn remove(&self, epoch: Epoch) {
        self.known.send_modify(|known| drop(known.remove(&epoch)));
    }

    /// The connection of an ownership, once there is one or it is known why not.
    pub(super) async fn of(&self, epoch: Epoch) -> Result<Writer, String> {
        let mut known = self.known.subscribe();
        let found = known.wait_for(|known| known.contains_key(&epoch)).await;
        // Its sender is in `self`.
        found.ok().and_then(|known| known.get(&epoch).cloned()).unwrap_or_else(|| Err("it is gone".to_owned()))
    }

    /// The weakest of the fences that stand, and the first of the credentials that end.
    pub(crate) fn standing(&self) -> Option<Arc<Standing>> {
        let known = self.known.borrow();
        let writers = known.values().filter_map(|writer| writer.as_ref().ok());
        writers.map(|writer| writer.standing.clone()).min_by_key(|standing| (standing.fence(), standing.expires()))
    }
}
