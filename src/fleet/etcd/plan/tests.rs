//! Whole fleets, decided until nothing changes any more.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::slices::Slice;

/// A fleet whose replicas do at once what they are told.
struct Fleet {
    sessions: Sessions,
    costs: BTreeMap<EntityId, Cost>,
    document: Document,
    pins: BTreeMap<Arc<str>, u32>,
    ready: bool,
    lost: BTreeSet<ReplicaId>,
    unreached: BTreeSet<ReplicaId>,
    fenced: BTreeSet<Epoch>,
}

impl Fleet {
    fn new(replicas: u32, clusters: &[u64]) -> Self {
        let member = |number: u32| {
            let replica = Replica { shard: Some(number), ..Replica::new(&format!("replica-{number}"), "host:1") };
            (replica.id.clone(), (Session(i64::from(number)), replica))
        };
        let costs = clusters.iter().enumerate();
        Self {
            sessions: (0..replicas).map(member).collect(),
            costs: costs.map(|(number, cost)| (cluster(number), Cost(*cost))).collect(),
            document: Document::starting_at(Epoch(1)),
            pins: BTreeMap::new(),
            ready: true,
            lost: BTreeSet::new(),
            unreached: BTreeSet::new(),
            fenced: BTreeSet::new(),
        }
    }

    /// One decision: what of it was given to somebody else than before.
    fn decide(&mut self) -> bool {
        let entries = self.document.entries.values();
        let released = entries.clone().filter(|entry| entry.leaving.is_some()).map(|entry| entry.epoch).collect();
        let prepared = entries.filter(|_| self.ready).filter_map(|entry| Some((entry.epoch, entry.coming.clone()?)));
        let ready = prepared.collect();
        let facts = Facts {
            sessions: &self.sessions,
            costs: &self.costs,
            released: &released,
            ready: &ready,
            overdue: &BTreeSet::new(),
            lost: &self.lost,
            avoided: &(&self.lost | &self.unreached),
            fenced: &self.fenced,
            pins: &self.pins,
            worth_splitting: Cost(50_000),
        };
        let next = plan_document(&self.document, facts);
        let has_changed = next.document != self.document || !next.costs.is_empty();
        for (entity, cost) in next.costs {
            match cost {
                Some(cost) => drop(self.costs.insert(entity, cost)),
                None => drop(self.costs.remove(&entity)),
            }
        }
        self.document = next.document;
        has_changed
    }

    fn settle(&mut self) {
        assert!((0..500).any(|_| !self.decide()), "it never comes to rest");
        assert!(self.document.entries.values().all(|entry| entry.leaving.is_none() && entry.coming.is_none()));
    }

    fn owners(&self) -> BTreeMap<EntityId, ReplicaId> {
        self.document.entries.iter().map(|(entity, entry)| (entity.clone(), entry.replica.clone())).collect()
    }

    /// The largest load beside the mean one.
    fn imbalance(&self) -> f64 {
        let mut loads: BTreeMap<&ReplicaId, u64> = self.sessions.keys().map(|name| (name, 0)).collect();
        for (entity, entry) in &self.document.entries {
            *loads.entry(&entry.replica).or_default() += self.costs[entity].0.max(1);
        }
        let total: u64 = loads.values().sum();
        let largest = loads.values().max().copied().unwrap_or(0);
        largest as f64 * loads.len() as f64 / total as f64
    }
}

fn cluster(number: usize) -> EntityId {
    EntityId::cluster(&format!("https://cluster-{number}"))
}

/// A few busy clusters, many calm ones, and a giant that costs two fifths of all.
fn skewed(random: &mut StdRng) -> (u32, Vec<u64>) {
    let replicas = random.random_range(3..=10);
    let mut costs: Vec<u64> =
        (1..random.random_range(60..200_u64)).map(|rank| 900_000 / rank + random.random_range(0..20_000)).collect();
    costs.push(costs.iter().sum::<u64>() * 2 / 3);
    (replicas, costs)
}

#[test]
fn a_hundred_skewed_fleets_are_even_and_a_replica_that_leaves_moves_only_what_it_had() {
    let mut worst: f64 = 0.0;
    for seed in 0..100 {
        let (replicas, costs) = skewed(&mut StdRng::seed_from_u64(seed));
        let mut fleet = Fleet::new(replicas, &costs);
        fleet.settle();
        assert!(fleet.document.slices.contains_key(server_of(&cluster(costs.len() - 1))), "the giant is whole");
        let imbalance = fleet.imbalance();
        assert!(imbalance <= 1.10, "seed {seed}: {replicas} replicas, the largest has {imbalance} of the mean");
        worst = worst.max(imbalance);

        let gone = fleet.sessions.keys().next().cloned().expect("there are some");
        let (before, sizes) = (fleet.owners(), fleet.document.slices.clone());
        fleet.sessions.remove(&gone);
        fleet.settle();
        if fleet.document.slices == sizes {
            let after = fleet.owners();
            let moved = before.iter().filter(|(entity, owner)| **owner != gone && after[*entity] != **owner).count();
            assert_eq!(moved, 0, "seed {seed}: moves that nobody needed");
        }
    }
    println!("the largest load of 100 fleets is {worst:.3} of the mean");
}

