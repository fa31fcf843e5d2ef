//! What the cluster tells through its answers: that it does not know the owner's
//! credential, and that it forbids a subject of the owner's own to write.

use std::time::Duration;

use actix::fut::{ActorFutureExt as _, ActorStreamExt as _, wrap_stream};
use actix::{AsyncContext as _, Context, WrapFuture as _};
use argosy_cluster::Connection;
use argosy_model::FenceKind;
use tokio_stream::wrappers::WatchStream;

use super::{Credential, cancel, rotation};

impl Credential {
    /// Listens for refusals exactly while there is a credential of our own, for
    /// requests that are refused wait for another as long as somebody listens; and
    /// for forbidden writes while there is a subject of our own.
    pub(super) fn listen(&mut self, connection: &Connection, ctx: &mut Context<Self>) {
        let grant = self.held.as_ref().and_then(|held| held.grant.as_ref()).map(|grant| grant.kind);
        if grant.is_none() {
            cancel(&mut self.refusals, ctx);
        } else if self.refusals.is_none() {
            let refusals = wrap_stream::<_, Self>(WatchStream::from_changes(connection.refusals()));
            let hearing = refusals.map(|generation, actor, ctx| actor.on_refused(generation, ctx));
            self.refusals = Some(ctx.spawn(hearing.finish()));
        }
        if grant != Some(FenceKind::Binding) {
            cancel(&mut self.doubts, ctx);
        } else if self.doubts.is_none() {
            let doubts = wrap_stream::<_, Self>(WatchStream::from_changes(connection.doubts()));
            let hearing = doubts.then(|number, actor, _| {
                let (place, held) = (actor.place.clone(), actor.held.clone());
                let looked = async move {
                    match held {
                        Some(held) => place.stands(held).await,
                        None => true,
                    }
                };
                looked.into_actor(actor).map(move |stands, actor, ctx| actor.on_doubt(number, stands, ctx))
            });
            self.doubts = Some(ctx.spawn(hearing.finish()));
        }
    }

    pub(super) fn stop_listening(&mut self, ctx: &mut Context<Self>) {
        cancel(&mut self.refusals, ctx);
        cancel(&mut self.doubts, ctx);
    }

    /// Writes were forbidden, the last of them with this number.
    fn on_doubt(&mut self, number: u64, stands: bool, ctx: &mut Context<Self>) {
        match &self.connection {
            Some(connection) if stands => connection.clear(number),
            // Finds out who has taken over, and closes the connection.
            Some(_) => self.renew(ctx),
            None => {}
        }
    }

    /// The cluster does not know the bearer of this generation's credential.
    fn on_refused(&mut self, generation: Option<u64>, ctx: &mut Context<Self>) {
        let is_current = self.connection.as_ref().is_some_and(|c| Some(*c.generation().borrow()) == generation);
        if !is_current || self.attempt.is_some() {
            return;
        }
        self.count("refused");
        tracing::warn!(server = &*self.place.server, "the cluster refuses the credential in use");
        let age = self.since.map_or(Duration::MAX, |since| since.elapsed());
        self.cancel_next(ctx);
        self.next = Some(ctx.run_later(rotation::plan_replacement(age), |actor, ctx| {
            actor.next = None;
            actor.renew(ctx);
        }));
    }
}
