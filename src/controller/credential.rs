//! The Credential actor: one per cluster slice, and one to read the cluster with,
//! beside their Cluster actor.
//!
//! Owns the way into one cluster: loads the declaration, gets a credential to
//! work with ([`establish`]), hands over the connection, and exchanges that
//! credential while it is in use. It accepts news that the declaration or the
//! settings may have changed, that the cluster refuses the credential, and that
//! the slice is let go.
//!
//! What is declared is read with as it is. Where the cluster lets it, an owner's
//! credential exists for this owner's epoch alone (`argosy_cluster::fence`), and is
//! exchanged after a part of its life ([`rotation`]): made, proven, promoted in the
//! place of the one before, which is removed once nothing is sent with it, and
//! proven to be refused. What can be seen before there is an owner is looked at
//! ahead ([`scout`]).
//!
//! Promises. A new credential is proven before the old one is let go; one that
//! does not work leaves the old one in place and is reported. A cluster that is
//! declared no more, a slice that is let go and one that a later owner has taken
//! over end at once, with every request and watch. Missing rights never stop
//! work: the lease stands alone then, and that is said once.
//!
//! Lost in a crash: nothing but what was made on the cluster, which the next
//! owner removes. The declaration is in the home cluster.

mod declaration;
mod establish;
mod listen;
mod rotation;
mod scout;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, SpawnHandle,
    WrapFuture as _,
};
use argosy_cluster::{Budget, BudgetConfig, Connection, FenceError};
use argosy_fleet::{Ownership, Slice};
use argosy_model::{FenceKind, FenceWish};
use futures::StreamExt as _;
use tokio::time::Instant;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, Connected, Ended, Unreachable};
use crate::context::Shared;
use establish::{Established, Failure, Held, Place};
pub(crate) use scout::Scout;
pub(crate) use standing::Standing;

/// Between looks at the bindings that a subject of our own copies: so long may it
/// still do what the declared account may not do any more.
const FOLLOWED: Duration = Duration::from_secs(30);
/// Time for a next owner to remove what this one has made. It does so before all else,
/// and doing the same at that moment would only hold it up.
const SUCCEEDED: Duration = Duration::from_secs(2);

/// See the module's page.
pub(crate) struct Credential {
    shared: Arc<Shared>,
    place: Place,
    cluster: Addr<Cluster>,
    /// What was seen before there was an owner, until it is used.
    scout: Option<Scout>,
    connection: Option<Connection>,
    held: Option<Held>,
    standing: Arc<Standing>,
    /// Whether anything was given to this owner that the cluster accepts for longer
    /// than the next one needs to take over.
    outlasts: bool,
    /// The declaration in use, to tell whether another one says something new.
    version: Option<String>,
    failures: u32,
    /// The attempt under way, by its serial.
    attempt: Option<u64>,
    /// Something may have changed during it.
    changed: bool,
    /// When the credential in use was put in place.
    since: Option<Instant>,
    /// The next attempt.
    next: Option<SpawnHandle>,
    /// Ends what goes on in the background for the cluster.
    background: CancellationToken,
    /// The ears for refusals, while there is a credential that can be replaced.
    refusals: Option<SpawnHandle>,
    /// The ears for forbidden writes, while there is a subject of our own.
    doubts: Option<SpawnHandle>,
}

/// The connection did not carry; make another.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct TryAgain;

/// The slice belongs to somebody else, or to nobody.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct LetGo;

/// Declarations of clusters have changed, perhaps this one; or the settings.
#[derive(Message)]
#[rtype(result = "()")]
struct Redeclared;

// === impl Credential ===

impl Credential {
    /// One to read with.
    pub(crate) fn reading(shared: Arc<Shared>, server: Arc<str>, cluster: Addr<Cluster>) -> Self {
        let place =
            Place { server, owned: None, succession: None, budget: Budget::new(budget()), seed: shared.random() };
        Self::new(shared, place, None, cluster)
    }

    /// One to make changes with, as the owner of a slice.
    pub(crate) fn owning(
        shared: Arc<Shared>,
        server: Arc<str>,
        (slice, ownership): (Slice, &Ownership),
        scout: Option<Scout>,
        cluster: Addr<Cluster>,
    ) -> Self {
        let budget = scout.as_ref().map_or_else(|| Budget::new(budget()), |scout| scout.budget.clone());
        let (owned, succession) = (Some((slice, ownership.epoch())), Some(ownership.succession().clone()));
        let place = Place { server, owned, succession, budget, seed: shared.random() };
        Self::new(shared, place, scout, cluster)
    }

    fn new(shared: Arc<Shared>, place: Place, scout: Option<Scout>, cluster: Addr<Cluster>) -> Self {
        Self {
            place,
            shared,
            cluster,
            scout,
            connection: None,
            held: None,
            standing: Arc::new(Standing::new(FenceKind::Lease, None)),
            outlasts: false,
            version: None,
            failures: 0,
            attempt: None,
            changed: false,
            since: None,
            next: None,
            background: CancellationToken::new(),
            refusals: None,
            doubts: None,
        }
    }

