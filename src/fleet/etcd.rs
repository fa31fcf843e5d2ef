//! The fleet of many: replicas that agree through etcd.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`connection`] | calls to whichever endpoint answers |
//! | [`watcher`], [`view`], [`keys`] | what etcd says of the fleet, followed |
//! | [`session`] | the lease of this replica, kept and taken anew |
//! | [`leader`], [`plan`], [`patience`], [`document`] | election; what is assigned to whom, decided and stored |
//! | [`holder`], [`owner`] | what this replica owns, taken up and let go of |
//! | [`prepare`] | what this replica is to get next, and has prepared for |
//! | [`register`] | what is known, and what it costs |
//! | [`fences`], [`notes`] | whom the clusters themselves refuse, written under the lease |
//!
//! # One owner at a time
//!
//! - An ownership belongs to a session, one stay of a replica under one lease. A
//!   session that is over never comes back.
//! - The replica ends its session by its own clock a margin before etcd can. So
//!   once etcd has let it go, its owner has stopped, and a successor may be
//!   chosen at once.
//! - From a session that lasts, an entity is taken in two steps. The stored
//!   assignment marks it as leaving; its owner stops, waits for its work to end
//!   and says so under its lease, naming the epoch. Only then is it given on,
//!   with a new epoch.
//! - A replica that the others lose sight of ([`Etcd::report_sight`]) is replaced at
//!   once where the cluster itself refuses it after a takeover, as its owner has said
//!   ([`crate::Succession`]). There two may believe to own for as long as a lease, and
//!   one can write.
//! - Only the leader stores, comparing its term and the revision it has read.
//!
//! Every decision is pure ([`plan::plan_document`], [`owner::Owner`]) and holds
//! however late, and however often again, its inputs are seen.
//!
//! # What is lost
//!
//! Nothing is kept here. A replica that crashes comes back as another one; one
//! that cannot reach etcd for as long as its lease holds stops all work and joins
//! anew by itself. Epochs go on from the stored assignment, whoever leads.
//! etcd keeps the history of its keys until it is compacted: run it with
//! `--auto-compaction-retention`.

mod connection;
mod document;
mod fences;
mod holder;
mod inspect;
mod keys;
mod leader;
mod notes;
mod options;
mod owner;
mod patience;
mod plan;
mod prepare;
mod register;
mod session;
mod trouble;
mod view;
mod watcher;

#[cfg(test)]
mod simulation;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

pub use options::{AccessSource, EtcdOptions, EtcdTls, EtcdUser};

use crate::assignment::Assignment;
use crate::directory::{Directory, Location, locate, locate_application, locate_cluster};
use crate::error::Error;
use crate::id::{Cost, EntityId, Replica, ReplicaId, Term};
use crate::lease::{LeaseView, Ownership};
use crate::links::Sight;
use crate::membership::{Leadership, Members, Membership};
use crate::placement::{Coming, Owned, OwnershipEvent, Pins, Placement, PlacementStore, ownership_events, right_to};
use crate::succession::Fenced;
use connection::Connection;
use fences::Fences;
use holder::Holder;
use keys::Keys;
use leader::{Glimpse, Leader};
use notes::Notes;
use plan::Lookout;
use prepare::Preparer;
use register::Register;
use session::{Keeper, Stay};
use watcher::{Published, Watcher};

