//! Who leads: the key `leader`, created and deleted.

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::{Leader, PAUSE};
use crate::etcd::connection::CallError;
use crate::etcd::document::Session;
use crate::etcd::keys::Key;
use crate::etcd::plan::Sessions;
use crate::etcd::session::Stay;
use crate::etcd::view::{View, term};
use crate::id::{ReplicaId, Term};

/// The leader last looked at, and whether it has been out of sight ever since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Glimpse(Option<(Term, bool)>);

/// What a look at the fleet was based on.
struct Looked {
    leader: Option<(Session, Term)>,
    sessions: Sessions,
}

// === impl Glimpse ===

impl Glimpse {
    /// Whether the leader of a term was in sight and `is_lost` now, so that it counts.
    /// One that was out of sight when it was first seen may lead: a wrong guess costs
    /// an election, and only one.
    fn loses(&mut self, term: Term, is_out_of_sight: bool, is_lost: bool) -> bool {
        let never_seen = match self.0 {
            Some((known, never_seen)) if known == term => never_seen && is_out_of_sight,
            _ => is_lost,
        };
        self.0 = Some((term, never_seen));
        is_lost && !never_seen
    }
}

impl Leader {
    /// Waits until there is no leader and becomes it.
    pub(super) async fn elect(&mut self, session: Session) -> Result<Term, CallError> {
        let me = self.options.me.id.clone();
        loop {
            // A view from before this stay says nothing of the present, and who cannot
            // read what is stored cannot decide on it.
            let is_ours = |view: &View| view.sessions.get(&me).is_some_and(|(known, _)| *known == session);
            let is_free = |view: &View| view.is_readable && view.leader.is_none_or(|(leader, _)| leader == session);
            let looked = self.depose_lost().await?;
            let mut view = self.view.clone();
            let leader = tokio::select! {
                seen = view.wait_for(|view| is_ours(view) && is_free(view)) => seen.map(|view| Some(view.leader)),
                changed = self.sight.changed() => changed.map(|()| None),
                changed = another_look(self.view.clone(), looked) => changed.map(|()| None),
            };
            let Ok(leader) = leader else { std::future::pending().await };
            let Some(leader) = leader else { continue };
            // Elected already, by a request whose answer was lost.
            if let Some((_, term)) = leader {
                return Ok(term);
            }
            let Some(leader) = self.create(session).await? else { continue };
            let (owner, term) = leader;
            if owner == session {
                return Ok(term);
            }
            // Somebody was faster, and may be lost sight of before the view says who.
            let sessions = self.view.borrow().sessions.clone();
            self.lost_leader(leader, &sessions);
            let is_known = |view: &View| view.leader.is_some();
            drop(timeout(PAUSE / 5, view.wait_for(is_known)).await);
        }
    }

    /// Ends the term of a leader that this replica has lost sight of, so that there is
    /// another one before its lease has run out.
    async fn depose_lost(&mut self) -> Result<Looked, CallError> {
        let looked = {
            let view = self.view.borrow();
            Looked { leader: view.leader, sessions: view.sessions.clone() }
        };
        if let Some((session, term)) = looked.leader
            && let Some(leader) = self.lost_leader((session, term), &looked.sessions)
        {
            tracing::warn!(%leader, %term, "the leader cannot be reached any more; another one is elected");
            self.resign(term).await?;
        }
        Ok(looked)
    }

    /// Looks at a leader: its name, if this replica has lost sight of it since it leads.
    fn lost_leader(&mut self, (session, term): (Session, Term), sessions: &Sessions) -> Option<ReplicaId> {
        let sight = self.sight.borrow_and_update().clone();
        let lost = self.lookout.judge(&sight, sessions).lost;
        let name = sessions.iter().find(|(_, (known, _))| *known == session).map(|(name, _)| name)?;
        let is_lost = self.glimpse.loses(term, sight.lost.contains(name), lost.contains(name));
        is_lost.then(|| name.clone())
    }

    /// Becomes the leader where there is none; who leads then.
    async fn create(&self, session: Session) -> Result<Option<(Session, Term)>, CallError> {
        let key = self.keys.write(&Key::Leader);
        let put = TxnOp::put(key.clone(), self.options.me.id.as_str(), Some(PutOptions::new().with_lease(session.0)));
        let txn = Txn::new()
            .when([Compare::create_revision(key.clone(), CompareOp::Equal, 0)])
            .and_then([put, TxnOp::get(key.clone(), None)])
            .or_else([TxnOp::get(key, None)]);
        let answer = self.send(txn, self.connection.attempt() * 2).await?;
        Ok(leader_of(&answer))
    }

    /// Takes back whatever a stay has begun, though its answer may not have been waited for:
    /// a leader's key under a lease that lasts keeps all others from leading. Nothing where
    /// the lease has ended.
    pub(super) async fn withdraw(&self, stay: &Stay) {
        let key = self.keys.write(&Key::Leader);
        let is_ours = Compare::lease(key.clone(), CompareOp::Equal, stay.session.0);
        let txn = Txn::new().when([is_ours]).and_then([TxnOp::delete(key, None)]);
        while stay.lease.is_held(Instant::now()) {
            match self.send(txn.clone(), self.connection.attempt() * 3).await {
                Ok(_) => return,
                Err(error) => tracing::debug!(%error, "the candidacy is not taken back yet"),
            }
            sleep(PAUSE).await;
        }
    }

    /// Ends a term: the next leader may be elected at once.
    pub(crate) async fn resign(&self, term: Term) -> Result<(), CallError> {
        let key = self.keys.write(&Key::Leader);
        let created = i64::try_from(term.0).unwrap_or(i64::MAX);
        let txn = Txn::new()
            .when([Compare::create_revision(key.clone(), CompareOp::Equal, created)])
            .and_then([TxnOp::delete(key, None)]);
        self.send(txn, self.connection.attempt() * 3).await.map(drop)
    }
}

/// Returns when somebody else leads, or nobody; or others are there: how many are lost
/// counts beside how many there are.
async fn another_look(mut view: watch::Receiver<View>, looked: Looked) -> Result<(), watch::error::RecvError> {
    let is_other = |view: &View| view.leader != looked.leader || view.sessions != looked.sessions;
    view.wait_for(is_other).await.map(drop)
}

/// Whoever leads, by an answer with the key.
pub(super) fn leader_of(answer: &TxnResponse) -> Option<(Session, Term)> {
    answer.op_responses().iter().find_map(|response| match response {
        TxnOpResponse::Get(get) => get.kvs().first().map(|pair| (Session(pair.lease()), term(pair.create_revision()))),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_was_in_sight_once_can_be_lost_and_one_that_never_was_cannot() {
        let mut glimpse = Glimpse::default();
        assert!(!glimpse.loses(Term(1), false, false) && glimpse.loses(Term(1), true, true));
        assert!(!glimpse.loses(Term(2), true, true), "elected out of sight");
        assert!(!glimpse.loses(Term(2), true, true), "and still is");
        assert!(!glimpse.loses(Term(2), false, false), "it comes into sight");
        assert!(!glimpse.loses(Term(2), true, false), "more than half are out of sight");
        assert!(glimpse.loses(Term(2), true, true));
    }
}
