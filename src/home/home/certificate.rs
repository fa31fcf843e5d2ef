//! The API server's certificate: from `argocd-server-tls` where that Secret has
//! one, else from `argocd-secret`.

use std::sync::Arc;

use tokio::sync::watch;

use super::Home;
use crate::documents::{CERTIFICATE, KEY, KeyPair};
use crate::error::{Error, Result};
use crate::settings::Names;

// === impl Home ===

impl Home {
    /// The certificate and key to serve with; `None` while there are none.
    pub fn server_certificate(&self) -> Option<Arc<KeyPair>> {
        self.shared.documents.certificate.borrow().clone()
    }

    /// Wakes when they have changed.
    pub fn server_certificate_changes(&self) -> watch::Receiver<Option<Arc<KeyPair>>> {
        self.shared.documents.certificate.subscribe()
    }

    /// Keeps a certificate and its key, both PEM, in `argocd-secret`, unless some
    /// are there already, and returns those that are in force then. Of several
    /// replicas that do so at once, one's are kept.
    ///
    /// # Errors
    /// When the Secret can be neither read nor written.
    pub async fn store_certificate(&self, certificate: &str, key: &str) -> Result<Arc<KeyPair>> {
        self.edit_settings_map(Names::SECRET, |data| {
            if KeyPair::read(data, CERTIFICATE, KEY).is_none() {
                data.insert(CERTIFICATE.to_owned(), certificate.to_owned());
                data.insert(KEY.to_owned(), key.to_owned());
            }
            Ok::<_, Error>(())
        })
        .await?;
        self.server_certificate()
            .ok_or_else(|| Error::Rejected("the certificate made for the server is empty".to_owned()))
    }
}
