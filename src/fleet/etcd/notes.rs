//! What a replica writes under its lease for others to see.

use std::sync::Arc;

use etcd_client::{Client, Compare, CompareOp, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse};
use tokio::time::Instant;

use crate::etcd::connection::{CallError, Connection};
use crate::etcd::document::Session;
use crate::etcd::keys::{Key, Keys};
use crate::etcd::session::Stay;
use crate::id::ReplicaId;

/// Keys in one transaction: etcd takes 128 operations.
const BATCH: usize = 64;

/// Writes keys that end with a stay, as long as it lasts. Clones share the connection.
#[derive(Clone)]
pub(crate) struct Notes {
    pub(crate) connection: Arc<Connection>,
    pub(crate) keys: Keys,
    pub(crate) me: ReplicaId,
}

/// One key to be written, or to be taken back.
pub(crate) enum Note {
    Put(Key, Vec<u8>),
    /// Only where there is none.
    PutNew(Key, Vec<u8>),
    Delete(Key),
    /// Taken back only where it still has this value: others write the same key.
    Withdraw(Key, Vec<u8>),
}

// === impl Notes ===

impl Notes {
    /// Writes them in this order. What has been written when it fails stays.
    ///
    /// # Errors
    /// [`CallError::LeaseGone`] when the stay is over.
    pub(crate) async fn write(&self, stay: &Stay, notes: &[Note]) -> Result<(), CallError> {
        self.write_if(stay, notes, None).await.map(drop)
    }

    /// As [`Self::write`], but only while the assignment is the one that was stored in
    /// a revision; `false` when it is not.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) async fn write_if(&self, stay: &Stay, notes: &[Note], stored: Option<i64>) -> Result<bool, CallError> {
        let assignment = self.keys.write(&Key::Assignment);
        let member = self.keys.write(&Key::Member(self.me.clone()));
        let under = PutOptions::new().with_lease(stay.session.0);
        for batch in notes.chunks(BATCH) {
            let operations: Vec<TxnOp> = batch
                .iter()
                .map(|note| {
                    let put = |key: &Key, value: &Vec<u8>| {
                        TxnOp::put(self.keys.write(key), value.as_slice(), Some(under.clone()))
                    };
                    match note {
                        Note::Put(key, value) => put(key, value),
                        Note::PutNew(key, value) => {
                            let is_new = Compare::create_revision(self.keys.write(key), CompareOp::Equal, 0);
                            TxnOp::txn(Txn::new().when([is_new]).and_then([put(key, value)]))
                        }
                        Note::Delete(key) => TxnOp::delete(self.keys.write(key), None),
                        Note::Withdraw(key, value) => {
                            let key = self.keys.write(key);
                            let is_ours = Compare::value(key.clone(), CompareOp::Equal, value.as_slice());
                            TxnOp::txn(Txn::new().when([is_ours]).and_then([TxnOp::delete(key, None)]))
                        }
                    }
                })
                .collect();
            let is_member = Compare::lease(member.clone(), CompareOp::Equal, stay.session.0);
            let is_stored = stored.map(|at| Compare::mod_revision(assignment.clone(), CompareOp::Equal, at));
            let get = TxnOp::get(member.clone(), None);
            let txn = Txn::new()
                .when([is_member].into_iter().chain(is_stored).collect::<Vec<_>>())
                .and_then(operations)
                .or_else([get]);
            let request = |client: Client| {
                let txn = txn.clone();
                async move { client.kv_client().txn(txn).await }
            };
            let answer = self.connection.call(stay.until().max(Instant::now()), request).await?;
            if !answer.succeeded() {
                return if is_under(&answer, stay.session) { Ok(false) } else { Err(CallError::LeaseGone) };
            }
        }
        Ok(true)
    }
}

/// Whether the member's key that was read stands under the lease of a session.
pub(crate) fn is_under(answer: &TxnResponse, session: Session) -> bool {
    answer.op_responses().iter().any(|response| match response {
        TxnOpResponse::Get(get) => get.kvs().first().is_some_and(|pair| pair.lease() == session.0),
        _ => false,
    })
}
