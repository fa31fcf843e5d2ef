//! The Cluster actor: one per cluster of which this replica owns a slice, or is to
//! get one next.
//!
//! Owns what is known of one cluster: discovery, watches and the live state, read
//! with the declared credential and bundled as a [`Target`] that passes read from;
//! and for each slice owned the connection its changes are made through
//! ([`Writers`]), with a credential of that ownership's own. It accepts
//! connections, or the news that there is none, from its Credential actors, and
//! wakes the applications that a change concerns.
//!
//! What it keeps whole of the cluster is what the applications of its slices own, of
//! those it has and those that come ([`interest::Interest`]); of a slice that went, for
//! [`LINGER`].
//!
//! Promises. When a slice is taken away or the lease runs out, the connection its
//! changes are made through is closed in the same moment, with every request.
//! A target is given out only when the live state has seen every kind once, so
//! nothing is taken for missing that was not listed yet; but for kinds that go on
//! failing, of which nothing is decided. A change wakes
//! only the applications it concerns, each once per batch. New settings and new
//! credentials are taken over in place.
//!
//! Lost in a crash: everything; it is read again from the cluster.

mod follow;
mod interest;
mod target;
mod writers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, SpawnHandle,
    WrapFuture as _,
};
use argosy_cluster::Connection;
use argosy_fleet::{Epoch, Ownership, Slice};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use target::{Target, TargetState};
pub(crate) use writers::{Writer, Writers};

use crate::bell::Wake;
use crate::context::Shared;
use crate::credential::{Credential, LetGo, Scout, Standing};
use argosy_engine::refresh::Level;
use interest::Interest;

/// How long a cluster is kept current after its last slice has gone, and what was kept
/// whole for a slice: it may be split into others, some of which come back.
pub(crate) const LINGER: Duration = Duration::from_secs(30);

/// One cluster.
pub(crate) struct Cluster {
    shared: Arc<Shared>,
    server: Arc<str>,
    /// What it is the owner of; nothing while it prepares.
    slices: BTreeMap<Slice, Held>,
    /// What is to be its own next.
    coming: BTreeSet<Slice>,
    /// What its owner will want to know of the cluster then.
    scouts: BTreeMap<Slice, Scout>,
    /// What was a moment ago, each with the end of that.
    lingering: BTreeMap<Slice, SpawnHandle>,
    interest: Arc<Interest>,
    /// The slices of which everything that is wanted is there.
    prepared: watch::Sender<BTreeSet<Slice>>,
    /// Waits until it is.
    gathering: Option<SpawnHandle>,
    state: watch::Sender<TargetState>,
    writers: Arc<Writers>,
    /// The way in to read.
    reader: Option<Addr<Credential>>,
    /// Ends the tasks that follow the cluster.
    following: CancellationToken,
}

struct Held {
    ownership: Ownership,
    credential: Addr<Credential>,
}

/// The credential works: this is the way to the cluster, to read or for an epoch.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Connected {
    pub(crate) epoch: Option<Epoch>,
    pub(crate) connection: Connection,
    pub(crate) standing: Arc<Standing>,
}

/// There is no way to the cluster, for this reason.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Unreachable(pub(crate) Option<Epoch>, pub(crate) String);

/// The connection is closed and there is none to come, for this reason.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Ended(pub(crate) Option<Epoch>, pub(crate) String);

/// A slice of it is this replica's.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Gain(pub(crate) Slice, pub(crate) Ownership);

/// A slice belongs to another replica, or to nobody.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Lose(pub(crate) Slice);

/// These slices of it are this replica's next.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Expect(pub(crate) BTreeSet<Slice>);

/// Nothing of it is needed here.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Release;

// === impl Cluster ===

impl Cluster {
    pub(crate) fn new(shared: Arc<Shared>, server: Arc<str>) -> Self {
        let state = watch::Sender::new(TargetState::Connecting);
        let interest = Arc::new(Interest::new(&shared.options.namespace));
        Self {
            shared,
            server,
            slices: BTreeMap::new(),
            coming: BTreeSet::new(),
            scouts: BTreeMap::new(),
            lingering: BTreeMap::new(),
            interest,
            prepared: watch::Sender::default(),
            gathering: None,
            state,
            writers: Arc::default(),
            reader: None,
            following: CancellationToken::new(),
        }
    }

