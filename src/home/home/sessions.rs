//! What all API replicas know of sign-ins: one shared document.

use std::collections::BTreeMap;
use std::sync::Arc;

use argosy_model::AppKey;
use tokio::sync::watch;

use super::Home;
use super::maps::Core;
use crate::documents::{KeyPair, PEERS, SESSIONS};
use crate::error::{Error, Result};

/// Keys of the authority in its Secret.
const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";

// === impl Home ===

impl Home {
    /// The document about sign-ins: revocations, counters, whatever its editors
    /// put there. Empty while nobody has written it.
    pub fn sessions(&self) -> Arc<BTreeMap<String, String>> {
        self.shared.documents.sessions.borrow().clone()
    }

    /// Wakes when it has changed, here or on another replica.
    pub fn sessions_changes(&self) -> watch::Receiver<Arc<BTreeMap<String, String>>> {
        self.shared.documents.sessions.subscribe()
    }

    /// Changes it, and returns it as it is then; [`Self::sessions`] is at least as
    /// new. `edit` may run several times and should drop what has run out: the
    /// document may not grow beyond about 1 MiB.
    ///
    /// # Errors
    /// `edit`'s own; [`Error::Conflict`] when others were faster ten times;
    /// [`Error::TooLarge`]; or another.
    pub async fn edit_sessions<E: From<Error>>(
        &self,
        edit: impl FnMut(&mut BTreeMap<String, String>) -> Result<(), E>,
    ) -> Result<Arc<BTreeMap<String, String>>, E> {
        let object = self.edit_secret(SESSIONS, &Core::Secret.part(SESSIONS), edit).await?;
        let written = Arc::new(Core::Secret.data(&object));
        let documents = &self.shared.documents;
        self.keep_core(&documents.store, object).await?;
        documents.publish();
        Ok(written)
    }

    /// The authority that signs the certificates replicas know each other by. It is
    /// made by `make` (PEM of the certificate and of its key) when there is none
    /// yet; of several replicas that do so at once, one's is kept and all get that.
    ///
    /// # Errors
    /// When it can be neither read nor written.
    pub async fn peer_authority(&self, make: impl Fn() -> (String, String)) -> Result<KeyPair> {
        let read = |data: &BTreeMap<String, String>| KeyPair::read(data, CA_CERTIFICATE, CA_KEY);
        let documents = &self.shared.documents;
        let known = documents.store.get(&AppKey::new(self.namespace(), PEERS));
        if let Some(pair) = known.and_then(|secret| read(secret.data.expose())) {
            return Ok(pair);
        }
        let object = self
            .edit_secret(PEERS, &Core::Secret.part(PEERS), |data| {
                if read(data).is_none() {
                    let (certificate, key) = make();
                    data.insert(CA_CERTIFICATE.to_owned(), certificate);
                    data.insert(CA_KEY.to_owned(), key);
                }
                Ok::<_, Error>(())
            })
            .await?;
        let pair = read(&Core::Secret.data(&object));
        self.keep_core(&documents.store, object).await?;
        pair.ok_or_else(|| Error::Rejected("the authority made for replicas is empty".to_owned()))
    }
}
