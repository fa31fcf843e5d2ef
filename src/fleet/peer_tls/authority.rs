//! The authority of one installation, and the leaves it issues.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::PEER_NAME;

/// How long a new authority is valid.
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long a leaf is valid.
const LEAF_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Clocks of replicas may differ by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Signs the leaves of one installation. Holds a private key: it prints nothing.
pub struct Authority {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate of a process, with its key.
pub struct Leaf {
    /// The certificate, and behind it the authority's.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: PrivateKeyDer<'static>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// From when on another one should be used: half of its life.
    pub renew_at: Timestamp,
}

/// What can go wrong with certificates between replicas.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text is no certificate in PEM.
    #[error("the peers' authority is not a certificate in PEM")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    /// Certificate or key cannot be used to issue others.
    #[error("the peers' authority cannot issue certificates")]
    Authority(#[source] rcgen::Error),
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Issue(#[source] rcgen::Error),
    /// The TLS library refuses what it was given.
    #[error("cannot set up TLS between peers")]
    Setup(#[source] rustls::Error),
    /// The authority cannot be used to verify peers.
    #[error("cannot verify peers")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
}

// === impl Authority ===

impl Authority {
    /// A new authority, valid for ten years from now, and its private key in PEM,
    /// to be kept beside [`Self::certificate_pem`].
    ///
    /// # Errors
    /// [`TlsError::Issue`].
    pub fn new(now: Timestamp) -> Result<(Self, String), TlsError> {
        let key = KeyPair::generate().map_err(TlsError::Issue)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named("argosy peers");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        set_validity(&mut params, now, AUTHORITY_LIFE);
        let certificate = params.self_signed(&key).map_err(TlsError::Issue)?;
        let key_pem = key.serialize_pem();
        let authority = Self {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        };
        Ok((authority, key_pem))
    }

    /// An authority made before, from its certificate and key in PEM.
    ///
    /// # Errors
    /// [`TlsError::Certificate`] or [`TlsError::Authority`]; neither repeats the text.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, TlsError> {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(TlsError::Certificate)?;
        let key = KeyPair::from_pem(key).map_err(TlsError::Authority)?;
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(TlsError::Authority)?;
        Ok(Self { certificate: der, certificate_pem: certificate.to_owned(), issuer })
    }

    /// The authority's certificate, which is no secret.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Issues a leaf that is valid for a day. `name` is for people who look at it.
    ///
    /// # Errors
    /// [`TlsError::Issue`].
    pub fn issue(&self, name: &str, now: Timestamp) -> Result<Leaf, TlsError> {
        let key = KeyPair::generate().map_err(TlsError::Issue)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.subject_alt_names = vec![SanType::DnsName(PEER_NAME.try_into().map_err(TlsError::Issue)?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, LEAF_LIFE);
        let certificate = params.signed_by(&key, &self.issuer).map_err(TlsError::Issue)?;
        Ok(Leaf {
            chain: vec![certificate.der().clone(), self.certificate.clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            issued_at: now,
            renew_at: now + LEAF_LIFE / 2,
        })
    }

    /// The authority as the only root of trust.
    pub(super) fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(TlsError::Setup)?;
        Ok(roots)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf").field("renew_at", &self.renew_at).finish_non_exhaustive()
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::OrganizationName, "argosy");
    names.push(DnType::CommonName, name);
    names
}

fn set_validity(params: &mut CertificateParams, now: Timestamp, life: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    // Before 1970 there is no certificate to be made; then it is valid from 1970 on.
    let now = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
    params.not_before = epoch + now.saturating_sub(CLOCK_SKEW);
    params.not_after = epoch + now + life;
}
