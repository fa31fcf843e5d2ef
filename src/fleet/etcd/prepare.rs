//! Taking over prepared: what this replica is to get next, and what it says of it.
//!
//! The leader names who gets an entity next, and the owner works on until that
//! replica has written, under its lease, that it has all it needs. What is written
//! follows what is the case: it is taken back when somebody else was chosen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::etcd::connection::CallError;
use crate::etcd::document::Document;
use crate::etcd::keys::Key;
use crate::etcd::notes::{Note, Notes};
use crate::etcd::session::Stay;
use crate::etcd::trouble::Trouble;
use crate::etcd::view::View;
use crate::id::{EntityId, Epoch, ReplicaId};
use crate::placement::Coming;

pub(crate) struct Preparer {
    pub(crate) notes: Notes,
    pub(crate) view: watch::Receiver<View>,
    pub(crate) stay: watch::Receiver<Option<Stay>>,
    pub(crate) coming: watch::Sender<Coming>,
    /// What the controller has prepared.
    pub(crate) prepared: watch::Receiver<BTreeSet<EntityId>>,
}

/// What a replica gets next, each with the epoch it follows.
pub(crate) fn coming_to(me: &ReplicaId, document: &Document) -> BTreeMap<EntityId, Epoch> {
    let is_ours = |entry: &&crate::etcd::document::Entry| {
        let next = entry.leaving.as_ref().map_or(entry.coming.as_ref(), |leaving| leaving.next.as_ref());
        entry.replica != *me && next == Some(me)
    };
    let entries = document.entries.iter().filter(|(_, entry)| is_ours(entry));
    entries.map(|(entity, entry)| (entity.clone(), entry.epoch)).collect()
}

// === impl Preparer ===

impl Preparer {
    /// Works until the task is aborted or its sources are gone.
    pub(crate) async fn run(mut self) {
        let mut trouble = Trouble::new("it can be written what is prepared");
        let mut written = BTreeSet::new();
        let mut session = None;
        loop {
            let stay = self.stay.borrow_and_update().clone();
            if session != stay.as_ref().map(|stay| stay.session) {
                session = stay.as_ref().map(|stay| stay.session);
                // Whatever stood in etcd went with the lease.
                written.clear();
            }
            let document = self.view.borrow_and_update().document.clone();
            let coming = document.map(|document| coming_to(&self.notes.me, &document)).unwrap_or_default();
            let prepared = self.prepared.borrow_and_update().clone();
            let due: BTreeSet<Epoch> =
                coming.iter().filter(|(entity, _)| prepared.contains(*entity)).map(|(_, epoch)| *epoch).collect();
            self.coming.send_if_modified(|known| {
                let is_new = **known != coming;
                if is_new {
                    *known = Arc::new(coming);
                }
                is_new
            });
            if let Some(stay) = stay.filter(|_| due != written) {
                match self.notes.write(&stay, &self.notes(&due, &written)).await {
                    Ok(()) => {
                        trouble.on_success();
                        written = due;
                    }
                    // A new stay begins, and tells it all again.
                    Err(CallError::LeaseGone) => {}
                    Err(error) => {
                        trouble.on_failure(&error.to_string());
                        sleep(self.notes.connection.attempt()).await;
                        continue;
                    }
                }
            }
            tokio::select! {
                changed = self.stay.changed() => if changed.is_err() { return },
                changed = self.view.changed() => if changed.is_err() { return },
                changed = self.prepared.changed() => if changed.is_err() { return },
            }
        }
    }

    fn notes(&self, due: &BTreeSet<Epoch>, written: &BTreeSet<Epoch>) -> Vec<Note> {
        let name = self.notes.me.as_str().as_bytes();
        let put = due.difference(written).map(|epoch| Note::Put(Key::Ready(*epoch), name.to_vec()));
        put.chain(written.difference(due).map(|epoch| Note::Delete(Key::Ready(*epoch)))).collect()
    }
}