    /// Sees to it that what is declared is what is worked with. One attempt at a
    /// time.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        let declared = declaration::load(&self.shared, &self.place.server);
        if matches!(declared, Ok(None)) {
            return self.on_undeclared(ctx);
        }
        if self.attempt.is_some() {
            self.changed = true;
            return;
        }
        let declared = match declared {
            Ok(declared) => declared,
            Err(reason) => return self.on_failure(reason, ctx),
        };
        let Some(mut declared) = declared else { return };
        if self.place.owned.is_none() {
            // Nothing is changed with it, so nobody has to be kept from that.
            declared.wanted.fence = FenceWish::None;
        }
        if self.connection.is_none() || self.version.as_ref() != Some(&declared.version) {
            self.exchange(declared, ctx);
        }
    }

    /// Sees to a new credential, whatever is worked with.
    fn renew(&mut self, ctx: &mut Context<Self>) {
        self.version = None;
        self.settle(ctx);
    }

    fn exchange(&mut self, declared: declaration::Declared, ctx: &mut Context<Self>) {
        self.cancel_next(ctx);
        let serial = self.shared.random();
        self.attempt = Some(serial);
        let (place, working, held) = (self.place.clone(), self.connection.clone(), self.held.clone());
        let (started, scout) = (Instant::now(), self.scout.take());
        let attempt = async move {
            let found = match scout {
                Some(scout) => scout.found(&declared.version).await,
                None => None,
            };
            let result = place.establish(declared.wanted.clone(), found, working, held.as_ref(), serial).await;
            (result, declared, started)
        };
        ctx.spawn(attempt.into_actor(self).map(move |(result, declared, started), actor, ctx| {
            if actor.attempt != Some(serial) {
                // The cluster was let go meanwhile.
                if let Ok(late) = result {
                    late.connection.close();
                    tokio::spawn(actor.place.clone().withdraw(late.held));
                }
                return;
            }
            actor.attempt = None;
            match result {
                Ok(established) => actor.on_established(established, declared.version, started, ctx),
                Err(failure) => actor.on_refusal(&failure, ctx),
            }
            if std::mem::take(&mut actor.changed) {
                actor.settle(ctx);
            }
        }));
    }

    fn on_established(&mut self, established: Established, version: String, started: Instant, ctx: &mut Context<Self>) {
        let Established { connection, held, draining } = established;
        self.count("promoted");
        metrics::histogram!("argosy_credential_rotation_duration_seconds").record(started.elapsed().as_secs_f64());
        (self.failures, self.version, self.since) = (0, Some(version), Some(Instant::now()));
        let grant = held.grant.clone();
        self.standing.change(held.choice.kind, grant.as_ref().map(|grant| grant.expires));
        self.outlasts |= held.choice.kind != FenceKind::Binding;
        if let Some(succession) = self.place.succession.as_ref().filter(|_| !self.outlasts) {
            succession.tell_fenced();
        }
        let before = self.held.replace(held.clone());
        if before.as_ref().map(|before| &before.choice) != Some(&held.choice) {
            self.tell(&held);
        }
        let is_beside = |old: &Held| {
            let namespace = |held: &Held| held.choice.account.as_ref().map(|account| account.namespace.clone());
            namespace(old) == namespace(&held)
        };
        if let Some(old) = before.filter(|old| old.grant.is_some()) {
            let next = grant.clone().filter(|_| is_beside(&old));
            let retiring = self.place.clone().retire(old, next, draining);
            tokio::spawn(self.background.clone().run_until_cancelled_owned(retiring));
        }
        if let Some(grant) = grant {
            let chance = self.shared.chance();
            let wait =
                rotation::plan_exchange(grant.life, held.wanted.life, chance).saturating_sub(grant.issued.elapsed());
            self.next = Some(ctx.run_later(wait, |actor, ctx| {
                actor.next = None;
                actor.renew(ctx);
            }));
        }
        self.listen(&connection, ctx);
        if self.connection.is_some() {
            tracing::info!(server = &*self.place.server, "the cluster's new credential is in use");
            return;
        }
        self.connection = Some(connection.clone());
        if let Some(succession) = &self.place.succession {
            succession.on_standing();
        }
        #[expect(clippy::disallowed_methods, reason = "one per connection made")]
        self.cluster.do_send(Connected { epoch: self.place.epoch(), connection, standing: self.standing.clone() });
    }

    /// Says which fence stands: once, for each time that changes.
    fn tell(&self, held: &Held) {
        if self.place.owned.is_none() {
            return;
        }
        let (server, fence) = (&*self.place.server, held.choice.kind.as_str());
        let reason = held.choice.reason.as_deref().unwrap_or_default();
        if held.choice.is_short {
            tracing::warn!(server, fence, reason, "the cluster has a weaker fence than was asked for");
        } else {
            tracing::info!(server, fence, reason, "the cluster's fence stands");
        }
    }

    /// Nothing is left to do until it is declared again.
    fn on_undeclared(&mut self, ctx: &mut Context<Self>) {
        self.cancel_next(ctx);
        if self.version.take().is_some() || self.connection.is_some() {
            tracing::info!(server = &*self.place.server, "the cluster is declared no more");
        }
        self.failures = 0;
        self.end("it is declared no more", Duration::ZERO, ctx);
    }

    fn on_refusal(&mut self, failure: &Failure, ctx: &mut Context<Self>) {
        let reason = argosy_model::report(failure);
        self.count(if matches!(failure, Failure::Superseded(_)) { "refused" } else { "failed" });
        if matches!(failure, Failure::Superseded(_)) {
            // What was made here is gone already.
            self.held = None;
            if let Some(succession) = self.place.succession.as_ref().filter(|_| self.connection.is_some()) {
                // What is under way must not be told of as if the cluster had failed.
                succession.on_superseded();
            }
            self.end(&reason, Duration::ZERO, ctx);
        }
        self.on_failure(reason, ctx);
    }

    fn on_failure(&mut self, reason: String, ctx: &mut Context<Self>) {
        self.failures = self.failures.saturating_add(1);
        let (server, attempt) = (&*self.place.server, self.failures);
        if self.connection.is_some() {
            tracing::warn!(server, attempt, reason, "the cluster's credential stays in use; a new one cannot be had");
        } else {
            tracing::warn!(server, attempt, reason, "no connection to the cluster");
        }
        #[expect(clippy::disallowed_methods, reason = "one per attempt, and attempts are spaced out")]
        self.cluster.do_send(Unreachable(self.place.epoch(), reason));
        let wait = rotation::plan_retry(self.failures);
        self.cancel_next(ctx);
        self.next = Some(ctx.run_later(self.shared.jitter(wait, wait / 2), |actor, ctx| {
            actor.next = None;
            actor.settle(ctx);
        }));
    }

    /// Ends all work on the cluster, and removes what was made there after a while.
    fn end(&mut self, reason: &str, withdrawn_after: Duration, ctx: &mut Context<Self>) {
        self.stop_listening(ctx);
        std::mem::take(&mut self.background).cancel();
        self.attempt = None;
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
        self.standing.change(FenceKind::Lease, None);
        if let Some(succession) = &self.place.succession {
            succession.take_back();
        }
        self.version = None;
        if let Some(held) = self.held.take().filter(|held| held.grant.is_some()) {
            let place = self.place.clone();
            tokio::spawn(async move {
                tokio::time::sleep(withdrawn_after).await;
                place.withdraw(held).await;
            });
        }
        #[expect(clippy::disallowed_methods, reason = "one per change of the declared clusters")]
        self.cluster.do_send(Ended(self.place.epoch(), reason.to_owned()));
    }

    fn cancel_next(&mut self, ctx: &mut Context<Self>) {
        cancel(&mut self.next, ctx);
    }

    fn count(&self, result: &'static str) {
        let server = self.place.server.to_string();
        metrics::counter!("argosy_credential_rotations_total", "server" => server, "result" => result).increment(1);
    }

    /// Keeps a subject of our own from having more rights than the declared account.
    fn follow(&mut self, ctx: &mut Context<Self>) {
        let Some(held) = self.held.clone().filter(|held| held.choice.kind == FenceKind::Binding) else { return };
        if self.attempt.is_some() {
            // It brings the bindings in line itself.
            return;
        }
        let following = self.place.clone().follow(held);
        ctx.spawn(following.into_actor(self).map(|followed, actor, ctx| match followed {
            Ok(()) => {}
            Err(FenceError::Superseded(_) | FenceError::Removed) => actor.renew(ctx),
            Err(error) => {
                let error = argosy_model::report(&error);
                tracing::warn!(server = &*actor.place.server, error, "bindings of the account cannot be followed");
            }
        }));
    }
}

