//! Certificates for one test world: an authority and what it signs.

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// A certificate authority of the test's own.
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// Its PKCS#8 key.
    pub key_pem: String,
}

// === impl Authority ===

impl Authority {
    /// A new authority. Names must differ between an authority and what it
    /// signs, or OpenSSL takes the leaf for self-signed.
    ///
    /// # Errors
    /// When no key can be generated.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().context("generating a key")?;
        let certificate = params.self_signed(&key).context("signing an authority")?;
        Ok(Self { certificate_pem: certificate.pem(), issuer: Issuer::new(params, key) })
    }

    /// The authority's certificate, for those who trust it.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// For a server with these host names and addresses.
    ///
    /// # Errors
    /// When a name is no DNS name or address.
    pub fn sign_server(&self, names: &[&str]) -> anyhow::Result<Identity> {
        let names: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
        let params = CertificateParams::new(names).context("naming a server")?;
        self.sign(params, "argosy test server", ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For a client: to Kubernetes the common name is the user, the
    /// organisation its group.
    ///
    /// # Errors
    /// When no key can be generated.
    pub fn sign_client(&self, user: &str, group: Option<&str>) -> anyhow::Result<Identity> {
        let mut params = CertificateParams::default();
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        self.sign(params, user, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
    ) -> anyhow::Result<Identity> {
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().context("generating a key")?;
        let certificate = params.signed_by(&key, &self.issuer).context("signing a certificate")?;
        Ok(Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

/// A new private key (PKCS#8) and its public key, both PEM, for tokens that are
/// signed here and checked there.
///
/// # Errors
/// When no key can be generated.
pub fn generate_signing_keys() -> anyhow::Result<(String, String)> {
    let key = KeyPair::generate().context("generating a key")?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

/// Chooses the process-wide cryptography once, which TLS clients need.
pub fn install_crypto() {
    // An error says that it was chosen already, by an earlier call.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}
