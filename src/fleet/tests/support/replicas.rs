//! Replicas of a fleet in one process, each with workers, and a judge of who owns
//! what.

// Each test program uses a part of it.
#![allow(dead_code, reason = "shared by several test programs")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use argosy_fleet::etcd::EtcdOptions;
use argosy_fleet::{
    Cost, EntityId, Epoch, Etcd, LeaseView, Membership, OwnershipEvent, Placement, PlacementStore, Replica, ReplicaId,
};
use argosy_tests::eventually;
use futures::StreamExt;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// How long a test waits for something that should take a lease or two.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The lease of tests: no pause of a busy machine is as long.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// The lease of tests that wait for its end.
pub(crate) const BRIEF: Duration = Duration::from_secs(3);

/// Options of tests that wait for the end of a lease.
pub(crate) fn brief(name: &str, endpoints: Vec<String>) -> EtcdOptions {
    EtcdOptions { lease: BRIEF, ..options(name, endpoints) }
}

/// Options for tests: costs count soon.
pub(crate) fn options(name: &str, endpoints: Vec<String>) -> EtcdOptions {
    EtcdOptions {
        lease: LEASE,
        margin: Duration::from_millis(500),
        settle: Duration::from_millis(20),
        prepare: Duration::ZERO,
        cost_interval: Duration::from_millis(200),
        first_epoch: Epoch(100),
        ..EtcdOptions::new(Replica::new(name, &format!("{name}:1")), endpoints)
    }
}

pub(crate) fn cluster(number: usize) -> EntityId {
    EntityId::cluster(&format!("https://cluster-{number}"))
}

pub(crate) fn clusters(count: usize) -> Vec<EntityId> {
    (0..count).map(cluster).collect()
}

/// Sees every beginning and end of work.
#[derive(Clone, Default)]
pub(crate) struct Judge {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    at_work: HashMap<EntityId, BTreeMap<Epoch, (ReplicaId, LeaseView)>>,
    last: HashMap<EntityId, Epoch>,
    gains: usize,
    faults: Vec<String>,
}

// === impl Judge ===

impl Judge {
    fn begin(&self, who: &ReplicaId, entity: &EntityId, epoch: Epoch, lease: LeaseView) {
        let mut seen = self.seen.lock().expect("nobody panics with it");
        let now = Instant::now();
        let mut others = seen.at_work.iter().filter(|(other, _)| other.overlaps(entity));
        let rival = others.find_map(|(other, works)| {
            let (epoch, (who, _)) = works.iter().find(|(_, (_, lease))| lease.is_held(now))?;
            Some(format!("{entity}: {who} ({epoch}) still works on {other}"))
        });
        seen.at_work.entry(entity.clone()).or_default().insert(epoch, (who.clone(), lease));
        seen.faults.extend(rival);
        seen.gains += 1;
        if let Some(last) = seen.last.insert(entity.clone(), epoch)
            && last >= epoch
        {
            seen.faults.push(format!("{entity} went from {last} to {epoch}"));
        }
    }

    fn end(&self, entity: &EntityId, epoch: Epoch) {
        let mut seen = self.seen.lock().expect("nobody panics with it");
        if let Some(others) = seen.at_work.get_mut(entity) {
            others.remove(&epoch);
        }
    }

    /// How often anything was taken up.
    pub(crate) fn gains(&self) -> usize {
        self.seen.lock().expect("nobody panics with it").gains
    }

    pub(crate) fn check(&self) {
        let faults = &self.seen.lock().expect("nobody panics with it").faults;
        assert!(faults.is_empty(), "two owners at one moment: {faults:#?}");
    }
}

/// A replica with a worker on everything it owns. Dropping it is a crash.
pub(crate) struct Worker {
    pub(crate) fleet: Arc<Etcd>,
    _works: AbortOnDropHandle<()>,
    _prepares: AbortOnDropHandle<()>,
}

// === impl Worker ===

impl Worker {
    /// One whose options give nobody time to prepare is prepared for whatever comes.
    pub(crate) fn start(options: EtcdOptions, judge: &Judge) -> Self {
        let is_quick = options.prepare.is_zero();
        let fleet = Arc::new(Etcd::start(options).expect("the options are good"));
        let (mut events, who, judge) = (fleet.watch_owned(), fleet.me().id.clone(), judge.clone());
        let works = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            while let Some(event) = events.next().await {
                if let OwnershipEvent::Gained { entity, ownership } = event {
                    let judge = judge.clone();
                    judge.begin(&who, &entity, ownership.epoch(), ownership.lease().clone());
                    tasks.spawn(async move {
                        ownership.revoked().await;
                        // The end of what was in flight.
                        for _ in 0..100 {
                            tokio::task::yield_now().await;
                        }
                        judge.end(&entity, ownership.epoch());
                    });
                }
            }
        });
        let (mut coming, prepares) = (fleet.watch_coming(), Arc::downgrade(&fleet));
        let prepares = tokio::spawn(async move {
            while let Some(fleet) = prepares.upgrade().filter(|_| is_quick) {
                fleet.report_prepared(coming.borrow_and_update().keys().cloned().collect());
                drop(fleet);
                if coming.changed().await.is_err() {
                    break;
                }
            }
        });
        let (works, prepares) = (AbortOnDropHandle::new(works), AbortOnDropHandle::new(prepares));
        Self { fleet, _works: works, _prepares: prepares }
    }

    pub(crate) async fn join(options: EtcdOptions, judge: &Judge) -> Self {
        let worker = Self::start(options, judge);
        // It goes on trying for longer than it lets the caller wait.
        eventually(PATIENCE, || async { worker.fleet.join().await.map(drop) }).await;
        worker
    }

    pub(crate) fn owned(&self, of: &[EntityId]) -> BTreeSet<EntityId> {
        of.iter().filter(|entity| self.fleet.ownership(entity).is_some()).cloned().collect()
    }

    /// Reports what each of its entities costs.
    pub(crate) fn report(&self, of: &[EntityId], cost: impl Fn(&EntityId) -> Cost) {
        self.owned(of).iter().for_each(|entity| self.fleet.report_cost(entity, cost(entity)));
    }
}

/// Waits until everything is owned, each by one, and everybody owns something.
pub(crate) async fn until_all_owned(workers: &[&Worker], entities: &[EntityId]) {
    eventually(PATIENCE, || async {
        let counts: Vec<usize> = workers.iter().map(|worker| worker.owned(entities).len()).collect();
        let moving = workers.iter().map(|worker| worker.fleet.moving().len()).sum::<usize>();
        let sees = workers.iter().all(|worker| worker.fleet.assignment().borrow().len() == entities.len());
        if counts.iter().sum::<usize>() == entities.len() && moving == 0 && sees && !counts.contains(&0) {
            Ok(())
        } else {
            Err(format!("{counts:?} of {} are owned, {moving} are moving", entities.len()))
        }
    })
    .await;
}
