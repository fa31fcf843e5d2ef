//! Who owns what, as the leader writes it and as owners learn it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use tokio::sync::watch;

use crate::assignment::Assignment;
use crate::error::Error;
use crate::id::{Cost, EntityId, Epoch, Term, slices_of};
use crate::lease::Ownership;

/// A change in what this replica owns.
#[derive(Clone, Debug)]
pub enum OwnershipEvent {
    /// Start working on the entity.
    Gained {
        /// What is owned now.
        entity: EntityId,
        /// The right to it; it also says when to stop.
        ownership: Ownership,
    },
    /// Stop working on the entity. The ownership was revoked before this arrives.
    Lost {
        /// What is no longer owned.
        entity: EntityId,
        /// The epoch it was owned in.
        epoch: Epoch,
    },
}

/// What a replica gets next, each with the epoch that its ownership follows.
pub type Coming = Arc<BTreeMap<EntityId, Epoch>>;

/// Clusters that are pinned to a shard, by server.
pub type Pins = BTreeMap<Arc<str>, u32>;

/// Placement as every replica sees it.
pub trait Placement: Send + Sync {
    /// Makes entities known, so that they are placed; known ones stay as they are.
    ///
    /// # Errors
    /// When the fleet's state cannot be written.
    fn declare(&self, entities: Vec<EntityId>) -> BoxFuture<'_, Result<(), Error>>;

    /// Makes entities forgotten, so that nobody owns them; unknown ones do no harm.
    ///
    /// # Errors
    /// When the fleet's state cannot be written.
    fn retire(&self, entities: Vec<EntityId>) -> BoxFuture<'_, Result<(), Error>>;

    /// What this replica owns: everything at first, then each change. A slow
    /// reader misses intermediate states, never the last one: for one entity
    /// `Gained` and `Lost` alternate, and epochs grow. The stream ends with the
    /// implementation.
    fn watch_owned(&self) -> BoxStream<'static, OwnershipEvent>;

    /// What this replica owns of an entity, if it does.
    fn ownership(&self, entity: &EntityId) -> Option<Ownership>;

    /// What this replica owns of a cluster that an application is in.
    fn right_to(&self, server: &str, application: &str) -> Option<Ownership>;

    /// What this replica gets next, now and as it changes: time to prepare. Its
    /// owner works on meanwhile.
    fn watch_coming(&self) -> watch::Receiver<Coming>;

    /// Says of which entities this replica has all it needs to take them over.
    fn report_prepared(&self, entities: BTreeSet<EntityId>);

    /// Says which clusters people have pinned to a shard.
    fn pin(&self, pins: Pins);

    /// Tells what an owned entity has cost lately. Reports for what is not
    /// owned are dropped.
    fn report_cost(&self, entity: &EntityId, cost: Cost);
}

/// Placement as the leader writes it.
pub trait PlacementStore: Send + Sync {
    /// The assignment in force, now and as it changes.
    fn assignment(&self) -> watch::Receiver<Arc<Assignment>>;

    /// Every known entity with its latest cost, now and as it changes.
    fn costs(&self) -> watch::Receiver<Arc<BTreeMap<EntityId, Cost>>>;

    /// Puts an assignment in force.
    ///
    /// # Errors
    /// [`Error::StaleTerm`] when another leader has been elected,
    /// [`Error::EpochWentBack`] when it was not made from the one in force.
    fn store(&self, term: Term, next: Assignment) -> BoxFuture<'_, Result<(), Error>>;
}

/// What is known, with its latest costs.
pub(crate) type Costs = Arc<BTreeMap<EntityId, Cost>>;

/// What a replica owns.
pub(crate) type Owned = BTreeMap<EntityId, Ownership>;

/// The ownership, among these, of the slice that an application is in. Slices that
/// are owned at one time have no application in common.
pub(crate) fn right_to(owned: &Owned, server: &str, application: &str) -> Option<Ownership> {
    let is_in =
        |entity: &EntityId| matches!(entity, EntityId::ClusterSlice { slice, .. } if slice.contains(application));
    owned.range(slices_of(&server.into())).find(|(entity, _)| is_in(entity)).map(|(_, ownership)| ownership.clone())
}

struct Differ {
    owned: watch::Receiver<Arc<Owned>>,
    told: BTreeMap<EntityId, Epoch>,
    /// No longer than what was owned plus what is.
    pending: VecDeque<OwnershipEvent>,
    started: bool,
}

/// Turns levels into changes: what was told is held against what is.
pub(crate) fn ownership_events(owned: watch::Receiver<Arc<Owned>>) -> BoxStream<'static, OwnershipEvent> {
    let differ = Differ { owned, told: BTreeMap::new(), pending: VecDeque::new(), started: false };
    stream::unfold(differ, |mut differ| async move { differ.next().await.map(|event| (event, differ)) }).boxed()
}

// === impl Differ ===

impl Differ {
    async fn next(&mut self) -> Option<OwnershipEvent> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if self.started {
                self.owned.changed().await.ok()?;
            }
            self.started = true;
            self.compare();
        }
    }

    fn compare(&mut self) {
        let owned = Arc::clone(&self.owned.borrow_and_update());
        for (entity, &epoch) in &self.told {
            if owned.get(entity).is_none_or(|ownership| ownership.epoch() != epoch) {
                self.pending.push_back(OwnershipEvent::Lost { entity: entity.clone(), epoch });
            }
        }
        for (entity, ownership) in owned.iter() {
            if self.told.get(entity) != Some(&ownership.epoch()) {
                let (entity, ownership) = (entity.clone(), ownership.clone());
                self.pending.push_back(OwnershipEvent::Gained { entity, ownership });
            }
        }
        self.told = owned.iter().map(|(entity, ownership)| (entity.clone(), ownership.epoch())).collect();
    }
}
