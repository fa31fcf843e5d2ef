//! Stands for election, and decides placement while it leads.
//!
//! The leader is who has created the key `leader` under its lease; the revision
//! of that is the term. Every write compares it, and the revision of what it
//! replaces, so that a leader that was deposed, or has not seen the latest,
//! writes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::assignment::Assignment;
use crate::error::Error;
use crate::etcd::connection::{CallError, Connection};
use crate::etcd::document::{Document, DocumentError, Session};
use crate::etcd::keys::{Key, Keys};
use crate::etcd::options::EtcdOptions;
use crate::etcd::plan::{Facts, plan_document, step};
use crate::etcd::session::Stay;
use crate::etcd::trouble::Trouble;
use crate::etcd::view::{View, report, term};
use crate::id::{EntityId, ReplicaId, Term};

/// Largest assignment that is written. etcd refuses requests above 1.5 MiB.
const LARGEST: usize = 1_450_000;

/// Between two tries of what failed.
const PAUSE: Duration = Duration::from_millis(500);

/// What the leader needs; clones share it.
#[derive(Clone)]
pub(crate) struct Leader {
    pub(crate) connection: Arc<Connection>,
    pub(crate) keys: Keys,
    pub(crate) options: Arc<EtcdOptions>,
    pub(crate) view: watch::Receiver<View>,
    pub(crate) stay: watch::Receiver<Option<Stay>>,
    pub(crate) leading: watch::Sender<Option<Term>>,
    /// Whether this replica stands for election.
    pub(crate) stands: watch::Receiver<bool>,
}

/// What came of a write.
enum Stored {
    /// In this revision.
    At(i64),
    /// Another leader is elected, or nobody is.
    Deposed(Term),
    /// Somebody has stored since.
    Outdated,
}

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the assignment cannot be written")]
    Encode(#[source] DocumentError),
    #[error("the assignment has {0} bytes, more than etcd takes in one request")]
    TooLarge(usize),
    #[error("what is stored cannot be read by this version")]
    Unreadable,
}

// === impl Leader ===

impl Leader {
    /// Stands and leads until the task is aborted.
    pub(crate) async fn run(mut self) {
        let mut trouble = Trouble::new("this replica can take part in the election of a leader");
        loop {
            let lasts = |stay: &Option<Stay>| stay.as_ref().is_some_and(|stay| stay.lease.is_held(Instant::now()));
            let Ok(stay) = self.stay.wait_for(lasts).await.map(|stay| stay.clone()) else { return };
            let Some(stay) = stay else { continue };
            if self.stands.wait_for(|stands| *stands).await.is_err() {
                return;
            }
            let mut stands = self.stands.clone();
            let elected = tokio::select! {
                () = stay.lease.ended() => continue,
                _ = stands.wait_for(|stands| !*stands) => continue,
                elected = self.elect(stay.session) => elected,
            };
            let term = match elected {
                Ok(term) => term,
                Err(error) => {
                    trouble.on_failure(&error.to_string());
                    sleep(PAUSE).await;
                    continue;
                }
            };
            trouble.on_success();
            tracing::info!(%term, replica = %self.options.me.id, "this replica leads the fleet");
            self.leading.send_replace(Some(term));
            tokio::select! {
                () = stay.lease.ended() => {}
                _ = stands.wait_for(|stands| !*stands) => {}
                () = self.clone().lead(term) => {}
            }
            self.leading.send_replace(None);
            tracing::info!(%term, "this replica leads no longer");
        }
    }

    /// Waits until there is no leader and becomes it.
    async fn elect(&mut self, session: Session) -> Result<Term, CallError> {
        let me = self.options.me.id.clone();
        loop {
            // A view from before this stay says nothing of the present.
            let is_ours = |view: &View| view.sessions.get(&me).is_some_and(|(known, _)| *known == session);
            let is_free = |view: &View| view.leader.is_none_or(|(leader, _)| leader == session);
            let seen = self.view.wait_for(|view| is_ours(view) && is_free(view)).await.map(|view| view.leader);
            let Ok(leader) = seen else { std::future::pending().await };
            // Elected already, by a request whose answer was lost.
            if let Some((_, term)) = leader {
                return Ok(term);
            }
            if let Some(term) = self.create(session).await? {
                return Ok(term);
            }
            // Somebody was faster, and the view will say who.
            sleep(PAUSE / 5).await;
        }
    }

