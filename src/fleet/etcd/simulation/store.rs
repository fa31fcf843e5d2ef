//! etcd as far as the protocol sees it: revisions, leases, compared writes, and a
//! history that everybody reads at a pace of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::etcd::document::{Document, Session};
use crate::etcd::plan::{Next, Sessions};
use crate::id::{Cost, EntityId, Epoch, Replica, ReplicaId, Term};

/// How long a lease lasts, in milliseconds of etcd's time.
pub(super) const LEASE: u64 = 10_000;

#[derive(Clone, Debug)]
pub(super) enum Change {
    Member(ReplicaId, Option<(Session, Replica)>),
    Leader(Option<(ReplicaId, Session, Term)>),
    Document(Arc<Document>),
    Released(Epoch, bool),
    Ready(Epoch, Option<ReplicaId>),
    Fenced(Epoch, bool),
    Entity(EntityId, Option<Cost>),
}

/// What is known of the keys as of one revision.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) revision: usize,
    pub(super) sessions: Sessions,
    pub(super) leader: Option<(ReplicaId, Session, Term)>,
    pub(super) document: Arc<Document>,
    pub(super) stored: usize,
    pub(super) released: BTreeSet<Epoch>,
    pub(super) ready: BTreeMap<Epoch, ReplicaId>,
    pub(super) fenced: BTreeSet<Epoch>,
    pub(super) costs: BTreeMap<EntityId, Cost>,
}

#[derive(Default)]
pub(super) struct Store {
    pub(super) now: Known,
    history: Vec<Change>,
    leases: BTreeMap<Session, u64>,
    acknowledged_by: BTreeMap<Epoch, Session>,
    prepared_by: BTreeMap<Epoch, Session>,
    fenced_by: BTreeMap<Epoch, Session>,
    unfenced: BTreeSet<Epoch>,
    /// Whether it is not compared that who is replaced early is fenced.
    pub(super) is_careless: bool,
    next_session: i64,
}

// === impl Known ===

impl Known {
    /// Follows the history for at most `most` changes.
    pub(super) fn follow(&mut self, store: &Store, most: usize) {
        for change in store.history.iter().skip(self.revision).take(most) {
            self.apply(change);
        }
    }

    fn apply(&mut self, change: &Change) {
        self.revision += 1;
        match change.clone() {
            Change::Member(name, Some(member)) => drop(self.sessions.insert(name, member)),
            Change::Member(name, None) => drop(self.sessions.remove(&name)),
            Change::Leader(leader) => self.leader = leader,
            Change::Document(document) => {
                self.document = document;
                self.stored = self.revision;
            }
            Change::Released(epoch, true) => drop(self.released.insert(epoch)),
            Change::Released(epoch, false) => drop(self.released.remove(&epoch)),
            Change::Ready(epoch, Some(name)) => drop(self.ready.insert(epoch, name)),
            Change::Ready(epoch, None) => drop(self.ready.remove(&epoch)),
            Change::Fenced(epoch, true) => drop(self.fenced.insert(epoch)),
            Change::Fenced(epoch, false) => drop(self.fenced.remove(&epoch)),
            Change::Entity(entity, Some(cost)) => drop(self.costs.insert(entity, cost)),
            Change::Entity(entity, None) => drop(self.costs.remove(&entity)),
        }
    }
}

// === impl Store ===

impl Store {
    pub(super) fn change(&mut self, change: Change) {
        self.now.apply(&change);
        self.history.push(change);
    }

    pub(super) fn grant(&mut self, time: u64) -> Session {
        self.next_session += 1;
        let session = Session(self.next_session);
        self.leases.insert(session, time + LEASE);
        session
    }

    /// Whether the lease is there to be kept.
    pub(super) fn keep_alive(&mut self, session: Session, time: u64) -> bool {
        self.leases.get_mut(&session).map(|end| *end = time + LEASE).is_some()
    }

    pub(super) fn register(&mut self, session: Session, replica: &Replica) -> bool {
        let is_free = self.leases.contains_key(&session) && !self.now.sessions.contains_key(&replica.id);
        if is_free {
            self.change(Change::Member(replica.id.clone(), Some((session, replica.clone()))));
        }
        is_free
    }