/// The implementation of every trait of this crate on etcd. Share it in an
/// [`Arc`]. Dropping it stops everything here without telling anybody, as a crash
/// would; [`Membership::leave`] before that spares the others the wait.
pub struct Etcd {
    options: Arc<EtcdOptions>,
    published: Arc<Published>,
    stay: watch::Sender<Option<Stay>>,
    stands: watch::Sender<bool>,
    leading: watch::Sender<Option<Term>>,
    owned: watch::Sender<Arc<Owned>>,
    coming: watch::Sender<Coming>,
    prepared: watch::Sender<BTreeSet<EntityId>>,
    pins: watch::Sender<Arc<Pins>>,
    sight: watch::Sender<Sight>,
    register: Arc<Register>,
    leader: Leader,
    leave: CancellationToken,
    draining: CancellationToken,
    keeper: Mutex<Option<Keeper>>,
    /// The task that keeps the lease, once this replica has joined.
    kept: Mutex<Option<AbortOnDropHandle<()>>>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

// === impl Etcd ===

impl Etcd {
    /// Begins to follow the fleet. The replica becomes a member with
    /// [`Membership::join`], and stands for election then if its options say so.
    /// Needs a tokio runtime.
    ///
    /// # Errors
    /// When the options name no endpoint. An etcd that is away is waited for.
    pub fn start(options: EtcdOptions) -> Result<Self, Error> {
        let options = Arc::new(options);
        let connection = Arc::new(Connection::new(&options)?);
        let keys = Keys::new(&options.prefix);
        let published = Arc::new(Published::new());
        let (stay, owned, leading) = (watch::Sender::default(), watch::Sender::default(), watch::Sender::default());
        let (coming, prepared, pins) = (watch::Sender::default(), watch::Sender::default(), watch::Sender::default());
        let (stands, sight) = (watch::Sender::new(options.stands), watch::Sender::default());
        let (reread, work) = (Arc::new(Notify::new()), TaskTracker::new());
        let (leave, draining) = (CancellationToken::new(), CancellationToken::new());
        let watcher = Watcher {
            connection: connection.clone(),
            keys: keys.clone(),
            published: published.clone(),
            reread: reread.clone(),
        };
        let keeper = Keeper {
            connection: connection.clone(),
            keys: keys.clone(),
            options: options.clone(),
            view: published.view.subscribe(),
            stay: stay.clone(),
            reread,
            work: work.clone(),
            leave: leave.clone(),
            draining: draining.clone(),
        };
        let notes = Notes { connection: connection.clone(), keys: keys.clone(), me: options.me.id.clone() };
        let fenced = Arc::new(Fenced::new());
        let holder = Holder {
            notes: notes.clone(),
            options: options.clone(),
            view: published.view.subscribe(),
            stay: stay.subscribe(),
            owned: owned.clone(),
            fenced: fenced.clone(),
            work,
        };
        let fences = Fences {
            notes: notes.clone(),
            stay: stay.subscribe(),
            view: published.view.subscribe(),
            owned: owned.subscribe(),
            fenced,
        };
        let leader = Leader {
            connection: connection.clone(),
            keys: keys.clone(),
            options: options.clone(),
            view: published.view.subscribe(),
            stay: stay.subscribe(),
            leading: leading.clone(),
            stands: stands.subscribe(),
            pins: pins.subscribe(),
            sight: sight.subscribe(),
            lookout: Lookout::default(),
            glimpse: Glimpse::default(),
        };
        let preparer = Preparer {
            notes,
            view: published.view.subscribe(),
            stay: stay.subscribe(),
            coming: coming.clone(),
            prepared: prepared.subscribe(),
        };
        let register = Arc::new(Register::new(connection, keys, published.costs.subscribe()));
        let tasks = vec![
            AbortOnDropHandle::new(tokio::spawn(watcher.run())),
            AbortOnDropHandle::new(tokio::spawn(holder.run())),
            AbortOnDropHandle::new(tokio::spawn(preparer.run())),
            AbortOnDropHandle::new(tokio::spawn(fences.run())),
            AbortOnDropHandle::new(tokio::spawn(leader.clone().run())),
            AbortOnDropHandle::new(tokio::spawn(register.clone().run(options.cost_interval))),
        ];
        Ok(Self {
            options,
            published,
            stay,
            stands,
            leading,
            owned,
            coming,
            prepared,
            pins,
            sight,
            register,
            leader,
            leave,
            draining,
            keeper: Mutex::new(Some(keeper)),
            kept: Mutex::default(),
            _tasks: tasks,
        })
    }

    /// What is moving at the moment: each entity with the replica that gets it
    /// next, so that it can prepare.
    pub fn moving(&self) -> BTreeMap<EntityId, Option<ReplicaId>> {
        let document = self.published.view.borrow().document.clone();
        let entries = document.iter().flat_map(|document| &document.entries);
        let leaving = entries.filter_map(|(entity, entry)| Some((entity.clone(), entry.leaving.clone()?.next)));
        leaving.collect()
    }

    /// Gives everything to the others one by one, each prepared before it takes over,
    /// and takes nothing any more. Returns when nothing is owned here, or after
    /// `patience`; true says that nothing is. [`Membership::leave`] comes next.
    pub async fn drain(&self, patience: Duration) -> bool {
        self.draining.cancel();
        let mut owned = self.owned.subscribe();
        timeout(patience, owned.wait_for(|owned| owned.is_empty())).await.is_ok()
    }

    /// Says what this replica has lost sight of, as its links to the others tell.
    pub fn report_sight(&self, sight: Sight) {
        self.sight.send_if_modified(|known| std::mem::replace(known, sight.clone()) != sight);
    }

    fn is_member(&self) -> Result<(), Error> {
        if self.stay.borrow().is_some() { Ok(()) } else { Err(Error::NotAMember) }
    }
}

impl Membership for Etcd {
    fn me(&self) -> &Replica {
        &self.options.me
    }

