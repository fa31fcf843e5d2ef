//! How an ownership follows on those before it, and what those after it may rely on.
//!
//! Usually an owner begins when every earlier one has stopped. Where the target
//! itself refuses an owner as soon as the next one has taken over, nobody need wait
//! for that: such an owner says that it is fenced, and may be replaced while it may
//! still believe to own. Who replaces it so is not alone at first, and must work
//! behind the same fence until it is. What the target had accepted before it refuses
//! that owner may still take effect a little later, as long as an admission webhook
//! takes; and the fence is the target's alone: what both say of an application at home
//! can mix until the replaced one hears of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::id::Epoch;
use crate::lease::LeaseView;

/// See the module's page. Clones share it; it does not count as holding the ownership.
#[derive(Clone, Debug)]
pub struct Succession {
    epoch: Epoch,
    alone: CancellationToken,
    /// `None` where nobody ever takes over from an owner that may still be at work.
    fenced: Option<Arc<Fenced>>,
    was_taken_back: Arc<AtomicBool>,
    since: Arc<Mutex<Option<Instant>>>,
    right: Right,
}

/// Whether the ownership lasts.
#[derive(Clone, Debug)]
pub(crate) struct Right {
    pub(crate) lease: LeaseView,
    pub(crate) revoked: CancellationToken,
}

/// The epochs of which others are told that their owners are fenced. Both sets change
/// under one lock: what is told and not wanted has been taken back, never just begun.
#[derive(Debug)]
pub(crate) struct Fenced(watch::Sender<Telling>);

/// See [`Fenced`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Telling {
    /// What is to be told.
    pub(crate) wanted: BTreeSet<Epoch>,
    /// What others may have been told, or may be soon.
    pub(crate) told: BTreeSet<Epoch>,
}

// === impl Succession ===

impl Succession {
    /// One that follows on owners who have stopped, and lets nobody hurry.
    pub(crate) fn orderly(epoch: Epoch, right: Right) -> Self {
        let alone = CancellationToken::new();
        alone.cancel();
        Self { epoch, alone, fenced: None, was_taken_back: Arc::default(), since: Arc::default(), right }
    }

    /// One whose earlier owners may be at work until [`Self::on_alone`].
    pub(crate) fn fenced(epoch: Epoch, right: Right, fenced: Arc<Fenced>) -> Self {
        let (alone, since) = (CancellationToken::new(), Arc::new(Mutex::new(Some(Instant::now()))));
        Self { epoch, alone, fenced: Some(fenced), was_taken_back: Arc::default(), since, right }
    }

    /// Every earlier owner has stopped.
    pub(crate) fn on_alone(&self) {
        self.alone.cancel();
    }

    /// Whether every earlier owner has stopped. Once that is so it stays so.
    pub fn is_alone(&self) -> bool {
        self.alone.is_cancelled()
    }

    /// Returns when every earlier owner has stopped.
    pub async fn alone(&self) {
        self.alone.cancelled().await;
    }

    /// The target is this owner's: it refuses every earlier one from now on.
    pub fn on_standing(&self) {
        if !self.is_alone() {
            *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }

    /// Since when no earlier owner can have done anything: what was read of other
    /// places before may be older than what it did. `None` where there was none.
    pub fn since(&self) -> Option<Instant> {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A later owner has taken over at the target: the ownership is over, even if that
    /// is not heard of otherwise.
    pub fn on_superseded(&self) {
        self.right.revoked.cancel();
    }

    /// Lets others know that the target refuses this owner as soon as the next one
    /// has taken over, whatever it was given in this epoch. Once that was taken back it
    /// is not told again.
    pub fn tell_fenced(&self) {
        if let Some(fenced) = self.fenced.as_ref().filter(|_| !self.was_taken_back.load(Ordering::SeqCst)) {
            fenced.0.send_if_modified(|telling| telling.told.insert(self.epoch) | telling.wanted.insert(self.epoch));
        }
    }

    /// Takes that back. Others may not know for a while.
    pub fn take_back(&self) {
        if let Some(fenced) = &self.fenced
            && fenced.0.send_if_modified(|telling| telling.wanted.remove(&self.epoch))
        {
            self.was_taken_back.store(true, Ordering::SeqCst);
        }
    }

    /// Takes it back, and waits until nobody takes over for that reason any more and
    /// every earlier owner has stopped. Then this owner may work with what outlasts a
    /// takeover. It never returns to an owner that was replaced.
    pub async fn unfenced(&self) {
        self.take_back();
        if let Some(fenced) = &self.fenced {
            // Its sender is in `fenced`.
            drop(fenced.0.subscribe().wait_for(|telling| !telling.told.contains(&self.epoch)).await);
        }
        self.alone().await;
        if self.right.revoked.is_cancelled() || !self.right.lease.is_held(Instant::now()) {
            std::future::pending::<()>().await;
        }
    }
}

// === impl Fenced ===

impl Fenced {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::default())
    }

    pub(crate) fn telling(&self) -> watch::Receiver<Telling> {
        self.0.subscribe()
    }

    /// Nobody has been told of these any more, nor will be.
    pub(crate) fn forget(&self, epochs: &BTreeSet<Epoch>) {
        self.0.send_if_modified(|telling| {
            let before = telling.told.len();
            telling.told.retain(|epoch| !epochs.contains(epoch));
            telling.told.len() != before
        });
    }
}

// === impl Telling ===

impl Telling {
    /// What others may still have been told of though it is so no more.
    pub(crate) fn taken_back(&self) -> BTreeSet<Epoch> {
        &self.told - &self.wanted
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::lease::{Lease, LeaseState};

    #[test]
    fn an_owner_is_unfenced_when_nobody_can_have_heard_otherwise_and_it_is_alone_and_owns() {
        let (fenced, lease) = (Arc::new(Fenced::new()), Lease::new(LeaseState::Unlimited));
        let right = Right { lease: lease.view(), revoked: CancellationToken::new() };
        let succession = Succession::fenced(Epoch(7), right.clone(), fenced.clone());
        assert!(!succession.is_alone() && succession.unfenced().now_or_never().is_none());
        succession.on_alone();
        assert!(succession.is_alone() && succession.unfenced().now_or_never().is_some());
        succession.tell_fenced();
        assert!(succession.unfenced().now_or_never().is_none());
        succession.tell_fenced();
        assert!(fenced.telling().borrow().wanted.is_empty(), "told again");
        fenced.forget(&BTreeSet::from([Epoch(7)]));
        assert!(succession.unfenced().now_or_never().is_some());
        lease.end();
        assert!(succession.unfenced().now_or_never().is_none());
    }
}
