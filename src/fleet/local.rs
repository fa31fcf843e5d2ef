//! The fleet of one: a single replica that owns everything.
//!
//! The same traits, events, epochs and guards as with many replicas, without a
//! store: there is nobody to agree with. It always leads, its lease has no end,
//! and what is declared is its own at once. Nothing is remembered: whoever
//! starts it again gives it an epoch above all it has used.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use futures::stream::BoxStream;
use tokio::sync::watch;

use crate::assignment::{Assignment, assign_entities};
use crate::directory::{Directory, Location, locate, locate_application, locate_cluster};
use crate::error::Error;
use crate::id::{Cost, EntityId, Epoch, Replica, Term};
use crate::lease::{Lease, LeaseState, LeaseView, Ownership};
use crate::membership::{Leadership, Members, Membership};
use crate::placement::{Coming, Owned, OwnershipEvent, Pins, Placement, PlacementStore, ownership_events, right_to};

/// The one term there is.
const TERM: Term = Term(1);

/// The in-process implementation of every trait of this crate. Share it in an
/// [`Arc`].
#[derive(Debug)]
pub struct Local {
    me: Replica,
    lease: Lease,
    members: watch::Sender<Members>,
    leading: watch::Sender<Option<Term>>,
    costs: watch::Sender<Arc<BTreeMap<EntityId, Cost>>>,
    assignment: watch::Sender<Arc<Assignment>>,
    owned: watch::Sender<Arc<Owned>>,
    coming: watch::Sender<Coming>,
    /// Held while what is known, assigned and owned change together; says
    /// whether the replica is still a member.
    member: Mutex<bool>,
}

// === impl Local ===

impl Local {
    /// A fleet of this replica, whose first epoch is `first`.
    pub fn new(me: Replica, first: Epoch) -> Self {
        let members = Arc::new(BTreeMap::from([(me.id.clone(), me.clone())]));
        Self {
            lease: Lease::new(LeaseState::Unlimited),
            members: watch::Sender::new(members),
            leading: watch::Sender::new(Some(TERM)),
            costs: watch::Sender::new(Arc::default()),
            assignment: watch::Sender::new(Arc::new(Assignment::starting_at(first))),
            owned: watch::Sender::new(Arc::default()),
            coming: watch::Sender::default(),
            member: Mutex::new(true),
            me,
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known; `change` says whether it did.
    fn know(&self, change: impl FnOnce(&mut BTreeMap<EntityId, Cost>) -> bool) -> Result<(), Error> {
        let member = self.lock();
        if !*member {
            return Err(Error::NotAMember);
        }
        let mut costs = BTreeMap::clone(&self.costs.borrow());
        if !change(&mut costs) {
            return Ok(());
        }
        let next = assign_entities(&self.assignment.borrow(), std::slice::from_ref(&self.me), &costs);
        self.costs.send_replace(Arc::new(costs));
        self.put_in_force(next);
        Ok(())
    }

    /// Call with the lock held. Owners are revoked before anyone can learn of
    /// the new assignment.
    fn put_in_force(&self, next: Assignment) {
        let mut owned = BTreeMap::clone(&self.owned.borrow());
        owned.retain(|entity, ownership| {
            let stays = next.get(entity).is_some_and(|p| p.replica == self.me.id && p.epoch == ownership.epoch());
            if !stays {
                ownership.revoke();
            }
            stays
        });
        for (entity, placed) in next.iter().filter(|(_, placed)| placed.replica == self.me.id) {
            if let btree_map::Entry::Vacant(vacant) = owned.entry(entity.clone()) {
                vacant.insert(Ownership::new(entity.clone(), placed.epoch, self.lease.view()));
            }
        }
        self.assignment.send_replace(Arc::new(next));
        self.owned.send_replace(Arc::new(owned));
    }
}

impl Membership for Local {
    fn me(&self) -> &Replica {
        &self.me
    }

    fn join(&self) -> BoxFuture<'_, Result<LeaseView, Error>> {
        let member = *self.lock();
        ready(if member { Ok(self.lease.view()) } else { Err(Error::NotAMember) }).boxed()
    }

    fn leave(&self) -> BoxFuture<'_, Result<(), Error>> {
        let mut member = self.lock();
        if std::mem::replace(&mut *member, false) {
            self.lease.end();
            let next_epoch = self.assignment.borrow().next_epoch();
            self.put_in_force(Assignment::starting_at(next_epoch));
            self.leading.send_replace(None);
            self.members.send_replace(Arc::default());
        }
        ready(Ok(())).boxed()
    }

