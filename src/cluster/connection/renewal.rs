//! Exchanging a connection's credential while it is in use.

use std::sync::{Arc, Weak};
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Connection, read};
use crate::budget::Priority;
use crate::call::Call;
use crate::config::ClusterConfig;
use crate::error::{Error, Result, from_kube};
use crate::transport::Lanes;

/// Time for a proof that a credential works.
const PROOF: Duration = Duration::from_secs(15);
/// Least time between two questions to an exec plugin.
const RENEWAL: Duration = Duration::from_secs(30);
/// Longest wait of a refused request for a newer credential.
const REPLACED: Duration = Duration::from_secs(5);
/// Longest wait of a forbidden write for whether that was meant for its owner: a busy API
/// server takes a while to be asked.
const CLEARED: Duration = Duration::from_secs(5);
/// Between looks at whether an old credential is still in use.
const DRAINING: Duration = Duration::from_millis(20);

/// A credential that was replaced, until nothing is sent with it any more.
pub struct Draining(Weak<Lanes>);

// === impl Connection ===

impl Connection {
    /// Proves a new configuration against the cluster, then works with it. On an
    /// error the old one stays in place. What is returned tells when the old one
    /// is out of use.
    ///
    /// # Errors
    /// As [`Self::connect`], and whatever the cluster says to the new identity.
    pub async fn swap(&self, config: &ClusterConfig) -> Result<Draining> {
        let lanes = Lanes::build(config.reach()?).await?;
        let proven = tokio::time::timeout(PROOF, prove(&lanes.calls));
        self.unless_closed(async { proven.await.unwrap_or(Err(Error::Timeout(PROOF))) }).await?;
        Ok(self.put(lanes).await)
    }

    /// As [`Self::swap`], with the credential of another connection to the same
    /// cluster, which is closed by that. It is not proven again.
    ///
    /// # Errors
    /// [`Error::Closed`] when either is closed already.
    pub async fn adopt(&self, proven: Self) -> Result<Draining> {
        let lanes = proven.shared.lanes.swap(None).ok_or(Error::Closed)?;
        proven.close();
        if self.is_closed() {
            return Err(Error::Closed);
        }
        Ok(self.put_shared(lanes).await)
    }

    async fn put(&self, lanes: Lanes) -> Draining {
        self.put_shared(Arc::new(lanes)).await
    }

    async fn put_shared(&self, lanes: Arc<Lanes>) -> Draining {
        *self.shared.renewed.lock().await = Some(Instant::now());
        let old = self.shared.lanes.swap(Some(lanes));
        if self.shared.closed.is_cancelled() {
            self.shared.lanes.store(None);
        }
        // After the clients: whoever sees the new number gets the new clients.
        self.shared.generation.send_modify(|generation| *generation += 1);
        Draining(old.map(|old| Arc::downgrade(&old)).unwrap_or_default())
    }

    /// Proves that the cluster knows the present identity.
    ///
    /// # Errors
    /// [`Error::Credential`] when it refuses it, else what stands between.
    pub async fn prove(&self) -> Result<()> {
        let lanes = self.lanes()?;
        let _permit = self.shared.budget.acquire(Priority::Interactive).await;
        let proven = tokio::time::timeout(PROOF, prove(&lanes.calls));
        self.unless_closed(async { proven.await.unwrap_or(Err(Error::Timeout(PROOF))) }).await
    }

    /// After a 401 to a request of this generation: whether there is a newer
    /// credential to try. The exec plugin or the cloud provider is asked for one,
    /// unless that was a moment ago (kube does so itself only for tokens that say when they end);
    /// whoever looks after this connection is told.
    pub(super) async fn renew(&self, refused: u64) -> Result<bool> {
        let shared = &*self.shared;
        if *shared.generation.borrow() > refused {
            return Ok(true);
        }
        if shared.refused.receiver_count() > 0 {
            shared.refused.send_if_modified(|known| known.replace(refused) != Some(refused));
            let mut generation = shared.generation.subscribe();
            let newer = generation.wait_for(|generation| *generation > refused);
            return Ok(matches!(tokio::time::timeout(REPLACED, newer).await, Ok(Ok(_))));
        }
        let lanes = self.lanes()?;
        let recently = |at: Instant| at.elapsed() < RENEWAL;
        let is_made = lanes.reach.cloud.is_some() || lanes.reach.config.auth_info.exec.is_some();
        if !is_made || shared.renewed.lock().await.is_some_and(recently) {
            return Ok(false);
        }
        self.put(Lanes::build(lanes.reach.clone()).await?).await;
        Ok(true)
    }

    /// The latest generation that the cluster has refused to authenticate, as it
    /// changes. Whoever holds this promises to [`Self::swap`] in a newer
    /// credential; requests wait a moment for it.
    pub fn refusals(&self) -> watch::Receiver<Option<u64>> {
        self.shared.refused.subscribe()
    }

    /// Counts writes that the cluster forbids, as they come. With a subject of its
    /// own an owner is forbidden everything once it is superseded. Whoever holds
    /// this promises to look into that, and to [`Self::close`] or to
    /// [`Self::clear`]; the write waits a moment for it, so that nobody takes the
    /// end of an ownership for a fault of an application.
    pub fn doubts(&self) -> watch::Receiver<u64> {
        self.shared.forbidden.subscribe()
    }

    /// What was forbidden up to this number was not for want of ownership.
    pub fn clear(&self, up_to: u64) {
        self.shared.cleared.send_if_modified(|cleared| {
            let is_more = up_to > *cleared;
            *cleared = up_to.max(*cleared);
            is_more
        });
    }

    pub(super) async fn await_clearance(&self) {
        let shared = &*self.shared;
        if shared.forbidden.receiver_count() == 0 {
            return;
        }
        let mut cleared = shared.cleared.subscribe();
        let mut number = 0;
        shared.forbidden.send_modify(|count| {
            *count += 1;
            number = *count;
        });
        // In time or not: the answer is that of the cluster.
        let _ = tokio::time::timeout(CLEARED, cleared.wait_for(|cleared| *cleared >= number)).await;
    }
}

// === impl Draining ===

impl Draining {
    /// Waits until no request is sent with the old credential any more; `false`
    /// when that takes longer than `at_most`. Streams that were opened with it go
    /// on until they move over: the cluster asks who one is at the beginning.
    pub async fn done(self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        let mut looks = tokio::time::interval(DRAINING);
        while self.0.strong_count() > 0 {
            if Instant::now() >= deadline {
                return false;
            }
            looks.tick().await;
        }
        true
    }
}

/// Asks the cluster who we are: needs no permission beyond being somebody.
async fn prove(client: &kube::Client) -> Result<()> {
    let review = serde_json::json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let request = Call::write(Method::POST, path, crate::call::JSON, &review).request(None)?;
    let response = client.send(request).await.map_err(|e| from_kube(&e))?;
    match response.status() {
        StatusCode::UNAUTHORIZED => Err(Error::Credential("the cluster refuses it".to_owned())),
        status if status.is_server_error() => read(response).await.map(drop),
        // 403 and 404 too: somebody we are, whether or not we may ask who.
        _ => Ok(()),
    }
}
