//! The Cluster actor: one per cluster slice this replica owns.
//!
//! Owns what is known of one cluster: discovery, watches, the live state, and
//! the applier with its budget, bundled as a [`Target`] that passes read from.
//! It accepts a connection, or the news that there is none, from its Credential
//! actor, and wakes the applications that a change concerns.
//!
//! Promises. When the slice is taken away or the lease runs out, the connection
//! is closed in the same moment, with every request and watch. A target is given out only when the live state has seen every kind
//! once, so nothing is taken for missing that was not listed yet. A change wakes
//! only the applications it concerns, each once per batch. New settings and new
//! credentials are taken over in place.
//!
//! Lost in a crash: everything; it is read again from the cluster.

mod follow;
mod target;

use std::sync::Arc;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _,
};
use argosy_cluster::Connection;
use argosy_fleet::Ownership;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use target::{Target, TargetState};

use crate::bell::Wake;
use crate::context::Shared;
use crate::credential::{Credential, LetGo, Standing};
use argosy_engine::refresh::Level;

/// One cluster.
pub(crate) struct Cluster {
    shared: Arc<Shared>,
    server: Arc<str>,
    ownership: Ownership,
    state: watch::Sender<TargetState>,
    credential: Option<Addr<Credential>>,
    /// Ends the tasks that follow the cluster.
    following: CancellationToken,
}

/// The credential works: this is the way to the cluster.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Connected {
    pub(crate) connection: Connection,
    pub(crate) standing: Arc<Standing>,
}

/// There is no way to the cluster, for this reason.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Unreachable(pub(crate) String);

/// The connection is closed and there is none to come, for this reason.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Ended(pub(crate) String);

/// The slice belongs to another replica, or to nobody.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Release;

// === impl Cluster ===

impl Cluster {
    pub(crate) fn new(shared: Arc<Shared>, server: Arc<str>, ownership: Ownership) -> Self {
        let state = watch::Sender::new(TargetState::Connecting);
        Self { shared, server, ownership, state, credential: None, following: CancellationToken::new() }
    }

    /// How the cluster is doing, now and as it changes.
    pub(crate) fn state(&self) -> watch::Receiver<TargetState> {
        self.state.subscribe()
    }
}

impl Actor for Cluster {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        tracing::info!(server = &*self.server, epoch = %self.ownership.epoch(), "cluster owned");
        let credential = Credential::new(self.shared.clone(), self.server.clone(), &self.ownership, ctx.address());
        self.credential = Some(credential.start());
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.following.cancel();
    }
}

impl Handler<Connected> for Cluster {
    type Result = ();

    fn handle(&mut self, Connected { connection, standing }: Connected, ctx: &mut Self::Context) {
        tokio::spawn(close_when_lost(self.ownership.clone(), connection.clone()));
        let opening = target::open(self.shared.clone(), self.server.clone(), connection.clone(), standing);
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
                if let Some(credential) = &actor.credential {
                    #[expect(clippy::disallowed_methods, reason = "one per failed connection")]
                    credential.do_send(crate::credential::TryAgain);
                }
            }
        }));
    }
}

/// The owner's stop: no request leaves after the right to it is gone, however
/// busy the actors are.
async fn close_when_lost(right: Ownership, connection: Connection) {
    tokio::select! {
        () = right.revoked() => connection.close(),
        () = connection.closed() => {}
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

impl Handler<Ended> for Cluster {
    type Result = ();

    fn handle(&mut self, Ended(reason): Ended, _: &mut Self::Context) {
        std::mem::take(&mut self.following).cancel();
        self.state.send_replace(TargetState::Failed(reason));
    }
}

impl Handler<Release> for Cluster {
    type Result = ();

    fn handle(&mut self, _: Release, ctx: &mut Self::Context) {
        self.state.send_replace(TargetState::Failed("it belongs to another replica".to_owned()));
        if let Some(credential) = self.credential.take() {
            #[expect(clippy::disallowed_methods, reason = "one per slice that is lost")]
            credential.do_send(LetGo);
        }
        ctx.stop();
    }
}
