//! Replicas, time, faults and the judge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::store::{Change, Known, LEASE, Store};
use super::target::{Kind, Targets};
use crate::etcd::document::Session;
use crate::etcd::owner::{Duty, Owner};
use crate::etcd::plan::{Facts, Lookout, Next, OutOfSight, plan_document};
use crate::etcd::prepare::coming_to;
use crate::id::{Cost, EntityId, Epoch, Replica, ReplicaId, Term};
use crate::links::Sight;
use crate::slices::Slice;

const REPLICAS: usize = 4;
const ENTITIES: usize = 12;
/// By how much earlier a replica ends its lease, in milliseconds of its clock.
const MARGIN: u64 = 1_000;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Faults {
    None,
    Many,
}

/// A request on its way to etcd.
enum Request {
    KeepAlive { node: usize, session: Session, sent: u64 },
    Join { node: usize, replica: Replica, sent: u64 },
    Elect { node: usize, session: Session },
    Store { term: Term, seen: usize, next: Next },
    Prepare { session: Session, epoch: Epoch, name: ReplicaId },
    Report { entity: EntityId, cost: Cost },
    Acknowledge { session: Session, epoch: Epoch },
    Forget { epoch: Epoch },
    Revoke { session: Session },
    Fence { session: Session, epoch: Epoch },
    Unfence { node: usize, session: Session, epoch: Epoch, seen: usize },
    Depose { term: Term },
}

/// How an owner gets at what it owns.
struct Way {
    /// When it has what it needs to take over.
    at: u64,
    /// What it is to work with.
    wish: Kind,
    has: Option<Kind>,
    /// Whether others have been told that it is fenced.
    fenced: bool,
    /// Whether it is certain that nobody counts on that any more.
    unfenced: bool,
}

struct Node {
    replica: Replica,
    /// Speed of its clock in thousandths.
    speed: u64,
    /// Session and its end, by the node's clock.
    lease: Option<(Session, u64)>,
    owner: Owner,
    /// What it works on: owned, or not yet drained.
    works: BTreeMap<Epoch, EntityId>,
    /// When work that was revoked ends.
    drains: BTreeMap<Epoch, u64>,
    /// Its credentials for what it works on.
    ways: BTreeMap<Epoch, Way>,
    /// Whom it had lost sight of when it last looked.
    lost: BTreeSet<ReplicaId>,
    lookout: Lookout,
    known: Known,
    joining: bool,
    /// True times until which it stands still, or is cut off.
    paused: u64,
    cut_off: u64,
    kept_alive: u64,
}

pub(super) struct World {
    random: StdRng,
    time: u64,
    store: Store,
    nodes: Vec<Node>,
    /// Requests with the time of their arrival.
    flying: Vec<(u64, Request)>,
    names: usize,
    held: u64,
    network: Faults,
    pins: BTreeMap<Arc<str>, u32>,
    targets: Targets,
    /// Whether owners do not look at the assignment when they take back that they are fenced.
    is_blind: bool,
    /// True times until which links to replicas break although these are well.
    unseen: BTreeMap<ReplicaId, u64>,
    /// Epochs of owners that were replaced while they believed to own.
    pub(super) replaced: BTreeSet<Epoch>,
    pub(super) faults: u64,
    /// Clusters that were split in the end.
    pub(super) splits: u64,
    /// Who was ever given an epoch, and the last epoch of each entity.
    given: BTreeMap<Epoch, (EntityId, Session)>,
    last: BTreeMap<EntityId, Epoch>,
}

