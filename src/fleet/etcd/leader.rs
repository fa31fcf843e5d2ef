//! Stands for election, and decides placement while it leads.
//!
//! The leader is who has created the key `leader` under its lease; the revision
//! of that is the term. Every write compares it, and the revision of what it
//! replaces, so that a leader that was deposed, or has not seen the latest,
//! writes nothing.

mod election;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, Txn, TxnOp, TxnResponse};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::assignment::Assignment;
use crate::error::Error;
use crate::etcd::connection::{CallError, Connection};
use crate::etcd::document::{Document, DocumentError};
use crate::etcd::keys::{FENCED, Key, Keys};
use crate::etcd::options::EtcdOptions;
use crate::etcd::patience::Patience;
use crate::etcd::plan::{Facts, Lookout, Next, OutOfSight, plan_document, step};
use crate::etcd::session::Stay;
use crate::etcd::trouble::Trouble;
use crate::etcd::view::View;
use crate::id::{EntityId, Epoch, ReplicaId, Term};
use crate::links::Sight;
use crate::placement::Pins;
pub(crate) use election::Glimpse;
use election::leader_of;
use told::Told;

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
    pub(crate) pins: watch::Receiver<Arc<Pins>>,
    pub(crate) sight: watch::Receiver<Sight>,
    pub(crate) lookout: Lookout,
    pub(crate) glimpse: Glimpse,
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