    fn members(&self) -> watch::Receiver<Members> {
        self.members.subscribe()
    }
}

impl Leadership for Local {
    fn campaign(&self) -> BoxFuture<'_, Result<Term, Error>> {
        let member = self.lock();
        if *member {
            self.leading.send_replace(Some(TERM));
            ready(Ok(TERM)).boxed()
        } else {
            ready(Err(Error::NotAMember)).boxed()
        }
    }

    fn resign(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.leading.send_replace(None);
        ready(Ok(())).boxed()
    }

    fn leading(&self) -> watch::Receiver<Option<Term>> {
        self.leading.subscribe()
    }
}

impl Placement for Local {
    fn declare(&self, entities: Vec<EntityId>) -> BoxFuture<'_, Result<(), Error>> {
        let result = self.know(|costs| {
            let before = costs.len();
            entities.into_iter().for_each(|entity| {
                costs.entry(entity).or_default();
            });
            costs.len() > before
        });
        ready(result).boxed()
    }

    fn retire(&self, entities: Vec<EntityId>) -> BoxFuture<'_, Result<(), Error>> {
        let result = self.know(|costs| {
            let before = costs.len();
            entities.iter().for_each(|entity| {
                costs.remove(entity);
            });
            costs.len() < before
        });
        ready(result).boxed()
    }

    fn watch_owned(&self) -> BoxStream<'static, OwnershipEvent> {
        ownership_events(self.owned.subscribe())
    }

    fn ownership(&self, entity: &EntityId) -> Option<Ownership> {
        self.owned.borrow().get(entity).cloned()
    }

    fn right_to(&self, server: &str, application: &str) -> Option<Ownership> {
        right_to(&self.owned.borrow(), server, application)
    }

    /// Nothing comes from anybody else.
    fn watch_coming(&self) -> watch::Receiver<Coming> {
        self.coming.subscribe()
    }

    fn report_prepared(&self, _: BTreeSet<EntityId>) {}

    /// There is one replica, whatever shard it stands for.
    fn pin(&self, _: Pins) {}

    fn report_cost(&self, entity: &EntityId, cost: Cost) {
        let _member = self.lock();
        self.costs.send_if_modified(|costs| match costs.get(entity) {
            Some(known) if *known != cost => {
                Arc::make_mut(costs).insert(entity.clone(), cost);
                true
            }
            _ => false,
        });
    }
}

impl PlacementStore for Local {
    fn assignment(&self) -> watch::Receiver<Arc<Assignment>> {
        self.assignment.subscribe()
    }

    fn costs(&self) -> watch::Receiver<Arc<BTreeMap<EntityId, Cost>>> {
        self.costs.subscribe()
    }

    fn store(&self, term: Term, next: Assignment) -> BoxFuture<'_, Result<(), Error>> {
        let member = self.lock();
        let result = if !*member {
            Err(Error::NotAMember)
        } else if term != TERM {
            Err(Error::StaleTerm { given: term, current: TERM })
        } else {
            let follows = next.check_follows(&self.assignment.borrow());
            follows.map(|()| self.put_in_force(next))
        };
        ready(result).boxed()
    }
}

impl Directory for Local {
    fn locate(&self, entity: &EntityId) -> Option<Location> {
        locate(entity, &self.me.id, &self.assignment.borrow(), &self.members.borrow())
    }

    fn locate_application(&self, server: &str, application: &str) -> Option<Location> {
        let (assignment, members) = (self.assignment.borrow(), self.members.borrow());
        locate_application((server, application), &self.me.id, &assignment, &members)
    }

    fn locate_cluster(&self, server: &str) -> Option<Location> {
        locate_cluster(server, &self.me.id, &self.assignment.borrow(), &self.members.borrow())
    }
}
