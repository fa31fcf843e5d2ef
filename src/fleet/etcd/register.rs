//! What is known to the fleet, and what it costs.
//!
//! Each entity is a key whose value is its latest cost. Costs are gathered here
//! and written every so often, and only where they have changed by more than a
//! tenth: they only weigh replicas against each other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, Txn, TxnOp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::etcd::connection::{CallError, Connection};
use crate::etcd::keys::{Key, Keys};
use crate::etcd::trouble::Trouble;
use crate::id::{Cost, EntityId};
use crate::placement::Costs;

/// Entities in one transaction. etcd counts 128 operations together with those
/// of the transactions inside.
const BATCH: usize = 60;

/// How long whoever declares waits for etcd, at most.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Register {
    pub(crate) connection: Arc<Connection>,
    pub(crate) keys: Keys,
    pub(crate) costs: watch::Receiver<Costs>,
    reported: Mutex<BTreeMap<EntityId, Cost>>,
}

// === impl Register ===

impl Register {
    pub(crate) fn new(connection: Arc<Connection>, keys: Keys, costs: watch::Receiver<Costs>) -> Self {
        Self { connection, keys, costs, reported: Mutex::default() }
    }

    /// Makes known what is not.
    pub(crate) async fn declare(&self, entities: &[EntityId]) -> Result<(), CallError> {
        let known = self.costs.borrow().clone();
        let new = entities.iter().filter(|entity| !known.contains_key(*entity)).map(|entity| {
            let key = self.keys.write(&Key::Entity(entity.clone()));
            let is_new = Compare::create_revision(key.clone(), CompareOp::Equal, 0);
            Txn::new().when([is_new]).and_then([TxnOp::put(key, "0", None)])
        });
        self.all(new.collect()).await
    }

    /// Makes entities forgotten, with their costs.
    pub(crate) async fn retire(&self, entities: &[EntityId]) -> Result<(), CallError> {
        let gone = entities
            .iter()
            .map(|entity| Txn::new().and_then([TxnOp::delete(self.keys.write(&Key::Entity(entity.clone())), None)]));
        self.all(gone.collect()).await
    }

    /// Notes what an entity has cost lately.
    pub(crate) fn report(&self, entity: &EntityId, cost: Cost) {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner).insert(entity.clone(), cost);
    }

    /// Writes costs until the task is aborted.
    pub(crate) async fn run(self: Arc<Self>, every: Duration) {
        let mut trouble = Trouble::new("costs can be written");
        loop {
            sleep(every).await;
            let reported = std::mem::take(&mut *self.reported.lock().unwrap_or_else(PoisonError::into_inner));
            let known = self.costs.borrow().clone();
            let changed = reported
                .into_iter()
                .filter(|(entity, cost)| known.get(entity).is_some_and(|known| is_worth_writing(*known, *cost)));
            let puts = changed.map(|(entity, cost)| {
                let key = self.keys.write(&Key::Entity(entity));
                // What was retired meanwhile stays forgotten.
                let is_known = Compare::create_revision(key.clone(), CompareOp::Greater, 0);
                Txn::new().when([is_known]).and_then([TxnOp::put(key, cost.0.to_string(), None)])
            });
            match self.all(puts.collect()).await {
                Ok(()) => trouble.on_success(),
                // The next report says it better.
                Err(error) => trouble.on_failure(&error.to_string()),
            }
        }
    }

    async fn all(&self, txns: Vec<Txn>) -> Result<(), CallError> {
        for batch in txns.chunks(BATCH) {
            let operations: Vec<TxnOp> = batch.iter().cloned().map(TxnOp::txn).collect();
            let txn = Txn::new().and_then(operations);
            let request = |client: Client| {
                let txn = txn.clone();
                async move { client.kv_client().txn(txn).await }
            };
            self.connection.call(Instant::now() + PATIENCE, request).await?;
        }
        Ok(())
    }
}

/// Whether a cost differs by more than a tenth.
fn is_worth_writing(known: Cost, now: Cost) -> bool {
    known.0.abs_diff(now.0).saturating_mul(10) > known.0.max(1)
}
