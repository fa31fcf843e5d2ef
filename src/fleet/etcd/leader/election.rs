//! Who leads: the key `leader`, created and deleted.

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Leader, PAUSE};
use crate::etcd::connection::CallError;
use crate::etcd::document::Session;
use crate::etcd::keys::Key;
use crate::etcd::plan::OutOfSight;
use crate::etcd::view::{View, term};
use crate::id::{ReplicaId, Term};

impl Leader {
    /// Waits until there is no leader and becomes it.
    pub(super) async fn elect(&mut self, session: Session) -> Result<Term, CallError> {
        let me = self.options.me.id.clone();
        loop {
            // A view from before this stay says nothing of the present.
            let is_ours = |view: &View| view.sessions.get(&me).is_some_and(|(known, _)| *known == session);
            let is_free = |view: &View| view.leader.is_none_or(|(leader, _)| leader == session);
            let elsewhere = self.depose_lost().await?;
            let mut view = self.view.clone();
            let leader = tokio::select! {
                seen = view.wait_for(|view| is_ours(view) && is_free(view)) => seen.map(|view| Some(view.leader)),
                changed = self.sight.changed() => changed.map(|()| None),
                changed = other_leader(self.view.clone(), elsewhere) => changed.map(|()| None),
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
            self.lost_leader(leader);
            let is_known = |view: &View| view.leader.is_some();
            drop(timeout(PAUSE / 5, view.wait_for(is_known)).await);
        }
    }

    /// Ends the term of a leader that this replica has lost sight of, so that there is
    /// another one before its lease has run out. The leader it has looked at.
    async fn depose_lost(&mut self) -> Result<Option<(Session, Term)>, CallError> {
        let leader = self.view.borrow().leader;
        if let Some((_, term)) = leader
            && let Some(lost) = leader.and_then(|leader| self.lost_leader(leader))
        {
            tracing::warn!(leader = %lost, %term, "the leader cannot be reached any more; another one is elected");
            self.resign(term).await?;
        }
        Ok(leader)
    }

    /// A leader that was lost sight of since it began to lead. A wrong guess costs an
    /// election, and only one: who was out of sight when it was first seen may lead.
    fn lost_leader(&mut self, (session, term): (Session, Term)) -> Option<ReplicaId> {
        let sessions = self.view.borrow().sessions.clone();
        let OutOfSight { lost, .. } = self.lookout.judge(&self.sight.borrow_and_update(), &sessions);
        let is_leader = |name: &ReplicaId| sessions.get(name).is_some_and(|(known, _)| *known == session);
        let lost = lost.into_iter().find(is_leader);
        let was_lost = match self.seen {
            Some((seen, was_lost)) if seen == term => was_lost,
            _ => self.seen.insert((term, lost.is_some())).1,
        };
        lost.filter(|_| !was_lost)
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

/// Returns when somebody else leads than `known`, or nobody.
async fn other_leader(
    mut view: watch::Receiver<View>,
    known: Option<(Session, Term)>,
) -> Result<(), watch::error::RecvError> {
    view.wait_for(|view| view.leader != known).await.map(drop)
}

/// Whoever leads, by an answer with the key.
pub(super) fn leader_of(answer: &TxnResponse) -> Option<(Session, Term)> {
    answer.op_responses().iter().find_map(|response| match response {
        TxnOpResponse::Get(get) => get.kvs().first().map(|pair| (Session(pair.lease()), term(pair.create_revision()))),
        _ => None,
    })
}