// === impl World ===

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut world = Self {
            random: StdRng::seed_from_u64(seed),
            time: 0,
            store: Store::default(),
            nodes: Vec::new(),
            flying: Vec::new(),
            names: 0,
            held: LEASE - MARGIN,
            network: Faults::None,
            pins: BTreeMap::from([("https://cluster-3".into(), 1)]),
            targets: Targets::default(),
            is_blind: false,
            unseen: BTreeMap::new(),
            replaced: BTreeSet::new(),
            faults: 0,
            splits: 0,
            given: BTreeMap::new(),
            last: BTreeMap::new(),
        };
        for _ in 0..REPLICAS {
            let node = world.node();
            world.nodes.push(node);
        }
        for number in 0..ENTITIES {
            world.store.change(Change::Entity(entity(number), Some(Cost(100_000))));
        }
        world
    }

    /// Makes replicas trust their leases beyond what etcd promises.
    pub(super) fn stretch_leases(&mut self) {
        self.held = LEASE * 2;
    }

    /// Makes leaders replace whomever they have lost sight of, fenced or not.
    pub(super) fn take_carelessly(&mut self) {
        self.store.is_careless = true;
    }

    /// Makes owners take back that they are fenced without a look at the assignment.
    pub(super) fn take_back_blindly(&mut self) {
        self.is_blind = true;
    }

    pub(super) fn gains(&self) -> u64 {
        self.given.len() as u64
    }

    fn node(&mut self) -> Node {
        self.names += 1;
        Node {
            replica: Replica {
                shard: Some(self.names as u32 % REPLICAS as u32),
                ..Replica::new(&format!("replica-{}", self.names), "host:1")
            },
            speed: self.random.random_range(950..=1050),
            lease: None,
            owner: Owner::default(),
            works: BTreeMap::new(),
            drains: BTreeMap::new(),
            ways: BTreeMap::new(),
            lost: BTreeSet::new(),
            lookout: Lookout::default(),
            known: Known::default(),
            joining: false,
            paused: 0,
            cut_off: 0,
            kept_alive: 0,
        }
    }

    /// Some time passes, one replica gets to run, and something may break.
    pub(super) fn step(&mut self, faults: Faults) {
        self.network = faults;
        self.time += self.random.random_range(1..140);
        self.store.expire(self.time);
        self.arrive();
        if faults == Faults::Many && self.random.random_ratio(1, 40) {
            self.break_something();
        }
        let index = self.random.random_range(0..self.nodes.len());
        if self.nodes[index].paused <= self.time {
            self.run(index);
        }
        self.judge();
    }

    /// Time without faults, after which all must be owned.
    pub(super) fn heal(&mut self) {
        for node in &mut self.nodes {
            (node.paused, node.cut_off) = (0, 0);
        }
        self.unseen.clear();
        for _ in 0..3_000 {
            self.step(Faults::None);
        }
        let time = self.time;
        let owned: BTreeSet<EntityId> =
            self.nodes.iter().flat_map(|node| node.owns(time)).map(|(_, entity)| entity).collect();
        let sizes = &self.store.now.document.slices;
        let slices = self.store.now.costs.keys().flat_map(|known| match known {
            EntityId::ClusterSlice { server, slice: Slice::WHOLE } => {
                let of = sizes.get(server).copied().unwrap_or(1);
                Slice::all(of).map(|slice| EntityId::cluster_slice(server, slice)).collect()
            }
            _ => Vec::new(),
        });
        assert_eq!(owned, slices.collect(), "not everything is owned after the faults");
        self.splits += sizes.len() as u64;
    }

    fn break_something(&mut self) {
        self.faults += 1;
        let index = self.random.random_range(0..self.nodes.len());
        let long = self.time + self.random.random_range(100..25_000);
        match self.random.random_range(0..9) {
            0 => self.nodes[index] = self.node(),
            1 | 2 => self.nodes[index].paused = long,
            3 | 4 => self.nodes[index].cut_off = long,
            8 => drop(self.unseen.insert(self.nodes[index].replica.id.clone(), long)),
            5 => {
                let number = self.random.random_range(0..ENTITIES);
                let is_known = self.store.now.costs.contains_key(&entity(number));
                let cost = Cost(self.random.random_range(1..200_000));
                self.store.change(Change::Entity(entity(number), (!is_known).then_some(cost)));
            }
            // A cluster gets busy, or calm.
            6 => {
                let server = format!("https://cluster-{}", self.random.random_range(0..ENTITIES));
                let factor = if self.random.random() { 30 } else { 1 };
                for known in self.store.now.costs.clone().into_keys() {
                    if matches!(&known, EntityId::ClusterSlice { server: of, .. } if **of == *server) {
                        let cost = Cost(self.random.random_range(1..200_000) * factor);
                        self.store.change(Change::Entity(known, Some(cost)));
                    }
                }
            }
            _ => self.store.extend_all(self.time),
        }
    }

    fn send(&mut self, node: usize, request: Request) {
        if self.nodes[node].cut_off > self.time {
            return;
        }
        // Most arrive soon, some much later.
        let is_late = self.network == Faults::Many && self.random.random_ratio(1, 10);
        let late = if is_late { 15_000 } else { 50 };
        self.flying.push((self.time + self.random.random_range(1..=late), request));
    }

    fn arrive(&mut self) {
        let (due, flying) = std::mem::take(&mut self.flying).into_iter().partition(|(at, _)| *at <= self.time);
        self.flying = flying;
        let mut due: Vec<(u64, Request)> = due;
        due.sort_by_key(|(at, _)| *at);
        for (_, request) in due {
            // One answer in twenty is lost.
            let is_heard = self.network == Faults::None || !self.random.random_ratio(1, 20);
            self.serve(request, is_heard);
        }
    }

    fn serve(&mut self, request: Request, is_heard: bool) {
        match request {
            Request::KeepAlive { node, session, sent } => {
                let is_kept = self.store.keep_alive(session, self.time);
                let node = &mut self.nodes[node];
                if let Some((known, end)) = &mut node.lease
                    && *known == session
                    && is_heard
                {
                    // What has run out by its own clock is not renewed.
                    if is_kept && node.speed * self.time / 1000 < *end {
                        *end = (*end).max(sent + self.held);
                    } else if !is_kept {
                        *end = 0;
                    }
                }
            }
            Request::Join { node, replica, sent } => {
                let session = self.store.grant(self.time);
                let is_in = self.store.register(session, &replica);
                let node = &mut self.nodes[node];
                if node.replica.id != replica.id {
                    return;
                }
                node.joining = false;
                if is_in && is_heard && node.lease.is_none() {
                    node.lease = Some((session, sent + self.held));
                    node.owner.on_joined(session);
                }
            }
            Request::Elect { node, session } => {
                let name = self.nodes[node].replica.id.clone();
                self.store.elect(&name, session);
            }
            Request::Store { term, seen, next } => self.store.store(term, seen, next),
            Request::Prepare { session, epoch, name } => self.store.prepare(session, epoch, name),
            Request::Report { entity, cost } => self.store.report(entity, cost),
            Request::Acknowledge { session, epoch } => self.store.acknowledge(session, epoch),
            Request::Forget { epoch } => self.store.forget(epoch),
            Request::Revoke { session } => self.store.revoke(session),
            Request::Fence { session, epoch } => self.store.fence(session, epoch, true),
            Request::Unfence { node, session, epoch, seen } => {
                // In one transaction with a look at the assignment.
                if self.is_blind || self.store.now.stored == seen {
                    self.store.fence(session, epoch, false);
                    if let Some(way) = self.nodes[node].ways.get_mut(&epoch).filter(|_| is_heard) {
                        way.unfenced = true;
                    }
                }
            }
            Request::Depose { term } => self.store.depose(term),
        }
    }

    /// One turn of a replica: everything its tasks would do.
    fn run(&mut self, index: usize) {
        let (time, held) = (self.time, self.held);
        let pace = self.random.random_range(0..30);
        let node = &mut self.nodes[index];
        let clock = node.clock(time);
        if node.cut_off <= time {
            node.known.follow(&self.store, pace);
        }
        let Some((session, end)) = node.lease else {
            if !node.joining && node.cut_off <= time {
                node.joining = true;
                let replica = node.replica.clone();
                self.send(index, Request::Join { node: index, replica, sent: clock });
            }
            return;
        };
        if clock >= end {
            node.lease = None;
            node.owner.on_lapsed();
            node.works.clear();
            node.drains.clear();
            node.ways.clear();
            self.send(index, Request::Revoke { session });
            return;
        }
        let name = node.replica.id.clone();
        let document = node.known.document.clone();
        let mut duties = node.owner.on_document(&name, &document);
        let done: Vec<Epoch> = node.drains.extract_if(.., |_, at| *at <= time).map(|(epoch, _)| epoch).collect();
        for epoch in done {
            node.works.remove(&epoch);
            node.ways.remove(&epoch);
            duties.extend(node.owner.on_drained(epoch));
        }
        for duty in duties {
            match duty {
                Duty::Gain(entity, epoch) => {
                    self.record(&entity, epoch, session);
                    let wish = if self.random.random_ratio(1, 4) { Kind::Lasting } else { Kind::Binding };
                    let at = time + self.random.random_range(0..3_000);
                    let way = Way { at, wish, has: None, fenced: false, unfenced: true };
                    self.nodes[index].ways.insert(epoch, way);
                    self.nodes[index].works.insert(epoch, entity);
                }
                Duty::Stop(_, epoch) => {
                    let at = time + self.random.random_range(0..2_000);
                    self.nodes[index].drains.insert(epoch, at);
                }
                Duty::Acknowledge(epoch) => self.insist(index, Request::Acknowledge { session, epoch }),
                Duty::Forget(epoch) => self.insist(index, Request::Forget { epoch }),
            }
        }
        if clock >= self.nodes[index].kept_alive + held / 3 {
            self.nodes[index].kept_alive = clock;
            self.send(index, Request::KeepAlive { node: index, session, sent: clock });
        }
        for (entity, epoch) in coming_to(&name, &document) {
            if self.random.random_ratio(1, 4) {
                let name = name.clone();
                self.send(index, Request::Prepare { session, epoch, name });
            } else if self.random.random_ratio(1, 40) {
                // From a replica that knows no better.
                self.send(index, Request::Report { entity, cost: Cost(77_000) });
            }
        }
        self.establish(index, session);
        self.lead(index, session);
    }

    /// Whoever owns something sees to it that the cluster accepts it.
    fn establish(&mut self, index: usize, session: Session) {
        let time = self.time;
        let mut requests = Vec::new();
        let node = &mut self.nodes[index];
        for (epoch, way) in &mut node.ways {
            let (epoch, entity) = (*epoch, &node.works[epoch]);
            if way.has == Some(Kind::Binding) && way.fenced && self.random.random_ratio(1, 40) {
                // Somebody changes the settings.
                (way.wish, way.unfenced) = (Kind::Lasting, false);
            }
            if way.at > time || way.has == Some(way.wish) {
                continue;
            }
            if way.wish == Kind::Lasting && !way.unfenced {
                let entries = &node.known.document.entries;
                if entries.values().any(|entry| entry.session == session && entry.epoch == epoch) {
                    let seen = node.known.stored;
                    requests.push(Request::Unfence { node: index, session, epoch, seen });
                }
                continue;
            }
            if way.wish == Kind::Lasting && node.known.document.is_doubted(entity, epoch) {
                continue;
            }
            if !self.targets.make(entity, epoch, way.wish) {
                // Somebody later has been there; it never works.
                way.at = u64::MAX;
                continue;
            }
            if way.has.is_none() && way.wish == Kind::Binding {
                way.fenced = true;
                requests.push(Request::Fence { session, epoch });
            }
            way.has = Some(way.wish);
        }
        for request in requests {
            self.send(index, request);
        }
    }

    /// Of others, whom a replica has lost sight of.
    fn lost_to(&self, index: usize) -> BTreeSet<ReplicaId> {
        let (me, time) = (&self.nodes[index], self.time);
        let is_lost = |name: &ReplicaId| match self.nodes.iter().find(|node| node.replica.id == *name) {
            Some(node) => {
                let is_unseen = self.unseen.get(name).is_some_and(|until| *until > time);
                node.paused > time || node.cut_off > time || me.cut_off > time || is_unseen
            }
            None => true,
        };
        me.known.sessions.keys().filter(|name| **name != me.replica.id && is_lost(name)).cloned().collect()
    }

    /// What the real one writes until it is written.
    fn insist(&mut self, index: usize, request: Request) {
        let at = self.nodes[index].cut_off.max(self.time) + self.random.random_range(1..500);
        self.flying.push((at, request));
    }

    fn lead(&mut self, index: usize, session: Session) {
        let lost = self.lost_to(index);
        let node = &mut self.nodes[index];
        let before = std::mem::replace(&mut node.lost, lost.clone());
        let sight = Sight { lost, ..Sight::default() };
        let OutOfSight { lost, avoided } = node.lookout.judge(&sight, &node.known.sessions);
        let known = &self.nodes[index].known;
        match &known.leader {
            Some((leader, _, term)) if lost.contains(leader) && !before.contains(leader) => {
                let term = *term;
                self.send(index, Request::Depose { term });
            }
            None => self.send(index, Request::Elect { node: index, session }),
            Some((_, leader, term)) if *leader == session => {
                // Some preparations take too long.
                let is_late = |epoch: &Epoch| epoch.0.is_multiple_of(3);
                let coming = known.document.entries.values().filter(|entry| entry.coming.is_some());
                let overdue = coming.map(|entry| entry.epoch).filter(is_late).collect();
                let Known { sessions, costs, released, ready, .. } = known;
                let (pins, worth_splitting) = (&self.pins, Cost(50_000));
                let all = known.document.entries.values().map(|entry| entry.epoch).collect();
                let fenced = if self.store.is_careless { &all } else { &known.fenced };
                let (overdue, lost, avoided) = (&overdue, &lost, &avoided);
                let facts =
                    Facts { sessions, costs, released, ready, overdue, lost, avoided, fenced, pins, worth_splitting };
                let next = plan_document(&known.document, facts);
                if next.document != *known.document || !next.costs.is_empty() {
                    let (term, seen) = (*term, known.stored);
                    self.send(index, Request::Store { term, seen, next });
                }
            }
            Some(_) => {}
        }
    }

    fn record(&mut self, entity: &EntityId, epoch: Epoch, session: Session) {
        let before = self.given.insert(epoch, (entity.clone(), session));
        assert!(before.is_none(), "{epoch} was owned before: {before:?}, and now {entity}");
        for (other, last) in self.last.iter().filter(|(other, _)| other.overlaps(entity)) {
            assert!(*last < epoch, "{other} had {last:?}, and then {entity} {epoch}");
        }
        self.last.insert(entity.clone(), epoch);
    }

    /// Nothing has two owners, but where one was replaced who may not know it; and
    /// whoever believes what, one of them can write.
    fn judge(&mut self) {
        let mut owners: Vec<(EntityId, Epoch, usize)> = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for (epoch, entity) in node.owns(self.time) {
                let rivals = owners.iter().filter(|(owned, ..)| owned.overlaps(&entity));
                for (rival, earlier, other) in rivals {
                    let words =
                        || format!("at {} {other} owns {rival} ({earlier}), and {index} {entity} ({epoch})", self.time);
                    let first = epoch.min(*earlier);
                    let EntityId::ClusterSlice { server, .. } = &entity else { panic!("{}", words()) };
                    let doubted = self.store.now.document.doubted.get(server);
                    assert!(doubted.is_some_and(|doubted| doubted.contains_key(&first)), "{}", words());
                    let both = self.targets.accepts(rival, *earlier) && self.targets.accepts(&entity, epoch);
                    assert!(!both, "{}, and both can write", words());
                    self.replaced.insert(first);
                }
                owners.push((entity, epoch, index));
            }
        }
    }
}

// === impl Node ===

impl Node {
    fn clock(&self, time: u64) -> u64 {
        self.speed * time / 1000
    }

    /// What it may act on at this moment, were it to run.
    fn owns(&self, time: u64) -> Vec<(Epoch, EntityId)> {
        let is_held = self.lease.is_some_and(|(_, end)| self.clock(time) < end);
        if is_held { self.works.iter().map(|(epoch, entity)| (*epoch, entity.clone())).collect() } else { Vec::new() }
    }
}

fn entity(number: usize) -> EntityId {
    EntityId::cluster(&format!("https://cluster-{number}"))
}