fn server_of(entity: &EntityId) -> &Arc<str> {
    match entity {
        EntityId::ClusterSlice { server, .. } => server,
        EntityId::Repository { url } => url,
    }
}

#[test]
fn a_split_cluster_is_let_go_of_before_its_slices_begin_and_joined_again_when_it_is_calm() {
    let mut fleet = Fleet::new(3, &[200_000, 200_000, 200_000, 3_000_000]);
    let giant = cluster(3);
    while !fleet.document.slices.contains_key(server_of(&giant)) {
        assert!(fleet.decide());
    }
    let standing = fleet.document.entries.get(&giant);
    assert!(standing.is_none_or(|entry| entry.leaving.is_some()), "{standing:?} works on beside its slices");
    fleet.settle();
    let of = fleet.document.slices[server_of(&giant)];
    let slices: Vec<EntityId> =
        Slice::all(of).map(|slice| EntityId::cluster_slice("https://cluster-3", slice)).collect();
    assert!(of > 2 && slices.iter().all(|slice| fleet.document.entries.contains_key(slice)));
    assert_eq!(slices.iter().map(|slice| fleet.costs[slice].0).sum::<u64>() / 1_000, 3_000);

    for slice in &slices {
        fleet.costs.insert(slice.clone(), Cost(1_000));
    }
    fleet.settle();
    assert!(fleet.document.entries.contains_key(&giant), "{:?}", fleet.document.slices);
    assert!(slices.iter().all(|slice| !fleet.costs.contains_key(slice)), "costs of what is no more stay");
}

#[test]
fn an_owner_works_on_until_its_successor_is_prepared_and_for_ever_unless_it_leaves() {
    let mut fleet = Fleet::new(1, &[100, 100, 100, 100]);
    fleet.settle();
    let joined = Fleet::new(2, &[]).sessions;
    (fleet.sessions, fleet.ready) = (joined, false);
    assert!(fleet.decide());
    let coming: Vec<Epoch> =
        fleet.document.entries.values().filter(|entry| entry.coming.is_some()).map(|entry| entry.epoch).collect();
    assert_eq!(coming.len(), 2);
    assert!(fleet.document.entries.values().all(|entry| entry.leaving.is_none()));
    assert!(!fleet.decide(), "nobody is ready, so nothing changes");
    fleet.ready = true;
    fleet.settle();
    let moved = fleet.owners().values().filter(|owner| owner.as_str() == "replica-1").count();
    assert_eq!(moved, 2);
}

#[test]
fn a_pinned_cluster_goes_to_its_shard_whole_and_to_anybody_while_there_is_none() {
    let mut fleet = Fleet::new(3, &[100, 100, 100, 9_000_000]);
    fleet.pins = BTreeMap::from([("https://cluster-3".into(), 2), ("https://cluster-0".into(), 7)]);
    fleet.settle();
    assert_eq!(fleet.owners()[&cluster(3)].as_str(), "replica-2");
    assert!(fleet.document.slices.is_empty() && fleet.document.entries.contains_key(&cluster(0)));
    fleet.sessions.remove(&ReplicaId::new("replica-2"));
    fleet.settle();
    assert_eq!(fleet.document.entries.len(), 4);
}

/// A settled fleet of three in which one replica is lost: its name, and what it has.
fn with_one_lost() -> (Fleet, ReplicaId, BTreeMap<EntityId, Entry>) {
    let mut fleet = Fleet::new(3, &[100; 12]);
    fleet.settle();
    let lost = ReplicaId::new("replica-1");
    let had = fleet.document.entries.iter().filter(|(_, entry)| entry.replica == lost);
    let had: BTreeMap<EntityId, Entry> = had.map(|(entity, entry)| (entity.clone(), entry.clone())).collect();
    assert!(had.len() > 2, "{had:?}");
    fleet.lost = BTreeSet::from([lost.clone()]);
    (fleet, lost, had)
}

