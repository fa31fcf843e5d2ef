//! This replica's stay in the fleet: its lease in etcd, and what it believes of it.
//!
//! The lease here ends a margin before the one in etcd can, counted from the
//! moment its last successful keepalive was sent. etcd may be away for less than
//! that without anything being lost; after that everything owned ends, and the
//! replica joins anew, with a new lease, as soon as etcd is back.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, GetOptions, PutOptions, Txn, TxnOp};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::etcd::connection::{CallError, Connection};
use crate::etcd::document::Session;
use crate::etcd::keys::{Key, Keys};
use crate::etcd::notes::is_under;
use crate::etcd::options::EtcdOptions;
use crate::etcd::trouble::Trouble;
use crate::etcd::view::{StoredMember, View};
use crate::id::Replica;
use crate::lease::{Lease, LeaseState, LeaseView};

/// Between two tries to join.
const PAUSE: Duration = Duration::from_millis(500);

/// A stay that lasts.
#[derive(Clone, Debug)]
pub(crate) struct Stay {
    pub(crate) session: Session,
    pub(crate) lease: LeaseView,
}

pub(crate) struct Keeper {
    pub(crate) connection: Arc<Connection>,
    pub(crate) keys: Keys,
    pub(crate) options: Arc<EtcdOptions>,
    pub(crate) view: watch::Receiver<View>,
    pub(crate) stay: watch::Sender<Option<Stay>>,
    pub(crate) reread: Arc<Notify>,
    /// Counts whoever holds an ownership.
    pub(crate) work: TaskTracker,
    /// Told to leave for good.
    pub(crate) leave: CancellationToken,
    /// Told to take nothing any more.
    pub(crate) draining: CancellationToken,
}

struct Joined {
    session: Session,
    lease: Lease,
    /// Revision of etcd when it joined.
    revision: i64,
}

// === impl Stay ===

impl Stay {
    /// By when what is written under the lease has to be written.
    pub(crate) fn until(&self) -> Instant {
        self.lease.deadline().unwrap_or_else(Instant::now)
    }
}

// === impl Keeper ===

impl Keeper {
    /// Joins, stays, and joins again, until told to leave.
    pub(crate) async fn run(mut self) {
        let mut trouble = Trouble::new("this replica is a member of the fleet in etcd");
        let (mut old, mut was_in) = (None, false);
        while !self.leave.is_cancelled() {
            let joined = tokio::select! {
                joined = self.join(&mut old) => joined,
                () = self.leave.cancelled() => break,
            };
            match joined {
                Ok(joined) => {
                    trouble.on_success();
                    // It may be another etcd than before, or an earlier one: its revisions
                    // need not have gone back as far as to show that.
                    if std::mem::replace(&mut was_in, true) || joined.revision < self.view.borrow().revision {
                        self.reread.notify_one();
                    }
                    self.stay(joined, &mut old).await;
                }
                Err(error) => {
                    trouble.on_failure(&error.to_string());
                    tokio::select! {
                        () = sleep(PAUSE) => {}
                        () = self.leave.cancelled() => {}
                    }
                }
            }
        }
        if let Some(session) = old {
            self.revoke(session).await;
        }
    }

    /// A new lease with the member's key below it. `old` holds the leases that may
    /// still stand in etcd.
    async fn join(&self, old: &mut Option<Session>) -> Result<Joined, CallError> {
        if let Some(session) = *old {
            self.connection
                .call(soon(&self.connection), |mut client| async move { client.lease_revoke(session.0).await })
                .await
                .map(drop)
                .or_else(|error| if matches!(error, CallError::LeaseGone) { Ok(()) } else { Err(error) })?;
            *old = None;
        }
        let ttl = i64::try_from(self.options.lease.as_secs().max(2)).unwrap_or(i64::MAX);
        let sent = Instant::now();
        let granted = self
            .connection
            .call(soon(&self.connection), |mut client| async move { client.lease_grant(ttl, None).await })
            .await?;
        let session = Session(granted.id());
        *old = Some(session);
        let lease = Lease::new(LeaseState::Until(sent + self.options.held()));
        let revision = self.register(session).await?;
        Ok(Joined { session, lease, revision })
    }

    async fn register(&self, session: Session) -> Result<i64, CallError> {
        let me = &self.options.me;
        let key = self.keys.write(&Key::Member(me.id.clone()));
        let put = self.member(session);
        let get = TxnOp::get(key.clone(), Some(GetOptions::new()));
        let txn = Txn::new().when([Compare::create_revision(key, CompareOp::Equal, 0)]).and_then([put]).or_else([get]);
        let answer = self
            .connection
            .call(soon(&self.connection), |client: Client| {
                let txn = txn.clone();
                async move { client.kv_client().txn(txn).await }
            })
            .await?;
        // The key is ours already after an attempt whose answer was lost.
        if answer.succeeded() || is_under(&answer, session) {
            Ok(answer.header().map_or(0, etcd_client::ResponseHeader::revision))
        } else {
            Err(CallError::NameTaken(me.id.to_string()))
        }
    }

