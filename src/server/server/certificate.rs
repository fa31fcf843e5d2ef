//! The certificate of the port: the one that is kept in the home namespace,
//! followed when it changes, or one of our own making where there is none.

use std::sync::Arc;

use argosy_home::{Clock, Home, KeyPair};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use crate::listener::certificate::{self, CertificateError};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be made or read.
    #[error("the certificate is unusable")]
    Unusable(#[from] CertificateError),
    /// It cannot be kept in the home namespace.
    #[error("the certificate cannot be kept")]
    Keep(#[from] argosy_home::Error),
}

/// The certificate now and whenever it changes. One that cannot be used is
/// logged, and the one before it stays.
pub(super) async fn follow(home: &Home, clock: &Clock) -> Result<watch::Receiver<Arc<CertifiedKey>>, Error> {
    let mut changes = home.server_certificate_changes();
    let first = match home.server_certificate() {
        Some(pair) => pair,
        None => make(home, clock).await?,
    };
    let (sender, receiver) = watch::channel(parse(&first)?);
    tokio::spawn(async move {
        while changes.changed().await.is_ok() && !sender.is_closed() {
            let Some(pair) = changes.borrow_and_update().clone() else { continue };
            match parse(&pair) {
                Ok(key) => {
                    sender.send_replace(key);
                    tracing::info!("serving with another certificate");
                }
                Err(error) => tracing::error!(%error, "the new certificate is unusable, the one before it stays"),
            }
        }
    });
    Ok(receiver)
}

/// Makes a certificate and keeps it for all replicas; of several that do so at
/// once, one's is kept.
async fn make(home: &Home, clock: &Clock) -> Result<Arc<KeyPair>, Error> {
    let pair = certificate::self_signed(home.namespace(), clock())?;
    tracing::info!("there is no certificate; a self-signed one is made");
    Ok(home.store_certificate(&pair.certificate, &pair.key).await?)
}

fn parse(pair: &KeyPair) -> Result<Arc<CertifiedKey>, CertificateError> {
    certificate::parse(pair.certificate.as_bytes(), pair.key.expose().as_bytes())
}