#[test]
fn of_a_lost_replica_only_what_is_fenced_is_given_on_and_remembered_as_doubted() {
    let (mut fleet, lost, had) = with_one_lost();
    assert!(!fleet.decide(), "nothing is fenced, so the lease is waited for");
    let (entity, entry) =
        had.iter().next().map(|(entity, entry)| (entity.clone(), entry.clone())).expect("it has some");
    fleet.fenced = BTreeSet::from([entry.epoch]);
    assert!(fleet.decide());
    let next = fleet.document.entries[&entity].clone();
    assert!(next.replica != lost && next.epoch > entry.epoch);
    let server = server_of(&entity).clone();
    assert_eq!(
        fleet.document.doubted,
        BTreeMap::from([(server.clone(), BTreeMap::from([(entry.epoch, entry.session)]))])
    );
    assert!(fleet.document.is_doubted(&entity, next.epoch) && !fleet.document.is_doubted(&entity, entry.epoch));
    for (other, entry) in had.iter().filter(|(other, _)| **other != entity) {
        assert_eq!(fleet.document.entries.get(other), Some(entry), "what is not fenced stays as it is");
    }

    // It is heard of again, has seen what was decided, and lets go.
    fleet.lost.clear();
    fleet.settle();
    assert!(fleet.document.is_doubted(&entity, next.epoch));
    let standing = fleet.document.clone();
    let released = BTreeSet::from([entry.epoch]);
    let (pins, overdue, ready, lost) = Default::default();
    let facts = Facts {
        sessions: &fleet.sessions,
        costs: &fleet.costs,
        released: &released,
        ready: &ready,
        overdue: &overdue,
        lost: &lost,
        avoided: &lost,
        fenced: &fleet.fenced,
        pins: &pins,
        worth_splitting: Cost(50_000),
    };
    assert!(plan_document(&standing, facts).document.doubted.is_empty());
}

#[test]
fn what_is_doubted_is_forgotten_with_the_session() {
    let (mut fleet, lost, had) = with_one_lost();
    fleet.fenced = had.values().map(|entry| entry.epoch).collect();
    fleet.settle();
    assert_eq!(fleet.document.doubted.len(), had.len());
    assert!(fleet.owners().values().all(|owner| *owner != lost));
    fleet.sessions.remove(&lost);
    fleet.settle();
    assert!(fleet.document.doubted.is_empty());
}

#[test]
fn a_cluster_that_is_doubted_keeps_its_size() {
    let (mut fleet, _, had) = with_one_lost();
    fleet.fenced = had.values().map(|entry| entry.epoch).collect();
    fleet.settle();
    let busy = had.keys().next().cloned().expect("it has some");
    fleet.costs.insert(busy.clone(), Cost(9_000_000));
    fleet.settle();
    assert!(fleet.document.slices.is_empty(), "{:?}", fleet.document.slices);
    fleet.sessions.remove(&ReplicaId::new("replica-1"));
    fleet.settle();
    assert!(fleet.document.slices.contains_key(server_of(&busy)));
}

#[test]
fn what_is_taken_early_does_not_go_to_who_was_never_seen_and_stays_until_nobody_is_doubted() {
    let (mut fleet, lost, had) = with_one_lost();
    let unseen = ReplicaId::new("replica-2");
    fleet.unreached = BTreeSet::from([unseen.clone()]);
    fleet.fenced = had.values().map(|entry| entry.epoch).collect();
    let before = fleet.owners();
    fleet.settle();
    let takes = |fleet: &Fleet, name: &ReplicaId| fleet.owners().values().filter(|owner| *owner == name).count();
    assert_eq!(takes(&fleet, &unseen), before.values().filter(|owner| **owner == unseen).count());
    assert!(fleet.owners().values().all(|owner| *owner != lost));
    // All is seen again: what was taken stays where it is while somebody else may believe to have it.
    let taken = fleet.owners();
    (fleet.lost, fleet.unreached) = Default::default();
    fleet.settle();
    let stays = |(entity, _): &(&EntityId, &Entry)| fleet.owners()[*entity] == taken[*entity];
    assert!(had.iter().all(|one| stays(&one)));
    fleet.sessions.remove(&lost);
    fleet.settle();
    assert!(takes(&fleet, &unseen) > before.values().filter(|owner| **owner == unseen).count());
}

#[test]
fn who_drains_gives_its_clusters_away_though_it_is_out_of_sight() {
    let (mut fleet, lost, _) = with_one_lost();
    if let Some((_, replica)) = fleet.sessions.get_mut(&lost) {
        replica.weight = 0;
    }
    fleet.settle();
    assert!(fleet.owners().values().all(|owner| *owner != lost));
}

#[test]
fn so_many_are_replaced_in_one_write_that_etcd_takes_it() {
    let mut fleet = Fleet::new(2, &[100; 300]);
    fleet.settle();
    fleet.lost = BTreeSet::from([ReplicaId::new("replica-1")]);
    fleet.fenced = fleet.document.entries.values().map(|entry| entry.epoch).collect();
    let before = fleet.document.clone();
    assert!(fleet.decide());
    assert_eq!(fleet.document.newly_doubted(&before).count(), REPLACED);
    fleet.settle();
    assert!(fleet.owners().values().all(|owner| owner.as_str() == "replica-0"));
}
