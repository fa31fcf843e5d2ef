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
//! Promises. When a slice is taken away or the lease runs out, the connection its
//! changes are made through is closed in the same moment, with every request.
//! A target is given out only when the live state has seen every kind
//! once, so nothing is taken for missing that was not listed yet. A change wakes
//! only the applications it concerns, each once per batch. New settings and new
//! credentials are taken over in place.
//!
//! Lost in a crash: everything; it is read again from the cluster.

mod follow;
mod target;
mod writers;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _,
};
use argosy_cluster::Connection;
use argosy_fleet::{Epoch, Ownership, Slice};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use target::{Target, TargetState};
pub(crate) use writers::{Writer, Writers};

use crate::bell::Wake;
use crate::context::Shared;
use crate::credential::{Credential, LetGo, Standing};
use argosy_engine::refresh::Level;

/// One cluster.
pub(crate) struct Cluster {
    shared: Arc<Shared>,
    server: Arc<str>,
    /// What it is the owner of; nothing while it prepares.
    slices: BTreeMap<Slice, Held>,
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

/// Nothing of it is needed here.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Release;

// === impl Cluster ===

impl Cluster {
    pub(crate) fn new(shared: Arc<Shared>, server: Arc<str>) -> Self {
        let state = watch::Sender::new(TargetState::Connecting);
        let (slices, following) = (BTreeMap::new(), CancellationToken::new());
        Self { shared, server, slices, state, writers: Arc::default(), reader: None, following }
    }

    /// How the cluster is doing, now and as it changes.
    pub(crate) fn state(&self) -> watch::Receiver<TargetState> {
        self.state.subscribe()
    }

    fn on_reader(&mut self, connection: Connection, ctx: &mut Context<Self>) {
        let writers = self.writers.clone();
        let opening = target::open(self.shared.clone(), self.server.clone(), connection.clone(), writers);
        ctx.spawn(opening.into_actor(self).map(move |opened, actor, _| match opened {
            // Whoever closed it has told why.
            _ if connection.is_closed() => {}
            Ok(target) => {
                follow::start(actor.shared.clone(), target.clone(), actor.following.clone());
                actor.state.send_replace(TargetState::Ready(target));
                actor.shared.directory.wake_all(Some(&actor.server), Wake::Refresh(Level::Latest));
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
            self.shared.directory.wake_all(Some(&self.server), Wake::Refresh(Level::Latest));
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

    fn handle(&mut self, Ended(epoch, reason): Ended, _: &mut Self::Context) {
        match epoch {
            Some(epoch) => {
                self.writers.set(epoch, Err(reason));
            }
            None => {
                std::mem::take(&mut self.following).cancel();
                self.state.send_replace(TargetState::Failed(reason));
            }
        }
    }
}

impl Handler<Gain> for Cluster {
    type Result = ();

    fn handle(&mut self, Gain(slice, ownership): Gain, ctx: &mut Self::Context) {
        tracing::info!(server = &*self.server, %slice, epoch = %ownership.epoch(), "cluster owned");
        let owning = Credential::owning(self.shared.clone(), self.server.clone(), (slice, &ownership), ctx.address());
        self.slices.insert(slice, Held { ownership, credential: owning.start() });
    }
}

impl Handler<Lose> for Cluster {
    type Result = ();

    fn handle(&mut self, Lose(slice): Lose, _: &mut Self::Context) {
        let Some(Held { ownership, credential }) = self.slices.remove(&slice) else { return };
        tracing::info!(server = &*self.server, %slice, "cluster no longer owned");
        self.writers.remove(ownership.epoch());
        #[expect(clippy::disallowed_methods, reason = "one per slice that is lost")]
        credential.do_send(LetGo);
    }
}

impl Handler<Release> for Cluster {
    type Result = ();

    fn handle(&mut self, _: Release, ctx: &mut Self::Context) {
        self.state.send_replace(TargetState::Failed("it belongs to another replica".to_owned()));
        let held = std::mem::take(&mut self.slices).into_values().map(|held| held.credential);
        for credential in held.chain(self.reader.take()) {
            #[expect(clippy::disallowed_methods, reason = "one per slice of a cluster that is let go")]
            credential.do_send(LetGo);
        }
        ctx.stop();
    }
}