fn cancel(handle: &mut Option<SpawnHandle>, ctx: &mut Context<Credential>) {
    if let Some(handle) = handle.take() {
        ctx.cancel_future(handle);
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
        let clusters = WatchStream::from_changes(self.shared.home.clusters_changes());
        ctx.add_message_stream(clusters.map(|_| Redeclared));
        let settings = WatchStream::from_changes(self.shared.home.settings_changes());
        ctx.add_message_stream(settings.map(|_| Redeclared));
        ctx.run_interval(FOLLOWED, Self::follow);
        self.settle(ctx);
    }
}

impl Handler<Redeclared> for Credential {
    type Result = ();

    fn handle(&mut self, _: Redeclared, ctx: &mut Self::Context) {
        self.settle(ctx);
    }
}

impl Handler<TryAgain> for Credential {
    type Result = ();

    fn handle(&mut self, _: TryAgain, ctx: &mut Self::Context) {
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
        self.stop_listening(ctx);
        self.on_failure("the cluster answered, and then could not be read".to_owned(), ctx);
    }
}

impl Handler<LetGo> for Credential {
    type Result = ();

    fn handle(&mut self, _: LetGo, ctx: &mut Self::Context) {
        self.cancel_next(ctx);
        self.end("it belongs to another replica", SUCCEEDED, ctx);
        ctx.stop();
    }
}