/// A reason to decide again.
enum News {
    /// Somebody waits for it: it was let go of something, or prepared for.
    Urgent,
    /// More of the kind may follow soon.
    Ordinary,
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
                () = stay.lease.ended() => None,
                _ = stands.wait_for(|stands| !*stands) => None,
                elected = self.elect(stay.session) => Some(elected),
            };
            let Some(elected) = elected else {
                self.withdraw(&stay).await;
                continue;
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
            let is_deposed = tokio::select! {
                () = stay.lease.ended() => false,
                _ = stands.wait_for(|stands| !*stands) => false,
                () = self.clone().lead(term) => true,
            };
            self.leading.send_replace(None);
            told::deposed();
            tracing::info!(%term, "this replica leads no longer");
            if is_deposed {
                // Whoever had a reason for that goes first.
                sleep(PAUSE * 2).await;
            } else {
                self.withdraw(&stay).await;
            }
        }
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
        let (mut prepared, mut told) = (Patience::default(), Told::default());
        if self.sight.borrow().lost.is_empty() && !is_waited_for(&self.view.borrow()) {
            self.gather(None).await;
        }
        loop {
            let decided_at = Instant::now();
            let view = self.view.borrow_and_update().clone();
            if is_over(&view, term) {
                return;
            }
            if !view.is_readable {
                // One that knows what is stored may decide on it.
                tracing::error!("this replica cannot read the assignment, and leaves it to others to lead");
                match self.resign(term).await {
                    Ok(()) => return,
                    Err(error) => trouble.on_failure(&error.to_string()),
                }
                sleep(PAUSE).await;
                continue;
            }
            let base = self.base(&view);
            let pins = self.pins.borrow_and_update().clone();
            let (overdue, mut patience) = prepared.judge(&base, decided_at, self.options.prepare);
            let sight = self.lookout.judge(&self.sight.borrow_and_update(), &view.sessions);
            let facts = self.facts(&view, (&overdue, &sight), &pins);
            told.decided(&base, facts, decided_at);
            let next = plan_document(&base, facts);
            if next.document != base || !next.costs.is_empty() || view.stored == 0 {
                match self.put(term, &view, &next).await {
                    Ok(Stored::At(revision)) => {
                        trouble.on_success();
                        told.stored(&base, &next.document, facts, Instant::now());
                        self.see(revision).await;
                        continue;
                    }
                    Ok(Stored::Deposed(_)) => return,
                    Ok(Stored::Outdated) => patience = Some(Instant::now() + PAUSE),
                    Err(error) => {
                        trouble.on_failure(&argosy_model::report(&error));
                        patience = Some(Instant::now() + PAUSE);
                    }
                }
            }
            match self.news(&view, decided_at, patience).await {
                Ok(News::Urgent) => {}
                Ok(News::Ordinary) => self.gather(Some(&view)).await,
                Err(_) => return,
            }
        }
    }

    /// Waits for a reason to decide again.
    async fn news(
        &mut self,
        decided: &View,
        decided_at: Instant,
        mut due: Option<Instant>,
    ) -> Result<News, watch::error::RecvError> {
        loop {
            let is_costly = {
                let view = self.view.borrow_and_update();
                if let Some(news) = difference(&view, decided) {
                    return Ok(news);
                }
                if !self.sight.borrow().lost.is_empty() && view.fenced != decided.fenced {
                    return Ok(News::Urgent);
                }
                view.costs != decided.costs
            };
            if is_costly {
                // Costs alone move nothing more often than they are written.
                let at = decided_at + self.options.cost_interval;
                due = Some(due.map_or(at, |due| due.min(at)));
            }
            let at = due.unwrap_or_else(Instant::now);
            tokio::select! {
                changed = self.view.changed() => changed?,
                changed = self.pins.changed() => return changed.map(|()| News::Ordinary),
                changed = self.sight.changed() => return changed.map(|()| News::Urgent),
                () = sleep_until(at), if due.is_some() => return Ok(News::Urgent),
            }
        }
    }

    /// Lets changes come together: a start or an end is seldom alone. It does not keep
    /// those waiting for whom something is urgent since `decided`, nor when somebody new
    /// is lost sight of.
    async fn gather(&mut self, decided: Option<&View>) {
        let (end, lost) = (Instant::now() + self.options.settle, self.sight.borrow().lost.clone());
        loop {
            tokio::select! {
                () = sleep_until(end) => return,
                changed = self.view.changed() => if changed.is_err() { return },
                seen = self.sight.wait_for(|sight| !sight.lost.is_subset(&lost)) => return drop(seen),
            }
            let news = decided.and_then(|decided| difference(&self.view.borrow(), decided));
            if matches!(news, Some(News::Urgent)) {
                return;
            }
        }
    }

    /// Waits until the view has what was stored.
    async fn see(&mut self, revision: i64) {
        let seen = self.view.wait_for(|view| view.stored >= revision);
        // A view that does not come is the watcher's trouble; the comparison in the
        // next write keeps it from doing harm.
        drop(timeout_at(Instant::now() + self.options.lease, seen).await);
    }

    fn facts<'a>(
        &self,
        view: &'a View,
        (overdue, sight): (&'a BTreeSet<Epoch>, &'a OutOfSight),
        pins: &'a Pins,
    ) -> Facts<'a> {
        let View { sessions, costs, released, ready, fenced, .. } = view;
        let worth_splitting = self.options.worth_splitting;
        let OutOfSight { lost, avoided } = sight;
        Facts { sessions, costs, released, ready, overdue, lost, avoided, fenced, pins, worth_splitting }
    }

    fn base(&self, view: &View) -> Document {
        let known = view.document.as_deref().cloned();
        let known = known.unwrap_or_else(|| Document::starting_at(self.options.first_epoch));
        Document { next_epoch: known.next_epoch.max(view.next_epoch), ..known }
    }

    async fn put(&self, term: Term, view: &View, next: &Next) -> Result<Stored, StoreError> {
        if !view.is_readable {
            return Err(StoreError::Unreadable);
        }
        let value = next.document.encode().map_err(StoreError::Encode)?;
        if value.len() > LARGEST {
            return Err(StoreError::TooLarge(value.len()));
        }
        let (leader, key) = (self.keys.write(&Key::Leader), self.keys.write(&Key::Assignment));
        let created = i64::try_from(term.0).unwrap_or(i64::MAX);
        let mut compared = vec![
            Compare::create_revision(leader.clone(), CompareOp::Equal, created),
            Compare::mod_revision(key.clone(), CompareOp::Equal, view.stored),
        ];
        // Who is replaced while it may be at work must be fenced now, and not only when
        // this view was true.
        compared.extend(
            next.document
                .newly_doubted(&self.base(view))
                .map(|epoch| Compare::value(self.keys.write(&Key::Fenced(epoch)), CompareOp::Equal, FENCED)),
        );
        let txn = Txn::new()
            .when(compared)
            .and_then(std::iter::once(TxnOp::put(key, value, None)).chain(self.costs(next)).collect::<Vec<_>>())
            .or_else([TxnOp::get(leader, None)]);
        let answer = self.send(txn, self.connection.attempt() * 2).await?;
        if answer.succeeded() {
            return Ok(Stored::At(answer.header().map_or(0, etcd_client::ResponseHeader::revision)));
        }
        let current = leader_of(&answer).map_or(Term(0), |(_, term)| term);
        Ok(if current == term { Stored::Outdated } else { Stored::Deposed(current) })
    }

    fn costs(&self, next: &Next) -> impl Iterator<Item = TxnOp> {
        next.costs.iter().map(|(entity, cost)| {
            let key = self.keys.write(&Key::Entity(entity.clone()));
            match cost {
                Some(cost) => TxnOp::put(key, cost.0.to_string(), None),
                None => TxnOp::delete(key, None),
            }
        })
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
            let (overdue, sight, pins) = (BTreeSet::new(), OutOfSight::default(), self.pins.borrow().clone());
            let document = step(&base, self.facts(&view, (&overdue, &sight), &pins), &targets);
            match self.put(term, &view, &Next { document, costs: Vec::new() }).await {
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
}

/// Whether another leader is known to have been elected, or nobody leads.
fn is_over(view: &View, term: Term) -> bool {
    let revision = i64::try_from(term.0).unwrap_or(i64::MAX);
    view.revision >= revision && view.leader.is_none_or(|(_, current)| current != term)
}

/// What is new of what does not bear waiting for a measure of costs.
fn difference(now: &View, decided: &View) -> Option<News> {
    let is_let_go = !Arc::ptr_eq(&now.released, &decided.released) || !Arc::ptr_eq(&now.ready, &decided.ready);
    if is_let_go || now.leader != decided.leader || now.stored != decided.stored {
        return Some(News::Urgent);
    }
    let is_known = !Arc::ptr_eq(&now.costs, &decided.costs) && !now.costs.keys().eq(decided.costs.keys());
    match now.sessions != decided.sessions {
        true if is_waited_for(now) => Some(News::Urgent),
        is_other => (is_known || is_other).then_some(News::Ordinary),
    }
}

/// Whether something has nobody to see to it until it is decided, or will not have soon.
fn is_waited_for(view: &View) -> bool {
    let mut entries = view.document.iter().flat_map(|document| document.entries.values());
    entries.any(|entry| entry.leaving.is_some() || !entry.lasts(&view.sessions))
}
