//! Tells the others which ownerships the target itself refuses after a takeover.
//!
//! What is told may come late, for then the lease is waited for. What is taken back
//! is taken back in one transaction with a look at the assignment: either it is gone
//! before anybody can rely on it, or somebody has, and the owner finds out.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::etcd::connection::CallError;
use crate::etcd::document::Document;
use crate::etcd::keys::{FENCED, Key, UNFENCED};
use crate::etcd::notes::{Note, Notes};
use crate::etcd::session::Stay;
use crate::etcd::trouble::Trouble;
use crate::etcd::view::View;
use crate::id::Epoch;
use crate::placement::Owned;
use crate::succession::{Fenced, Telling};

pub(crate) struct Fences {
    pub(crate) notes: Notes,
    pub(crate) stay: watch::Receiver<Option<Stay>>,
    pub(crate) view: watch::Receiver<View>,
    pub(crate) owned: watch::Receiver<Arc<Owned>>,
    pub(crate) fenced: Arc<Fenced>,
}

// === impl Fences ===

impl Fences {
    /// Works until the task is aborted or its sources are gone.
    pub(crate) async fn run(mut self) {
        let mut trouble = Trouble::new("it can be written whom the clusters themselves refuse");
        let mut telling = self.fenced.telling();
        // What stands in etcd for certain.
        let (mut written, mut session) = (BTreeSet::new(), None);
        loop {
            let stay = self.stay.borrow_and_update().clone();
            if session != stay.as_ref().map(|stay| stay.session) {
                session = stay.as_ref().map(|stay| stay.session);
                written.clear();
            }
            let now = telling.borrow_and_update().clone();
            let view = self.view.borrow_and_update().clone();
            let is_over = stay.is_none();
            if is_over {
                // All ownerships are over, and what stood in etcd goes with the lease.
                self.fenced.forget(&now.taken_back());
            }
            if let Some(stay) = stay {
                match self.write(&stay, &view, &now, &mut written).await {
                    Ok(()) => trouble.on_success(),
                    // A new stay begins.
                    Err(CallError::LeaseGone) => {}
                    Err(error) => {
                        trouble.on_failure(&error.to_string());
                        sleep(self.notes.connection.attempt()).await;
                        continue;
                    }
                }
            }
            let is_settled = is_over || (written == now.wanted && now.taken_back().is_empty());
            tokio::select! {
                changed = self.stay.changed() => if changed.is_err() { return },
                changed = telling.changed() => if changed.is_err() { return },
                changed = self.view.changed(), if !is_settled => if changed.is_err() { return },
                changed = self.owned.changed(), if !is_settled => if changed.is_err() { return },
            }
        }
    }

    async fn write(
        &mut self,
        stay: &Stay,
        view: &View,
        now: &Telling,
        written: &mut BTreeSet<Epoch>,
    ) -> Result<(), CallError> {
        let new: BTreeSet<Epoch> = &now.wanted - written;
        if !new.is_empty() {
            let notes: Vec<Note> = new.iter().map(|epoch| Note::PutNew(Key::Fenced(*epoch), FENCED.into())).collect();
            self.notes.write(stay, &notes).await?;
            written.extend(new);
        }
        let owned: BTreeSet<Epoch> = self.owned.borrow_and_update().values().map(|owned| owned.epoch()).collect();
        let taken_back = now.taken_back();
        let (ours, over): (BTreeSet<Epoch>, BTreeSet<Epoch>) = taken_back.iter().partition(|e| owned.contains(e));
        let delete =
            |epochs: &BTreeSet<Epoch>| epochs.iter().map(|e| Note::Delete(Key::Fenced(*e))).collect::<Vec<_>>();
        if !over.is_empty() {
            self.notes.write(stay, &delete(&over)).await?;
            self.forget(&over, written);
        }
        // Of those that the assignment gives to this owner no more the holder will know
        // soon: then they are over.
        let document = view.document.as_deref().filter(|_| view.is_readable);
        let standing: BTreeSet<Epoch> = &ours & &epochs_of(document, stay);
        for epoch in standing {
            let note = Note::Put(Key::Fenced(epoch), UNFENCED.into());
            // Otherwise the next view says more.
            if self.notes.write_if(stay, &[note], Some(view.stored)).await? {
                self.forget(&BTreeSet::from([epoch]), written);
            }
        }
        Ok(())
    }

    fn forget(&self, epochs: &BTreeSet<Epoch>, written: &mut BTreeSet<Epoch>) {
        written.retain(|epoch| !epochs.contains(epoch));
        self.fenced.forget(epochs);
    }
}

fn epochs_of(document: Option<&Document>, stay: &Stay) -> BTreeSet<Epoch> {
    let entries = document.into_iter().flat_map(|document| document.entries.values());
    entries.filter(|entry| entry.session == stay.session).map(|entry| entry.epoch).collect()
}