    fn join(&self) -> BoxFuture<'_, Result<LeaseView, Error>> {
        async {
            if self.leave.is_cancelled() {
                return Err(Error::NotAMember);
            }
            if let Some(keeper) = self.keeper.lock().await.take() {
                *self.kept.lock().await = Some(AbortOnDropHandle::new(tokio::spawn(keeper.run())));
            }
            let mut stay = self.stay.subscribe();
            let joined = timeout(self.options.lease, stay.wait_for(Option::is_some)).await;
            let joined = joined.ok().and_then(Result::ok).and_then(|stay| stay.clone());
            joined.map(|stay| stay.lease).ok_or_else(|| Error::Backend {
                operation: "joined",
                source: "etcd gave no lease in time; joining goes on in the background".into(),
            })
        }
        .boxed()
    }

    fn leave(&self) -> BoxFuture<'_, Result<(), Error>> {
        async {
            self.leave.cancel();
            // The task ends here first, then in etcd.
            if let Some(kept) = self.kept.lock().await.take()
                && kept.await.is_err()
            {
                return Err(Error::NotAMember);
            }
            Ok(())
        }
        .boxed()
    }

    fn members(&self) -> watch::Receiver<Members> {
        self.published.members.subscribe()
    }
}

impl Leadership for Etcd {
    fn campaign(&self) -> BoxFuture<'_, Result<Term, Error>> {
        async {
            self.is_member()?;
            self.stands.send_replace(true);
            let mut leading = self.leading.subscribe();
            let term = leading.wait_for(Option::is_some).await.ok().and_then(|term| *term);
            term.ok_or(Error::NotAMember)
        }
        .boxed()
    }

    fn resign(&self) -> BoxFuture<'_, Result<(), Error>> {
        async {
            // Read first: whoever does not stand soon does not lead.
            let term = *self.leading.borrow();
            self.stands.send_replace(false);
            let Some(term) = term else { return Ok(()) };
            self.leader.resign(term).await.map_err(|error| error.while_being("given up"))
        }
        .boxed()
    }

    fn leading(&self) -> watch::Receiver<Option<Term>> {
        self.leading.subscribe()
    }
}

impl Placement for Etcd {
    fn declare(&self, entities: Vec<EntityId>) -> BoxFuture<'_, Result<(), Error>> {
        async move { self.register.declare(&entities).await.map_err(|error| error.while_being("written")) }.boxed()
    }

    fn retire(&self, entities: Vec<EntityId>) -> BoxFuture<'_, Result<(), Error>> {
        async move { self.register.retire(&entities).await.map_err(|error| error.while_being("written")) }.boxed()
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

    fn watch_coming(&self) -> watch::Receiver<Coming> {
        self.coming.subscribe()
    }

    fn report_prepared(&self, entities: BTreeSet<EntityId>) {
        self.prepared.send_if_modified(|known| std::mem::replace(known, entities.clone()) != entities);
    }

    fn pin(&self, pins: Pins) {
        self.pins.send_if_modified(|known| {
            let is_new = **known != pins;
            *known = Arc::new(pins);
            is_new
        });
    }

    fn report_cost(&self, entity: &EntityId, cost: Cost) {
        if self.owned.borrow().contains_key(entity) {
            self.register.report(entity, cost);
        }
    }
}

impl PlacementStore for Etcd {
    fn assignment(&self) -> watch::Receiver<Arc<Assignment>> {
        self.published.assignment.subscribe()
    }

    fn costs(&self) -> watch::Receiver<Arc<BTreeMap<EntityId, Cost>>> {
        self.published.costs.subscribe()
    }

    /// A move from a replica that lives is only begun by it: its owner lets go
    /// first, and the epoch is given then.
    fn store(&self, term: Term, next: Assignment) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            self.is_member()?;
            self.leader.store(term, &next).await
        }
        .boxed()
    }
}

impl Directory for Etcd {
    fn locate(&self, entity: &EntityId) -> Option<Location> {
        locate(entity, &self.options.me.id, &self.published.assignment.borrow(), &self.published.members.borrow())
    }

    fn locate_application(&self, server: &str, application: &str) -> Option<Location> {
        let (assignment, members) = (self.published.assignment.borrow(), self.published.members.borrow());
        locate_application((server, application), &self.options.me.id, &assignment, &members)
    }

    fn locate_cluster(&self, server: &str) -> Option<Location> {
        locate_cluster(
            server,
            &self.options.me.id,
            &self.published.assignment.borrow(),
            &self.published.members.borrow(),
        )
    }
}
