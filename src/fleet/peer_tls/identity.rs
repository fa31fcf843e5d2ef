//! A process' own leaf, renewed as it ages, and the TLS settings made of it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::UnixTime;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};

use super::Clock;
use super::authority::{Authority, Leaf, TlsError};

/// Who this process is to its peers. Clones share the leaf.
#[derive(Clone)]
pub struct Identity {
    shared: Arc<Shared>,
}

struct Shared {
    authority: Authority,
    name: String,
    clock: Clock,
    current: Mutex<Current>,
}

struct Current {
    renew_at: jiff::Timestamp,
    key: Arc<CertifiedKey>,
}

/// The clock, as rustls asks for it.
struct Time(Clock);

// === impl Identity ===

impl Identity {
    /// An identity with a fresh leaf. `name` is for people who look at it.
    ///
    /// # Errors
    /// [`TlsError::Issue`] or [`TlsError::Setup`].
    pub fn new(authority: Authority, name: &str, clock: Clock) -> Result<Self, TlsError> {
        let current = Current::of(authority.issue(name, clock())?)?;
        let shared = Shared { authority, name: name.to_owned(), clock, current: Mutex::new(current) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Settings of a listener that peers alone can connect to, for HTTP/2.
    ///
    /// # Errors
    /// [`TlsError::Verifier`] or [`TlsError::Setup`].
    pub fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let provider = provider();
        let roots = Arc::new(self.shared.authority.roots()?);
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build().map_err(TlsError::Verifier)?;
        let time = Arc::new(Time(self.shared.clock.clone()));
        let mut config = ServerConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Setup)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(self.clone()));
        // A resumed session would go on with certificates that have run out.
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    /// Settings of a connection to a peer, for HTTP/2. The name to verify is
    /// [`super::PEER_NAME`], whatever the address.
    ///
    /// # Errors
    /// [`TlsError::Setup`].
    pub fn client_config(&self) -> Result<ClientConfig, TlsError> {
        let time = Arc::new(Time(self.shared.clock.clone()));
        let mut config = ClientConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Setup)?
            .with_root_certificates(self.shared.authority.roots()?)
            .with_client_cert_resolver(Arc::new(self.clone()));
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    /// The leaf to show now, made anew when it is past half of its life.
    fn current(&self) -> Arc<CertifiedKey> {
        let now = (self.shared.clock)();
        let mut current = self.shared.current.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= current.renew_at {
            match self.shared.authority.issue(&self.shared.name, now).and_then(Current::of) {
                Ok(renewed) => *current = renewed,
                // The old one is good for as long again; the next handshake tries anew.
                Err(error) => tracing::warn!(%error, "the certificate for peers could not be renewed"),
            }
        }
        current.key.clone()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

// === impl Current ===

impl Current {
    fn of(leaf: Leaf) -> Result<Self, TlsError> {
        let key = aws_lc_rs::sign::any_supported_type(&leaf.key).map_err(TlsError::Setup)?;
        Ok(Self { renew_at: leaf.renew_at, key: Arc::new(CertifiedKey::new(leaf.chain, key)) })
    }
}

// === impl Time ===

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from((self.0)().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
