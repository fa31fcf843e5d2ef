//! The server's side of TLS.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::sync::watch;

use super::Error;

/// Versions and cipher suites, written as in the flags of Argo CD.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// Lowest version: `1.0` to `1.3`; below 1.2 nothing is offered, so `1.0` and
    /// `1.1` mean 1.2.
    pub min: String,
    /// Highest version.
    pub max: String,
    /// Cipher suites of TLS 1.2 by their IANA names, separated by colons; empty is
    /// all. Those of TLS 1.3 are not configurable.
    pub ciphers: String,
}

/// Suites that Go knows by name and this server does not offer (CBC), and those
/// of TLS 1.3, which are offered anyway.
const IGNORED: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
];

/// Presents the certificate of this moment.
struct Current(watch::Receiver<Arc<CertifiedKey>>);

/// The configuration of the port.
pub(super) fn config(
    certificate: watch::Receiver<Arc<CertifiedKey>>,
    options: &TlsOptions,
) -> Result<ServerConfig, Error> {
    let versions = versions(options)?;
    let mut provider = aws_lc_rs::default_provider();
    if versions.contains(&&TLS12) {
        restrict(&mut provider, &options.ciphers)?;
    }
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions)
        .map_err(Error::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Current(certificate)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn versions(options: &TlsOptions) -> Result<Vec<&'static SupportedProtocolVersion>, Error> {
    let (min, max) = (version(&options.min, 0)?, version(&options.max, 3)?);
    let offered = [(2, &TLS12), (3, &TLS13)];
    let versions: Vec<_> = offered.into_iter().filter(|(v, _)| (min..=max).contains(v)).map(|(_, v)| v).collect();
    if versions.is_empty() {
        return Err(Error::TlsVersions { min: options.min.clone(), max: options.max.clone() });
    }
    Ok(versions)
}

/// The minor number of a version; `unset` for none.
fn version(text: &str, unset: u8) -> Result<u8, Error> {
    match text {
        "" => Ok(unset),
        "1.0" => Ok(0),
        "1.1" => Ok(1),
        "1.2" => Ok(2),
        "1.3" => Ok(3),
        _ => Err(Error::TlsVersion(text.to_owned())),
    }
}

/// Leaves of the suites of TLS 1.2 only the named ones.
fn restrict(provider: &mut CryptoProvider, ciphers: &str) -> Result<(), Error> {
    let names: Vec<&str> = ciphers.split(':').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let of_tls12 = |suite: &rustls::SupportedCipherSuite| suite.version() == &TLS12;
    let name_of = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite());
    for name in &names {
        let known = provider.cipher_suites.iter().any(|suite| of_tls12(suite) && name_of(suite) == *name);
        if !known && !IGNORED.contains(name) {
            return Err(Error::Cipher((*name).to_owned()));
        }
    }
    provider.cipher_suites.retain(|suite| !of_tls12(suite) || names.contains(&name_of(suite).as_str()));
    if provider.cipher_suites.iter().any(of_tls12) { Ok(()) } else { Err(Error::Ciphers(ciphers.to_owned())) }
}

// === impl TlsOptions ===

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            min: "1.2".to_owned(),
            max: "1.3".to_owned(),
            ciphers: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384".to_owned(),
        }
    }
}

// === impl Current ===

impl ResolvesServerCert for Current {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.borrow().clone())
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(min: &str, max: &str, ciphers: &str) -> TlsOptions {
        TlsOptions { min: min.into(), max: max.into(), ciphers: ciphers.into() }
    }

    #[test]
    fn a_floor_below_1_2_is_1_2_and_a_ceiling_below_it_leaves_nothing() {
        assert_eq!(versions(&options("1.0", "1.3", "")).unwrap(), [&TLS12, &TLS13]);
        assert_eq!(versions(&options("1.3", "1.3", "")).unwrap(), [&TLS13]);
        assert!(matches!(versions(&options("1.0", "1.1", "")), Err(Error::TlsVersions { .. })));
        assert!(matches!(versions(&options("1.3", "1.2", "")), Err(Error::TlsVersions { .. })));
        assert!(matches!(versions(&options("2", "", "")), Err(Error::TlsVersion(_))));
    }

    #[test]
    fn unknown_suites_are_refused_and_old_ones_alone_too() {
        let mut provider = aws_lc_rs::default_provider();
        restrict(&mut provider, &TlsOptions::default().ciphers).unwrap();
        assert_eq!(provider.cipher_suites.iter().filter(|suite| suite.version() == &TLS12).count(), 1);
        assert!(provider.cipher_suites.iter().any(|suite| suite.version() == &TLS13));
        let mut provider = aws_lc_rs::default_provider();
        assert!(matches!(restrict(&mut provider, "TLS_NONSENSE"), Err(Error::Cipher(_))));
        assert!(matches!(restrict(&mut provider, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"), Err(Error::Ciphers(_))));
    }
}
