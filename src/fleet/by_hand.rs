//! A fleet without a store, whose clusters somebody has shared out by hand: every
//! replica knows by a rule which are its own.
//!
//! The same rule on all replicas gives each cluster one owner, as long as all of them
//! agree on how many there are; nothing here can see whether they do. Nobody takes
//! over from a replica that is gone.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use argosy_model::hash::fnv32a;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::sync::watch;

use crate::directory::{Directory, Location};
use crate::error::Error;
use crate::id::{Cost, EntityId, Epoch, Replica};
use crate::lease::Ownership;
use crate::local::Local;
use crate::placement::{Coming, OwnershipEvent, Pins, Placement};

/// Whose the clusters are.
pub trait Rule: Send + Sync {
    /// Whether a cluster is this replica's.
    fn is_ours(&self, server: &str) -> bool;

    /// The replica whose it is, if that is there and another one.
    fn owner(&self, server: &str) -> Option<Replica>;
}

/// See the module's page.
pub struct ByHand {
    own: Local,
    rule: Arc<dyn Rule>,
    /// What was asked for, whoever's it is. Held while the rule is asked and what follows
    /// is done, so that no older answer is acted on after a newer one.
    declared: Mutex<BTreeSet<EntityId>>,
}

// === impl ByHand ===

impl ByHand {
    /// What `rule` says is ours is owned through `own`.
    pub fn new(own: Local, rule: Arc<dyn Rule>) -> Self {
        Self { own, rule, declared: Mutex::default() }
    }

    fn is_ours(&self, entity: &EntityId) -> bool {
        match entity {
            EntityId::ClusterSlice { server, .. } => self.rule.is_ours(server),
            EntityId::Repository { .. } => true,
        }
    }

    fn declared(&self) -> std::sync::MutexGuard<'_, BTreeSet<EntityId>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elsewhere(&self, server: &str) -> Option<Location> {
        // Nobody tells epochs of others here, and no receiver compares them.
        self.rule.owner(server).map(|replica| Location::Remote { replica, epoch: Epoch(0) })
    }
}

impl Placement for ByHand {
    fn declare(&self, entities: Vec<EntityId>) -> BoxFuture<'_, Result<(), Error>> {
        let mut declared = self.declared();
        declared.extend(entities.iter().cloned());
        self.own.declare(entities.into_iter().filter(|entity| self.is_ours(entity)).collect())
    }

    fn retire(&self, entities: Vec<EntityId>) -> BoxFuture<'_, Result<(), Error>> {
        let mut declared = self.declared();
        declared.retain(|entity| !entities.contains(entity));
        self.own.retire(entities)
    }

    fn watch_owned(&self) -> BoxStream<'static, OwnershipEvent> {
        self.own.watch_owned()
    }

    fn ownership(&self, entity: &EntityId) -> Option<Ownership> {
        self.own.ownership(entity)
    }

    fn right_to(&self, server: &str, application: &str) -> Option<Ownership> {
        self.own.right_to(server, application)
    }

    fn watch_coming(&self) -> watch::Receiver<Coming> {
        self.own.watch_coming()
    }

    fn report_prepared(&self, entities: BTreeSet<EntityId>) {
        self.own.report_prepared(entities);
    }

    /// The rule knows the pins; that something has changed is the news.
    fn pin(&self, _: Pins) {
        let declared = self.declared();
        let (ours, others): (Vec<_>, Vec<_>) = declared.iter().cloned().partition(|entity| self.is_ours(entity));
        for done in [self.own.retire(others), self.own.declare(ours)] {
            // It is done at once, and fails only for a replica that has left.
            if let Some(Err(error)) = done.now_or_never() {
                tracing::debug!(%error, "clusters were not shared out anew");
            }
        }
    }

    fn report_cost(&self, entity: &EntityId, cost: Cost) {
        self.own.report_cost(entity, cost);
    }
}

impl Directory for ByHand {
    fn locate(&self, entity: &EntityId) -> Option<Location> {
        match entity {
            EntityId::ClusterSlice { server, .. } => self.locate_cluster(server),
            EntityId::Repository { .. } => self.own.locate(entity),
        }
    }

    fn locate_application(&self, server: &str, application: &str) -> Option<Location> {
        self.own.locate_application(server, application).or_else(|| self.elsewhere(server))
    }

    fn locate_cluster(&self, server: &str) -> Option<Location> {
        self.own.locate_cluster(server).or_else(|| self.elsewhere(server))
    }
}

/// The shard of each of some clusters, as Argo CD deals them out: by the number a
/// cluster is pinned to where there is such a shard, else by the algorithm
/// (`round-robin`, `consistent-hashing`, anything else is `legacy`). A cluster is its
/// id, which may be empty, and its pin.
pub fn deal(algorithm: &str, clusters: &[(&str, Option<u64>)], replicas: u32) -> Vec<u32> {
    let replicas = replicas.max(1);
    let mut ids: Vec<&str> = clusters.iter().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    let by_algorithm = |id: &str| match algorithm {
        _ if id.is_empty() => 0,
        "round-robin" => {
            let place = ids.binary_search(&id).unwrap_or_else(|place| place) as u64;
            u32::try_from(place % u64::from(replicas)).unwrap_or(0)
        }
        "consistent-hashing" => crate::slices::slice_of(id, replicas),
        _ => fnv32a(&[id]) % replicas,
    };
    let shard = |(id, pin): &(&str, Option<u64>)| {
        let pinned = pin.and_then(|pin| u32::try_from(pin).ok()).filter(|pin| *pin < replicas);
        pinned.unwrap_or_else(|| by_algorithm(id))
    };
    clusters.iter().map(shard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_dealt_out_as_argo_cd_does() {
        // Of "a" and "foobar" the published FNV test vectors have the hashes.
        assert_eq!(
            deal("legacy", &[("a", None), ("foobar", None), ("", None)], 7),
            [0xe40c_292c_u32 % 7, 0xbf9c_f968 % 7, 0]
        );
        assert_eq!(deal("round-robin", &[("c", None), ("a", None), ("b", None)], 2), [0, 0, 1]);
        assert_eq!(deal("legacy", &[("a", Some(2)), ("a", Some(3))], 3), [2, 0xe40c_292c % 3], "a pin without a shard");
    }

    struct Even(Mutex<usize>);

    impl Rule for Even {
        fn is_ours(&self, server: &str) -> bool {
            server.len() % 2 == *self.0.lock().unwrap()
        }

        fn owner(&self, server: &str) -> Option<Replica> {
            (!self.is_ours(server)).then(|| Replica::new("other", "other:1"))
        }
    }

    #[tokio::test]
    async fn what_is_not_ours_is_found_elsewhere_and_a_changed_rule_moves_it() {
        let rule = Arc::new(Even(Mutex::new(0)));
        let fleet = ByHand::new(Local::new(Replica::new("me", "me:1"), Epoch(1)), rule.clone());
        let (even, odd) = (EntityId::cluster("https://ab"), EntityId::cluster("https://abc"));
        fleet.declare(vec![even.clone(), odd.clone()]).await.unwrap();
        let owned = || [&even, &odd].map(|entity| fleet.ownership(entity).is_some());
        assert_eq!(owned(), [true, false]);
        assert!(matches!(fleet.locate_application("https://abc", "x"), Some(Location::Remote { .. })));
        *rule.0.lock().unwrap() = 1;
        fleet.pin(Pins::new());
        assert_eq!(owned(), [false, true]);
    }
}
