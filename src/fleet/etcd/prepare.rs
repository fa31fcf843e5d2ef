//! Taking over prepared: what this replica is to get next, and what it says of it.
//!
//! The leader names who gets an entity next, and the owner works on until that
//! replica has written, under its lease, that it has all it needs. What is written
//! follows what is the case: it is written only while the assignment is the one that
//! names this replica, and taken back when somebody else was chosen, unless that one
//! has written the same key already.

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
        // What may stand in etcd, and whether that is certain.
        let (mut standing, mut is_certain) = (BTreeSet::new(), true);
        let mut session = None;
        loop {
            let stay = self.stay.borrow_and_update().clone();
            if session != stay.as_ref().map(|stay| stay.session) {
                session = stay.as_ref().map(|stay| stay.session);
                // Whatever stood in etcd went with the lease.
                standing.clear();
                is_certain = true;
            }
            let (document, stored) = {
                let view = self.view.borrow_and_update();
                (view.document.clone(), view.stored)
            };
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
            if let Some(stay) = stay.filter(|_| due != standing || !is_certain) {
                let new = if is_certain { &due - &standing } else { due.clone() };
                let notes = self.notes(&new, &(&standing - &due));
                standing.extend(due.iter().copied());
                is_certain = false;
                match self.notes.write_if(&stay, &notes, Some(stored)).await {
                    Ok(is_current) => {
                        trouble.on_success();
                        if is_current {
                            (standing, is_certain) = (due, true);
                        }
                        // Else the next view says more.
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

    fn notes(&self, new: &BTreeSet<Epoch>, over: &BTreeSet<Epoch>) -> Vec<Note> {
        let name = || self.notes.me.as_str().as_bytes().to_vec();
        let put = new.iter().map(|epoch| Note::Put(Key::Ready(*epoch), name()));
        put.chain(over.iter().map(|epoch| Note::Withdraw(Key::Ready(*epoch), name()))).collect()
    }
}
