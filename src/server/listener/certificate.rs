//! The certificate of the port: read from a Secret's PEM texts, or made here when
//! there is none.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Days a self-signed certificate is good for.
const VALID_DAYS: i64 = 365;

/// Why there is no certificate. None of the texts holds a key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The certificates are not PEM.
    #[error("the certificate chain is not readable")]
    Chain(#[source] rustls_pki_types::pem::Error),
    /// No certificate in the text.
    #[error("there is no certificate in the PEM text")]
    NoCertificate,
    /// The key is not PEM.
    #[error("the private key is not readable")]
    Key(#[source] rustls_pki_types::pem::Error),
    /// The key is of an unknown kind or not the certificate's.
    #[error("certificate and private key do not go together")]
    Pair(#[source] rustls::Error),
    /// A certificate could not be made.
    #[error("a self-signed certificate could not be made")]
    SelfSigned(#[source] rcgen::Error),
}

/// A certificate chain and its private key as PEM texts, as `tls.crt` and `tls.key`
/// of a Secret hold them. Cannot be formatted.
#[derive(Clone)]
pub struct PemPair {
    /// `tls.crt`.
    pub certificate: String,
    /// `tls.key`.
    pub key: String,
}

/// Reads a pair and checks that its halves belong together.
///
/// # Errors
/// See [`CertificateError`].
pub fn parse(certificate: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, CertificateError> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>().map_err(CertificateError::Chain)?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(CertificateError::Key)?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map(Arc::new).map_err(CertificateError::Pair)
}

/// Makes a pair for the names that the server has in its own cluster, good for a
/// year from `now`. RSA, because the default cipher suite of TLS 1.2 asks for it.
///
/// # Errors
/// When the library cannot make a key.
pub fn self_signed(namespace: &str, now: Timestamp) -> Result<PemPair, CertificateError> {
    make(namespace, now).map_err(CertificateError::SelfSigned)
}

fn make(namespace: &str, now: Timestamp) -> Result<PemPair, rcgen::Error> {
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)?;
    let mut params = CertificateParams::new(vec![
        "localhost".to_owned(),
        "argocd-server".to_owned(),
        format!("argocd-server.{namespace}"),
        format!("argocd-server.{namespace}.svc"),
        format!("argocd-server.{namespace}.svc.cluster.local"),
    ])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Argo CD");
    params.key_usages = vec![KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let ((year, month, day), (last_year, last_month, last_day)) = (date(now, 0), date(now, VALID_DAYS));
    params.not_before = rcgen::date_time_ymd(year, month, day);
    params.not_after = rcgen::date_time_ymd(last_year, last_month, last_day);
    let certificate = params.self_signed(&key)?;
    Ok(PemPair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Year, month and day that are `days` after `now`, at most the calendar's last.
fn date(now: Timestamp, days: i64) -> (i32, u8, u8) {
    let span = jiff::SignedDuration::from_hours(24 * days);
    let date = now.checked_add(span).unwrap_or(Timestamp::MAX).to_zoned(TimeZone::UTC).date();
    (date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-02-28T13:14:15Z".parse().unwrap()
    }

    #[test]
    fn a_self_signed_pair_can_be_served() {
        let pair = self_signed("argocd", now()).unwrap();
        assert_eq!(parse(pair.certificate.as_bytes(), pair.key.as_bytes()).unwrap().cert.len(), 1);
        assert_eq!(date(now(), VALID_DAYS), (2027, 2, 28));
    }

    #[test]
    fn what_does_not_go_together_is_refused_without_showing_a_key() {
        let (one, other) = (self_signed("a", now()).unwrap(), self_signed("b", now()).unwrap());
        let refused = parse(one.certificate.as_bytes(), other.key.as_bytes()).unwrap_err();
        assert!(matches!(refused, CertificateError::Pair(_)));
        assert!(matches!(parse(b"", one.key.as_bytes()), Err(CertificateError::NoCertificate)));
        assert!(matches!(parse(one.certificate.as_bytes(), b"secret"), Err(CertificateError::Key(_))));
    }
}