    /// This replica as others see it, under the lease.
    fn member(&self, session: Session) -> TxnOp {
        let me = &self.options.me;
        let weight = if self.draining.is_cancelled() { 0 } else { me.weight };
        let value = StoredMember::write(&Replica { weight, ..me.clone() });
        TxnOp::put(self.keys.write(&Key::Member(me.id.clone())), value, Some(PutOptions::new().with_lease(session.0)))
    }

    /// Once told to drain, says so to the others; it does not return.
    async fn drain(&self, session: Session) {
        self.draining.cancelled().await;
        let key = self.keys.write(&Key::Member(self.options.me.id.clone()));
        let is_ours = Compare::lease(key, CompareOp::Equal, session.0);
        let txn = Txn::new().when([is_ours]).and_then([self.member(session)]);
        let mut trouble = Trouble::new("the others can be told that this replica drains");
        loop {
            let request = |client: Client| {
                let txn = txn.clone();
                async move { client.kv_client().txn(txn).await }
            };
            match self.connection.call(soon(&self.connection), request).await {
                Ok(_) => break trouble.on_success(),
                Err(error) => trouble.on_failure(&error.to_string()),
            }
            sleep(PAUSE).await;
        }
        std::future::pending().await
    }

    /// Keeps the lease until it cannot be kept, or the replica leaves.
    async fn stay(&mut self, joined: Joined, old: &mut Option<Session>) {
        let Joined { session, lease, revision } = joined;
        let view = lease.view();
        tracing::info!(replica = %self.options.me.id, "joined the fleet");
        metrics::gauge!("argosy_fleet_connected").set(1.0);
        self.stay.send_replace(Some(Stay { session, lease: view.clone() }));
        let reason = tokio::select! {
            reason = self.keep(session, &lease) => reason,
            () = view.ended() => "etcd was not reached for as long as the lease holds",
            () = self.lost_key(session, revision) => "somebody removed it from etcd",
            () = self.drain(session) => "it drains",
            () = self.leave.cancelled() => "it leaves",
        };
        let until = view.deadline().unwrap_or_else(Instant::now);
        // In this order: nobody else may own anything before all has ended here.
        lease.end();
        self.stay.send_replace(None);
        metrics::gauge!("argosy_fleet_connected").set(0.0);
        if self.leave.is_cancelled() {
            // Until the work has ended nobody may take over; the lease says how long
            // that can take.
            self.work.close();
            drop(timeout_at(until, self.work.wait()).await);
            self.revoke(session).await;
            *old = None;
        } else {
            tracing::warn!(reason, "this replica is no longer a member of the fleet; all it owned has ended here");
        }
    }

    async fn keep(&self, session: Session, lease: &Lease) -> &'static str {
        let view = lease.view();
        let mut trouble = Trouble::new("the lease in etcd is kept alive");
        let every = self.options.lease / 3;
        let mut next = Instant::now() + every;
        loop {
            sleep_until(next).await;
            let until = view.deadline().unwrap_or_else(Instant::now);
            match self.keep_once(session, until).await {
                Ok(sent) => {
                    trouble.on_success();
                    if !lease.renew(sent + self.options.held(), Instant::now()) {
                        return "the lease ran out while it was being renewed";
                    }
                    next = sent + every;
                }
                Err(CallError::LeaseGone) => return "the lease is gone from etcd",
                Err(error) => {
                    trouble.on_failure(&error.to_string());
                    next = Instant::now() + PAUSE;
                }
            }
        }
    }

    /// When the keepalive that succeeded was sent.
    async fn keep_once(&self, session: Session, until: Instant) -> Result<Instant, CallError> {
        self.connection
            .call(until, |mut client: Client| async move {
                // An attempt of its own, so that a renewal is never counted from a later one.
                let sent = Instant::now();
                client.lease_keep_alive(session.0).await.map(|_| sent)
            })
            .await
    }

    /// Returns when the member's key is gone although its lease is not.
    async fn lost_key(&self, session: Session, revision: i64) {
        let mut view = self.view.clone();
        let me = &self.options.me.id;
        let is_gone =
            |view: &View| view.revision >= revision && view.sessions.get(me).is_none_or(|(known, _)| *known != session);
        if view.wait_for(is_gone).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn revoke(&self, session: Session) {
        let request = |mut client: Client| async move { client.lease_revoke(session.0).await };
        match self.connection.call(soon(&self.connection), request).await {
            Ok(_) | Err(CallError::LeaseGone) => {}
            Err(error) => {
                tracing::warn!(%error, "the lease could not be given back to etcd; it runs out by itself");
            }
        }
    }
}

/// Time for a few attempts.
fn soon(connection: &Connection) -> Instant {
    Instant::now() + connection.attempt() * 3
}
