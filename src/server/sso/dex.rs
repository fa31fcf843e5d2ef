//! Dex, the provider that may run beside the product: where it is, and how it is
//! known to be the right one.
//!
//! Browsers and the command line reach it below our own address; what this replica
//! itself asks of it goes to it directly, because the own address may lead through
//! a load balancer that cannot be reached from inside.

use std::path::Path;
use std::sync::Arc;

use argosy_home::Settings;
use argosy_model::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::config;
use crate::options::ServerOptions;

/// Name of the server's client at Dex.
pub(crate) const CLIENT_ID: &str = "argo-cd";
/// Below the own address.
pub(crate) const PATH: &str = "/api/dex";
/// Folder of the configuration that is mounted into the replica, unless the
/// environment says otherwise.
const CONFIG_FOLDER: &str = "/app/config";
const CONFIG_FOLDER_VARIABLE: &str = "ARGOCD_APP_CONF_PATH";

/// Where Dex is and how it proves itself.
#[derive(Clone, Debug)]
pub(crate) struct DexAddress {
    pub(crate) url: Url,
    pub(crate) trust: Trust,
}

/// How a server's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// There is none.
    Plaintext,
    /// It is not, as inside one cluster by default.
    Any,
    /// It must be the very certificate that is mounted.
    Pinned,
}

/// Dex cannot be reached as it is set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DexError {
    #[error("the address of Dex is none")]
    Address(#[source] url::ParseError),
    #[error("Dex's certificate, which is to be checked, cannot be read")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    #[error("TLS towards Dex cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// Accepts one certificate only.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

// === impl DexAddress ===

impl DexAddress {
    /// From the flags of the replica.
    ///
    /// # Errors
    /// When the address is none.
    pub(crate) fn new(options: &ServerOptions) -> Result<Self, DexError> {
        let address = &options.dex_server;
        let scheme = if options.dex_plaintext { "http" } else { "https" };
        let text = if address.contains("://") { address.clone() } else { format!("{scheme}://{address}") };
        let url = Url::parse(&text).map_err(DexError::Address)?;
        let trust = match (options.dex_plaintext || url.scheme() == "http", options.dex_strict_tls) {
            (true, _) => Trust::Plaintext,
            (false, true) => Trust::Pinned,
            (false, false) => Trust::Any,
        };
        Ok(Self { url, trust })
    }

    /// TLS that accepts the mounted certificate alone; `None` where nothing is pinned.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub(super) fn pinned_tls(&self, settings: &Settings) -> Result<Option<ClientConfig>, DexError> {
        if self.trust != Trust::Pinned {
            return Ok(None);
        }
        let folder = settings.raw.env.get(CONFIG_FOLDER_VARIABLE).filter(|folder| !folder.is_empty());
        let file = Path::new(folder.map_or(CONFIG_FOLDER, String::as_str)).join("dex/tls/tls.crt");
        let certificate = CertificateDer::from_pem_file(file).map_err(DexError::Certificate)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(DexError::Tls)?;
        let verifier = Arc::new(Pinned { certificate, provider });
        Ok(Some(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
    }
}

/// Whether Dex is to be used: it has a configuration, and an address to be reached at.
pub(crate) fn is_configured(settings: &Settings) -> bool {
    let has_fields = || match config::fields("dex.config", &settings.api.dex_config) {
        Ok(fields) => !fields.is_empty(),
        Err(error) => {
            tracing::warn!(%error, "Dex is not used");
            false
        }
    };
    !settings.api.url.is_empty() && !settings.api.dex_config.trim().is_empty() && has_fields()
}

/// The name of Dex as an issuer.
pub(crate) fn issuer(settings: &Settings) -> String {
    format!("{}{PATH}", settings.api.url.trim_end_matches('/'))
}

/// The secret of the server's client at Dex. Dex's configuration and every replica
/// make the same one of the server's key.
pub(crate) fn client_secret(settings: &Settings) -> Option<Secret<String>> {
    let key = settings.secret("server.secretkey")?;
    let mut text = URL_SAFE.encode(Sha256::digest(key.expose().as_bytes()));
    text.truncate(40);
    Some(Secret::new(text))
}

// === impl Pinned ===

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("the certificate is not the one of Dex".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