    async fn create(&self, session: Session) -> Result<Option<Term>, CallError> {
        let key = self.keys.write(&Key::Leader);
        let put = TxnOp::put(key.clone(), self.options.me.id.as_str(), Some(PutOptions::new().with_lease(session.0)));
        let txn = Txn::new()
            .when([Compare::create_revision(key.clone(), CompareOp::Equal, 0)])
            .and_then([put, TxnOp::get(key.clone(), None)])
            .or_else([TxnOp::get(key, None)]);
        let answer = self.send(txn, self.connection.attempt() * 2).await?;
        Ok(leader_of(&answer).filter(|(_, owner)| *owner == session).map(|(term, _)| term))
    }

    async fn send(&self, txn: Txn, patience: Duration) -> Result<TxnResponse, CallError> {
        self.connection
            .call(Instant::now() + patience, |client: Client| {
                let txn = txn.clone();
                async move { client.kv_client().txn(txn).await }
            })
            .await
    }

    /// Decides and stores, until another leader is elected.
    async fn lead(mut self, term: Term) {
        let mut trouble = Trouble::new("the leader can store placement");
        loop {
            self.gather().await;
            let decided_at = Instant::now();
            let view = self.view.borrow_and_update().clone();
            if is_over(&view, term) {
                return;
            }
            let base = self.base(&view);
            let facts = Facts { sessions: &view.sessions, costs: &view.costs, released: &view.released };
            let next = plan_document(&base, facts);
            let mut patience = None;
            if next != base || view.stored == 0 {
                match self.put(term, &view, &next).await {
                    Ok(Stored::At(revision)) => {
                        trouble.on_success();
                        tell(&base, &next);
                        self.see(revision).await;
                        continue;
                    }
                    Ok(Stored::Deposed(_)) => return,
                    Ok(Stored::Outdated) => patience = Some(Instant::now() + PAUSE),
                    Err(error) => {
                        trouble.on_failure(&report(&error));
                        patience = Some(Instant::now() + PAUSE);
                    }
                }
            }
            if self.news(&view, decided_at, patience).await.is_err() {
                return;
            }
        }
    }

    /// Waits for a reason to decide again.
    async fn news(
        &mut self,
        decided: &View,
        decided_at: Instant,
        patience: Option<Instant>,
    ) -> Result<(), watch::error::RecvError> {
        let mut due = patience;
        loop {
            let is_costly = {
                let view = self.view.borrow_and_update();
                if differs(&view, decided) {
                    return Ok(());
                }
                view.costs != decided.costs
            };
            if is_costly && due.is_none() {
                // Costs alone move nothing more often than they are written.
                due = Some(decided_at + self.options.cost_interval);
            }
            let at = due.unwrap_or_else(Instant::now);
            tokio::select! {
                changed = self.view.changed() => changed?,
                () = sleep_until(at), if due.is_some() => return Ok(()),
            }
        }
    }

    /// Lets changes come together: a start or an end is seldom alone.
    async fn gather(&mut self) {
        let end = Instant::now() + self.options.settle;
        while let Ok(Ok(())) = timeout_at(end, self.view.changed()).await {}
    }

    /// Waits until the view has what was stored.
    async fn see(&mut self, revision: i64) {
        let seen = self.view.wait_for(|view| view.stored >= revision);
        // A view that does not come is the watcher's trouble; the comparison in the
        // next write keeps it from doing harm.
        drop(timeout_at(Instant::now() + self.options.lease, seen).await);
    }

    fn base(&self, view: &View) -> Document {
        let known = view.document.as_deref().cloned();
        known.unwrap_or_else(|| Document::starting_at(self.options.first_epoch))
    }