    pub(super) fn elect(&mut self, name: &ReplicaId, session: Session) {
        if self.leases.contains_key(&session) && self.now.leader.is_none() {
            let term = Term(self.now.revision as u64 + 1);
            self.change(Change::Leader(Some((name.clone(), session, term))));
        }
    }

    pub(super) fn store(&mut self, term: Term, seen: usize, next: Next) {
        let leads = self.now.leader.as_ref().is_some_and(|(_, _, current)| *current == term);
        let is_fenced = |epoch: Epoch| self.is_careless || self.now.fenced.contains(&epoch);
        let may_replace = next.document.newly_doubted(&self.now.document).all(is_fenced);
        if leads && self.now.stored == seen && may_replace {
            self.change(Change::Document(Arc::new(next.document)));
            // Within one transaction; that others see it after another changes nothing.
            next.costs.into_iter().for_each(|(entity, cost)| self.change(Change::Entity(entity, cost)));
        }
    }

    pub(super) fn acknowledge(&mut self, session: Session, epoch: Epoch) {
        if self.leases.contains_key(&session) {
            self.acknowledged_by.insert(epoch, session);
            self.change(Change::Released(epoch, true));
        }
    }

    pub(super) fn forget(&mut self, epoch: Epoch) {
        if self.acknowledged_by.remove(&epoch).is_some() {
            self.change(Change::Released(epoch, false));
        }
    }

    pub(super) fn prepare(&mut self, session: Session, epoch: Epoch, name: ReplicaId) {
        if self.leases.contains_key(&session) && self.now.ready.get(&epoch) != Some(&name) {
            self.prepared_by.insert(epoch, session);
            self.change(Change::Ready(epoch, Some(name)));
        }
    }

    pub(super) fn fence(&mut self, session: Session, epoch: Epoch, stands: bool) {
        // What was taken back is not told again, however late the request.
        let is_late = stands && self.unfenced.contains(&epoch);
        if !stands {
            self.unfenced.insert(epoch);
        }
        if self.leases.contains_key(&session) && self.now.fenced.contains(&epoch) != stands && !is_late {
            self.fenced_by.insert(epoch, session);
            self.change(Change::Fenced(epoch, stands));
        }
    }

    /// Ends a term.
    pub(super) fn depose(&mut self, term: Term) {
        if self.now.leader.as_ref().is_some_and(|(_, _, current)| *current == term) {
            self.change(Change::Leader(None));
        }
    }

    /// What a replica reports of an entity, if it is still known.
    pub(super) fn report(&mut self, entity: EntityId, cost: Cost) {
        if self.now.costs.get(&entity).is_some_and(|known| *known != cost) {
            self.change(Change::Entity(entity, Some(cost)));
        }
    }

    pub(super) fn revoke(&mut self, session: Session) {
        self.leases.remove(&session);
        let names = self.now.sessions.iter().filter(|(_, (known, _))| *known == session);
        for name in names.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.change(Change::Member(name, None));
        }
        if self.now.leader.as_ref().is_some_and(|(_, known, _)| *known == session) {
            self.change(Change::Leader(None));
        }
        for epoch in self.acknowledged_by.extract_if(.., |_, by| *by == session).map(|(e, _)| e).collect::<Vec<_>>() {
            self.change(Change::Released(epoch, false));
        }
        for epoch in self.prepared_by.extract_if(.., |_, by| *by == session).map(|(e, _)| e).collect::<Vec<_>>() {
            self.change(Change::Ready(epoch, None));
        }
        for epoch in self.fenced_by.extract_if(.., |_, by| *by == session).map(|(e, _)| e).collect::<Vec<_>>() {
            self.change(Change::Fenced(epoch, false));
        }
    }

    pub(super) fn expire(&mut self, time: u64) {
        let over: Vec<Session> = self.leases.iter().filter(|(_, end)| **end <= time).map(|(s, _)| *s).collect();
        over.into_iter().for_each(|session| self.revoke(session));
    }

    /// A new leader among etcd's members gives every lease its full time again.
    pub(super) fn extend_all(&mut self, time: u64) {
        self.leases.values_mut().for_each(|end| *end = time + LEASE);
    }
}
