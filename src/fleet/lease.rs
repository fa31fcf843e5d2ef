//! Leases, and what an owner holds while it owns.
//!
//! A replica has one [`Lease`]; each entity it owns is an [`Ownership`] under
//! it. Time is [`tokio::time::Instant`], a monotonic clock that tests can hold
//! still. A lease's time is the owner's: whoever keeps the lease subtracts from
//! the store's time the margin that clocks and pauses need.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::id::{EntityId, Epoch};
use crate::succession::{Fenced, Right, Succession};

/// How long a lease holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// Until it is told to end: nobody else could take over.
    Unlimited,
    /// Until this instant, unless renewed before.
    Until(Instant),
    /// No longer, and never again.
    Ended,
}

/// A replica's lease, as its keeper has it. Dropping it ends it.
#[derive(Debug)]
pub struct Lease {
    state: watch::Sender<LeaseState>,
}

/// A replica's lease, as owners see it.
#[derive(Clone, Debug)]
pub struct LeaseView {
    state: watch::Receiver<LeaseState>,
}

/// The right to work on an entity. All clones end together. An entity moves to
/// its next owner when the last clone is gone: whoever works holds one, and drops
/// it when the work has ended.
#[derive(Clone, Debug)]
pub struct Ownership {
    entity: EntityId,
    epoch: Epoch,
    succession: Succession,
    lease: LeaseView,
    revoked: CancellationToken,
    /// Nanoseconds of work, by all clones.
    spent: Arc<AtomicU64>,
    /// Counted by those who wait for the work to end.
    _holder: Option<[TaskTrackerToken; 2]>,
}

// === impl Lease ===

impl Lease {
    /// A lease in the given state.
    pub fn new(state: LeaseState) -> Self {
        Self { state: watch::Sender::new(state) }
    }

    /// Moves the end of the lease to `until`; never to an earlier one. `false`
    /// when it has ended, or has run out by `now`: then it has ended for good.
    pub fn renew(&self, until: Instant, now: Instant) -> bool {
        self.state.send_if_modified(|state| {
            let next = match *state {
                LeaseState::Until(end) if now < end => LeaseState::Until(end.max(until)),
                LeaseState::Until(_) => LeaseState::Ended,
                other => other,
            };
            std::mem::replace(state, next) != next
        });
        *self.state.borrow() != LeaseState::Ended
    }

    /// Ends the lease.
    pub fn end(&self) {
        self.state.send_replace(LeaseState::Ended);
    }

    /// The lease as owners see it.
    pub fn view(&self) -> LeaseView {
        LeaseView { state: self.state.subscribe() }
    }
}

// === impl LeaseView ===

impl LeaseView {
    /// Whether the lease holds at `now`.
    pub fn is_held(&self, now: Instant) -> bool {
        match self.state() {
            LeaseState::Unlimited => true,
            LeaseState::Until(end) => now < end,
            LeaseState::Ended => false,
        }
    }

    /// When the lease ends as things stand; `None` when no time is set, which
    /// does not mean that it still holds.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state() {
            LeaseState::Until(end) => Some(end),
            LeaseState::Unlimited | LeaseState::Ended => None,
        }
    }

    /// Returns when the lease has ended.
    pub async fn ended(&self) {
        let mut state = self.state.clone();
        loop {
            let seen = *state.borrow_and_update();
            match seen {
                LeaseState::Ended => return,
                LeaseState::Unlimited => {
                    if state.changed().await.is_err() {
                        return;
                    }
                }
                LeaseState::Until(end) => tokio::select! {
                    changed = state.changed() => if changed.is_err() { return },
                    () = sleep_until(end) => if *state.borrow() == seen { return },
                },
            }
        }
    }

    /// A dropped keeper keeps nothing.
    fn state(&self) -> LeaseState {
        if self.state.has_changed().is_err() { LeaseState::Ended } else { *self.state.borrow() }
    }
}

// === impl Ownership ===

impl Ownership {
    /// An ownership under a lease, of what nobody owns any more.
    pub(crate) fn new(entity: EntityId, epoch: Epoch, lease: LeaseView) -> Self {
        let right = Right { lease, revoked: CancellationToken::new() };
        Self::following(entity, epoch, Succession::orderly(epoch, right.clone()), right, None)
    }

    /// An ownership whose holders are counted, of what somebody may still own.
    pub(crate) fn counted(
        (entity, epoch): (EntityId, Epoch),
        fenced: Arc<Fenced>,
        lease: LeaseView,
        by: [&TaskTracker; 2],
    ) -> Self {
        let right = Right { lease, revoked: CancellationToken::new() };
        let (succession, holder) = (Succession::fenced(epoch, right.clone(), fenced), by.map(TaskTracker::token));
        Self::following(entity, epoch, succession, right, Some(holder))
    }

    fn following(
        entity: EntityId,
        epoch: Epoch,
        succession: Succession,
        right: Right,
        holder: Option<[TaskTrackerToken; 2]>,
    ) -> Self {
        let Right { lease, revoked } = right;
        Self { entity, epoch, succession, lease, revoked, spent: Arc::default(), _holder: holder }
    }

    /// What is owned.
    pub fn entity(&self) -> &EntityId {
        &self.entity
    }

    /// Which ownership of it this is.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How it follows on those before it.
    pub fn succession(&self) -> &Succession {
        &self.succession
    }

    /// Whether the owner may still act at `now`. Ask right before each effect.
    pub fn is_held(&self, now: Instant) -> bool {
        !self.revoked.is_cancelled() && self.lease.is_held(now)
    }

    /// The lease it is held under.
    pub fn lease(&self) -> &LeaseView {
        &self.lease
    }

    /// By when a request that starts now must be over, as things stand; `None`
    /// when nothing but a revocation ends the ownership.
    pub fn deadline(&self) -> Option<Instant> {
        self.lease.deadline()
    }

    /// Returns when the owner must stop: it was revoked, or the lease ended.
    /// It costs a timer only where the lease has an end.
    pub async fn revoked(&self) {
        tokio::select! {
            () = self.revoked.cancelled() => {}
            () = self.lease.ended() => {}
        }
    }

    /// Runs `work` for as long as the ownership lasts; `None` when it was cut
    /// off. Work that has begun to take effect elsewhere is not undone.
    pub async fn while_held<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.revoked() => None,
            done = work => Some(done),
        }
    }

    /// Notes work that was done on what is owned.
    pub fn spend(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.spent.fetch_add(nanos, Ordering::Relaxed);
    }

    /// All work that was noted, by any of the clones.
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    pub(crate) fn revoke(&self) {
        self.revoked.cancel();
    }
}