    /// How the cluster is doing, now and as it changes.
    pub(crate) fn state(&self) -> watch::Receiver<TargetState> {
        self.state.subscribe()
    }

    /// The slices of it that could be taken over at any moment, now and as that changes.
    pub(crate) fn prepared(&self) -> watch::Receiver<BTreeSet<Slice>> {
        self.prepared.subscribe()
    }

    /// Wants what the slices need that there are now.
    fn rethink(&mut self, ctx: &mut Context<Self>) {
        let slices: BTreeSet<Slice> =
            self.slices.keys().chain(&self.coming).chain(self.lingering.keys()).copied().collect();
        // Where nothing is left, all of it is about to be released.
        if slices.is_empty() || !self.interest.set(&slices) {
            return;
        }
        self.prepared.send_modify(|prepared| prepared.retain(|slice| slices.contains(slice)));
        let state = self.state.borrow().clone();
        if let TargetState::Ready(target) = state {
            self.gather(&target, ctx);
        }
    }

    /// Lets go of what is not wanted, and gets what is.
    fn gather(&mut self, target: &Target, ctx: &mut Context<Self>) {
        self.interest.apply(&target.live, &self.shared.directory);
        let live = target.live.clone();
        let complete = async move { live.complete().await };
        let waiting = ctx.spawn(complete.into_actor(self).map(|(), actor, _| {
            actor.gathering = None;
            actor.scout();
            actor.prepared.send_replace(actor.interest.slices());
        }));
        self.gathering.replace(waiting).map(|before| ctx.cancel_future(before));
    }

    /// Looks ahead for what comes, unless that was done a moment ago.
    fn scout(&mut self) {
        let coming = &self.coming;
        self.scouts.retain(|slice, scout| coming.contains(slice) && !scout.is_aging());
        for slice in coming {
            let start = || Scout::start(self.shared.clone(), self.server.clone());
            self.scouts.entry(*slice).or_insert_with(start);
        }
    }

    /// A slice is neither had nor to come any more.
    fn linger(&mut self, slice: Slice, ctx: &mut Context<Self>) {
        let end = ctx.run_later(LINGER, move |actor, ctx| {
            actor.lingering.remove(&slice);
            actor.rethink(ctx);
            if actor.lingering.is_empty() {
                actor.shared.directory.wake_strangers(&actor.server);
            }
        });
        self.lingering.insert(slice, end).map(|before| ctx.cancel_future(before));
    }

    fn on_reader(&mut self, connection: Connection, ctx: &mut Context<Self>) {
        let (writers, interest) = (self.writers.clone(), self.interest.clone());
        let settings = self.shared.home.settings();
        let opening = target::open(
            (self.shared.clone(), settings.clone()),
            self.server.clone(),
            connection.clone(),
            writers,
            interest,
        );
        ctx.spawn(opening.into_actor(self).map(move |opened, actor, ctx| match opened {
            // Whoever closed it has told why.
            _ if connection.is_closed() => {}
            Ok(target) => {
                follow::start(actor.shared.clone(), target.clone(), settings, actor.following.clone());
                actor.gather(&target, ctx);
                actor.state.send_replace(TargetState::Ready(target));
                actor.shared.directory.wake_all(Some(&actor.server), Wake::Round(Level::Latest));
            }
            Err(reason) => {
                tracing::warn!(server = &*actor.server, reason, "the cluster cannot be read");
                actor.state.send_replace(TargetState::Failed(reason));
                if let Some(reader) = &actor.reader {
                    #[expect(clippy::disallowed_methods, reason = "one per failed connection")]
                    reader.do_send(crate::credential::TryAgain);
                }
            }
        }));
    }

    fn on_writer(&self, epoch: Epoch, connection: Connection, standing: Arc<Standing>) {
        let held = self.slices.values().find(|held| held.ownership.epoch() == epoch);
        // It was lost meanwhile, and its credential has been told.
        let Some(held) = held else { return connection.close() };
        tokio::spawn(close_when_lost(held.ownership.clone(), connection.clone()));
        if self.writers.set(epoch, Ok(Writer { connection, standing })) {
            self.shared.directory.wake_all(Some(&self.server), Wake::Round(Level::Latest));
        }
    }
}

