//! The Credential actor: one per cluster slice, beside its Cluster actor.
//!
//! Owns the way into one cluster: loads the declaration, proves it against the
//! cluster, hands over the connection, and follows the declaration as it
//! changes. A new credential is proven before the old one is let go; one that
//! does not work leaves the old one in place and is reported. A cluster that is
//! declared no more is let go at once.
//!
//! Lost in a crash: nothing. The declaration is in the home cluster.

mod declaration;

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, SpawnHandle, WrapFuture as _,
};
use argosy_cluster::{Budget, BudgetConfig, Connection};
use futures::StreamExt as _;

use crate::cluster::{Cluster, Connected, Undeclared, Unreachable};
use crate::context::Shared;

/// First and longest wait between attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// See the module's page.
pub(crate) struct Credential {
    shared: Arc<Shared>,
    server: Arc<str>,
    cluster: Addr<Cluster>,
    connection: Option<Connection>,
    /// The declaration in use, to tell whether another one says something new.
    version: Option<String>,
    failures: u32,
    working: bool,
    changed: bool,
    /// The next attempt, while the last one failed.
    retry: Option<SpawnHandle>,
}

/// The connection did not carry; make another.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct TryAgain;

/// Declarations of clusters have changed, perhaps this one.
#[derive(Message)]
#[rtype(result = "()")]
struct Redeclared;

// === impl Credential ===

impl Credential {
    pub(crate) fn new(shared: Arc<Shared>, server: Arc<str>, cluster: Addr<Cluster>) -> Self {
        Self {
            shared,
            server,
            cluster,
            connection: None,
            version: None,
            failures: 0,
            working: false,
            changed: false,
            retry: None,
        }
    }

    /// Loads, proves and hands over. One attempt at a time.
    fn renew(&mut self, ctx: &mut Context<Self>) {
        if self.working {
            self.changed = true;
            return;
        }
        if let Some(retry) = self.retry.take() {
            ctx.cancel_future(retry);
        }
        let declared = match declaration::load(&self.shared, &self.server) {
            Ok(Some(declared)) => declared,
            Ok(None) => return self.on_undeclared(),
            Err(reason) => return self.on_failure(reason, ctx),
        };
        if self.connection.is_some() && self.version.as_ref() == Some(&declared.version) {
            return;
        }
        self.working = true;
        let (current, seed) = (self.connection.clone(), self.shared.random());
        let attempt = async move {
            let connection = match current {
                Some(connection) => {
                    connection.swap(&declared.config).await?;
                    connection
                }
                None => {
                    let connection = Connection::connect(&declared.config, Budget::new(budget()), seed).await?;
                    connection.server_version().await?;
                    connection
                }
            };
            Ok::<_, argosy_cluster::Error>((connection, declared.version))
        };
        ctx.spawn(attempt.into_actor(self).map(|proven, actor, ctx| {
            actor.working = false;
            match proven {
                Ok((connection, version)) => actor.on_proven(connection, version),
                Err(error) => actor.on_failure(argosy_render::report(&error), ctx),
            }
            if std::mem::take(&mut actor.changed) {
                actor.renew(ctx);
            }
        }));
    }

    fn on_proven(&mut self, connection: Connection, version: String) {
        self.failures = 0;
        self.version = Some(version);
        if self.connection.is_some() {
            tracing::info!(server = &*self.server, "the cluster's new credential is in use");
            return;
        }
        self.connection = Some(connection.clone());
        #[expect(clippy::disallowed_methods, reason = "one per connection made")]
        self.cluster.do_send(Connected(connection));
    }

    /// Nothing is left to do until it is declared again.
    fn on_undeclared(&mut self) {
        if self.version.take().is_some() || self.connection.take().is_some() {
            tracing::info!(server = &*self.server, "the cluster is declared no more");
        }
        self.connection = None;
        self.failures = 0;
        #[expect(clippy::disallowed_methods, reason = "one per change of the declared clusters")]
        self.cluster.do_send(Undeclared);
    }

    fn on_failure(&mut self, reason: String, ctx: &mut Context<Self>) {
        self.failures = self.failures.saturating_add(1);
        tracing::warn!(server = &*self.server, attempt = self.failures, reason, "no connection to the cluster");
        #[expect(clippy::disallowed_methods, reason = "one per attempt, and attempts are spaced out")]
        self.cluster.do_send(Unreachable(reason));
        let wait = BACKOFF.0.saturating_mul(1 << self.failures.min(7)).min(BACKOFF.1);
        if let Some(retry) = self.retry.take() {
            ctx.cancel_future(retry);
        }
        let wait = self.shared.jitter(wait, wait / 2);
        self.retry = Some(ctx.run_later(wait, |actor, ctx| {
            actor.retry = None;
            actor.renew(ctx);
        }));
    }
}

/// Requests a second are bounded high: fairness among clients is the API
/// server's, and what it cannot take it answers with 429, which is honoured.
fn budget() -> BudgetConfig {
    BudgetConfig { qps: 1000.0, burst: 1000.0, in_flight: 128 }
}

impl Actor for Credential {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let changes = tokio_stream::wrappers::WatchStream::from_changes(self.shared.home.clusters_changes());
        ctx.add_message_stream(changes.map(|_| Redeclared));
        self.renew(ctx);
    }
}

impl Handler<Redeclared> for Credential {
    type Result = ();

    fn handle(&mut self, _: Redeclared, ctx: &mut Self::Context) {
        self.renew(ctx);
    }
}

impl Handler<TryAgain> for Credential {
    type Result = ();

    fn handle(&mut self, _: TryAgain, ctx: &mut Self::Context) {
        self.connection = None;
        self.on_failure("the cluster answered, and then could not be read".to_owned(), ctx);
    }
}
