//! The Cluster actor: one per cluster of which this replica owns a slice, or is to
//! get one next.
//!
//! Owns what is known of one cluster: discovery, watches, the live state, and
//! the applier with its budget, bundled as a [`Target`] that passes read from.
//! It accepts a connection, or the news that there is none, from its Credential
//! actor, and wakes the applications that a change concerns.
//!
//! Promises. A target is given out only when the live state has seen every kind
//! once, so nothing is taken for missing that was not listed yet. A change wakes
//! only the applications it concerns, each once per batch. New settings and new
//! credentials are taken over in place.
//!
//! Lost in a crash: everything; it is read again from the cluster.

mod follow;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _,
};
use argosy_cluster::Connection;
use argosy_fleet::{Ownership, Slice};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use target::{Target, TargetState};

use crate::bell::Wake;
use crate::context::Shared;
use crate::credential::Credential;
use argosy_engine::refresh::Level;

/// One cluster.
pub(crate) struct Cluster {
    shared: Arc<Shared>,
    server: Arc<str>,
    /// What it is the owner of; nothing while it prepares.
    slices: BTreeMap<Slice, Ownership>,
    state: watch::Sender<TargetState>,
    credential: Option<Addr<Credential>>,
    /// Ends the tasks that follow the cluster.
    following: CancellationToken,
}

/// The credential works: this is the way to the cluster.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Connected(pub(crate) Connection);

/// There is no way to the cluster, for this reason.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Unreachable(pub(crate) String);

/// The cluster is declared no more.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Undeclared;

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
        Self { shared, server, slices, state, credential: None, following }
    }

    /// How the cluster is doing, now and as it changes.
    pub(crate) fn state(&self) -> watch::Receiver<TargetState> {
        self.state.subscribe()
    }
}

impl Actor for Cluster {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let credential = Credential::new(self.shared.clone(), self.server.clone(), ctx.address());
        self.credential = Some(credential.start());
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.following.cancel();
    }
}

impl Handler<Connected> for Cluster {
    type Result = ();

    fn handle(&mut self, Connected(connection): Connected, ctx: &mut Self::Context) {
        let opening = target::open(self.shared.clone(), self.server.clone(), connection);
        ctx.spawn(opening.into_actor(self).map(|opened, actor, _| match opened {
            Ok(target) => {
                follow::start(actor.shared.clone(), target.clone(), actor.following.clone());
                actor.state.send_replace(TargetState::Ready(target));
                actor.shared.directory.wake_all(Some(&actor.server), Wake::Refresh(Level::Latest));
            }
            Err(reason) => {
                tracing::warn!(server = &*actor.server, reason, "the cluster cannot be read");
                actor.state.send_replace(TargetState::Failed(reason));
                if let Some(credential) = &actor.credential {
                    #[expect(clippy::disallowed_methods, reason = "one per failed connection")]
                    credential.do_send(crate::credential::TryAgain);
                }
            }
        }));
    }
}

impl Handler<Unreachable> for Cluster {
    type Result = ();

    fn handle(&mut self, Unreachable(reason): Unreachable, _: &mut Self::Context) {
        // A target that works goes on working: watches tell when it does not.
        if !matches!(&*self.state.borrow(), TargetState::Ready(_)) {
            self.state.send_replace(TargetState::Failed(reason));
        }
    }
}

impl Handler<Undeclared> for Cluster {
    type Result = ();

    fn handle(&mut self, _: Undeclared, _: &mut Self::Context) {
        // With the last pass that uses it, the target ends, and its watches.
        std::mem::take(&mut self.following).cancel();
        self.state.send_replace(TargetState::Failed("it is declared no more".to_owned()));
    }
}

impl Handler<Gain> for Cluster {
    type Result = ();

    fn handle(&mut self, Gain(slice, ownership): Gain, _: &mut Self::Context) {
        tracing::info!(server = &*self.server, %slice, epoch = %ownership.epoch(), "cluster owned");
        self.slices.insert(slice, ownership);
    }
}

impl Handler<Lose> for Cluster {
    type Result = ();

    fn handle(&mut self, Lose(slice): Lose, _: &mut Self::Context) {
        tracing::info!(server = &*self.server, %slice, "cluster no longer owned");
        self.slices.remove(&slice);
    }
}

impl Handler<Release> for Cluster {
    type Result = ();

    fn handle(&mut self, _: Release, ctx: &mut Self::Context) {
        self.state.send_replace(TargetState::Failed("it belongs to another replica".to_owned()));
        ctx.stop();
    }
}
