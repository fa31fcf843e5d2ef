//! Who leads: the key `leader`, created and deleted.

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse};
use tokio::sync::watch;
use tokio::time::sleep;

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
            self.depose_lost().await?;
            let mut view = self.view.clone();
            let elsewhere = view.borrow_and_update().leader;
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
            if let Some(term) = self.create(session).await? {
                return Ok(term);
            }
            // Somebody was faster, and the view will say who.
            sleep(PAUSE / 5).await;
        }
    }

    /// Ends the term of a leader that this replica has lost sight of, so that there is
    /// another one before its lease has run out. A wrong guess costs an election, and
    /// only one: who was out of sight when it began to lead may lead.
    async fn depose_lost(&mut self) -> Result<(), CallError> {
        let view = self.view.borrow().clone();
        let Some((session, term)) = view.leader else { return Ok(()) };
        let OutOfSight { lost, .. } = self.lookout.judge(&self.sight.borrow_and_update(), &view.sessions);
        let is_leader = |name: &&ReplicaId| view.sessions.get(*name).is_some_and(|(known, _)| *known == session);
        let lost = lost.iter().find(is_leader);
        let (_, was_lost) = *self.seen.get_or_insert((term, lost.is_some()));
        if self.seen.is_some_and(|(seen, _)| seen != term) {
            self.seen = Some((term, lost.is_some()));
            return Ok(());
        }
        match lost.filter(|_| !was_lost) {
            Some(leader) => {
                tracing::warn!(%leader, %term, "the leader cannot be reached any more; another one is elected");
                self.resign(term).await
            }
            None => Ok(()),
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

/// The term and the session of whoever leads, by an answer with the key.
pub(super) fn leader_of(answer: &TxnResponse) -> Option<(Term, Session)> {
    answer.op_responses().iter().find_map(|response| match response {
        TxnOpResponse::Get(get) => get.kvs().first().map(|pair| (term(pair.create_revision()), Session(pair.lease()))),
        _ => None,
    })
}