impl Actor for Cluster {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let reader = Credential::reading(self.shared.clone(), self.server.clone(), ctx.address());
        self.reader = Some(reader.start());
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.following.cancel();
    }
}

impl Handler<Connected> for Cluster {
    type Result = ();

    fn handle(&mut self, Connected { epoch, connection, standing }: Connected, ctx: &mut Self::Context) {
        match epoch {
            None => self.on_reader(connection, ctx),
            Some(epoch) => self.on_writer(epoch, connection, standing),
        }
    }
}

/// The owner's stop: no request leaves after the right to it is gone, however
/// busy the actors are.
async fn close_when_lost(right: Ownership, connection: Connection) {
    let revoked = right.revoked();
    tokio::select! {
        () = revoked => connection.close(),
        () = connection.closed() => {}
    }
}

impl Handler<Unreachable> for Cluster {
    type Result = ();

    fn handle(&mut self, Unreachable(epoch, reason): Unreachable, _: &mut Self::Context) {
        match epoch {
            Some(epoch) => self.writers.fail(epoch, reason),
            // A target that works goes on working: watches tell when it does not.
            None if matches!(&*self.state.borrow(), TargetState::Ready(_)) => {}
            None => drop(self.state.send_replace(TargetState::Failed(reason))),
        }
    }
}

impl Handler<Ended> for Cluster {
    type Result = ();

    fn handle(&mut self, Ended(epoch, reason): Ended, ctx: &mut Self::Context) {
        match epoch {
            // One that was let go of is forgotten.
            Some(epoch) if self.slices.values().any(|held| held.ownership.epoch() == epoch) => {
                self.writers.set(epoch, Err(reason));
            }
            Some(_) => {}
            None => {
                std::mem::take(&mut self.following).cancel();
                self.gathering.take().map(|waiting| ctx.cancel_future(waiting));
                self.prepared.send_replace(BTreeSet::new());
                self.state.send_replace(TargetState::Failed(reason));
            }
        }
    }
}

impl Handler<Gain> for Cluster {
    type Result = ();

    fn handle(&mut self, Gain(slice, ownership): Gain, ctx: &mut Self::Context) {
        tracing::info!(server = &*self.server, %slice, epoch = %ownership.epoch(), "cluster owned");
        let (shared, server, scout) = (self.shared.clone(), self.server.clone(), self.scouts.remove(&slice));
        let owning = Credential::owning(shared, server, (slice, &ownership), scout, ctx.address());
        self.slices.insert(slice, Held { ownership, credential: owning.start() });
        self.coming.remove(&slice);
        self.lingering.remove(&slice).map(|end| ctx.cancel_future(end));
        self.rethink(ctx);
    }
}

impl Handler<Lose> for Cluster {
    type Result = ();

    fn handle(&mut self, Lose(slice): Lose, ctx: &mut Self::Context) {
        let Some(Held { ownership, credential }) = self.slices.remove(&slice) else { return };
        tracing::info!(server = &*self.server, %slice, "cluster no longer owned");
        self.writers.remove(ownership.epoch());
        self.linger(slice, ctx);
        #[expect(clippy::disallowed_methods, reason = "one per slice that is lost")]
        credential.do_send(LetGo);
    }
}

impl Handler<Expect> for Cluster {
    type Result = ();

    fn handle(&mut self, Expect(coming): Expect, ctx: &mut Self::Context) {
        let before = std::mem::replace(&mut self.coming, coming);
        for slice in before {
            if !self.coming.contains(&slice) && !self.slices.contains_key(&slice) {
                self.linger(slice, ctx);
            }
        }
        self.scout();
        self.rethink(ctx);
    }
}

impl Handler<Release> for Cluster {
    type Result = ();

    fn handle(&mut self, _: Release, ctx: &mut Self::Context) {
        self.state.send_replace(TargetState::Failed("it belongs to another replica".to_owned()));
        // What lingers is forgotten with the actor, before its own end.
        self.shared.directory.wake_strangers(&self.server);
        let held = std::mem::take(&mut self.slices).into_values().map(|held| held.credential);
        for credential in held.chain(self.reader.take()) {
            #[expect(clippy::disallowed_methods, reason = "one per slice of a cluster that is let go")]
            credential.do_send(LetGo);
        }
        ctx.stop();
    }
}