    async fn put(&self, term: Term, view: &View, next: &Document) -> Result<Stored, StoreError> {
        if !view.is_readable {
            return Err(StoreError::Unreadable);
        }
        let value = next.encode().map_err(StoreError::Encode)?;
        if value.len() > LARGEST {
            return Err(StoreError::TooLarge(value.len()));
        }
        let (leader, key) = (self.keys.write(&Key::Leader), self.keys.write(&Key::Assignment));
        let created = i64::try_from(term.0).unwrap_or(i64::MAX);
        let txn = Txn::new()
            .when([
                Compare::create_revision(leader.clone(), CompareOp::Equal, created),
                Compare::mod_revision(key.clone(), CompareOp::Equal, view.stored),
            ])
            .and_then([TxnOp::put(key, value, None)])
            .or_else([TxnOp::get(leader, None)]);
        let answer = self.send(txn, self.connection.attempt() * 2).await?;
        if answer.succeeded() {
            return Ok(Stored::At(answer.header().map_or(0, etcd_client::ResponseHeader::revision)));
        }
        let current = leader_of(&answer).map_or(Term(0), |(term, _)| term);
        Ok(if current == term { Stored::Outdated } else { Stored::Deposed(current) })
    }

    /// Puts an assignment in force that somebody else has made, as far as the two
    /// phases of a move permit; the rest follows.
    pub(crate) async fn store(&self, term: Term, wanted: &Assignment) -> Result<(), Error> {
        // Each round has seen more than the one before.
        for _ in 0..10 {
            let view = self.view.borrow().clone();
            let base = self.base(&view);
            if view.leader.is_some_and(|(_, current)| current == term) {
                wanted.check_follows(&base.assignment())?;
            }
            let targets: BTreeMap<&EntityId, &ReplicaId> =
                wanted.iter().map(|(entity, placed)| (entity, &placed.replica)).collect();
            let facts = Facts { sessions: &view.sessions, costs: &view.costs, released: &view.released };
            let next = step(&base, facts, &targets);
            match self.put(term, &view, &next).await {
                Ok(Stored::At(revision)) => {
                    self.clone().see(revision).await;
                    return Ok(());
                }
                Ok(Stored::Deposed(current)) => return Err(Error::StaleTerm { given: term, current }),
                Ok(Stored::Outdated) => sleep(PAUSE / 5).await,
                Err(error) => return Err(Error::Backend { operation: "written", source: Box::new(error) }),
            }
        }
        Err(Error::Backend { operation: "written", source: "others store all the time".into() })
    }

    /// Gives leadership up: the next may be elected at once.
    pub(crate) async fn resign(&self, term: Term) -> Result<(), CallError> {
        let key = self.keys.write(&Key::Leader);
        let created = i64::try_from(term.0).unwrap_or(i64::MAX);
        let txn = Txn::new()
            .when([Compare::create_revision(key.clone(), CompareOp::Equal, created)])
            .and_then([TxnOp::delete(key, None)]);
        self.send(txn, self.connection.attempt() * 3).await.map(drop)
    }
}

/// Whether another leader is known to have been elected, or nobody leads.
fn is_over(view: &View, term: Term) -> bool {
    let revision = i64::try_from(term.0).unwrap_or(i64::MAX);
    view.revision >= revision && view.leader.is_none_or(|(_, current)| current != term)
}

/// Whether there is something new that does not bear waiting.
fn differs(now: &View, decided: &View) -> bool {
    now.sessions != decided.sessions
        || now.leader != decided.leader
        || now.stored != decided.stored
        || !Arc::ptr_eq(&now.released, &decided.released)
        || (!Arc::ptr_eq(&now.costs, &decided.costs) && !now.costs.keys().eq(decided.costs.keys()))
}

fn leader_of(answer: &TxnResponse) -> Option<(Term, Session)> {
    answer.op_responses().iter().find_map(|response| match response {
        TxnOpResponse::Get(get) => get.kvs().first().map(|pair| (term(pair.create_revision()), Session(pair.lease()))),
        _ => None,
    })
}

/// What a new placement changes, for the log.
fn tell(before: &Document, after: &Document) {
    let is_new = |(entity, entry): &(&EntityId, &crate::etcd::document::Entry)| {
        before.entries.get(*entity).is_none_or(|known| known.epoch != entry.epoch)
    };
    let given = after.entries.iter().filter(is_new).count();
    let leaving = |document: &Document| document.entries.values().filter(|entry| entry.leaving.is_some()).count();
    let (entities, leaving) = (after.entries.len(), leaving(after));
    tracing::info!(entities, given, leaving, "placement was stored");
}
