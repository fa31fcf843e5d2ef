//! The sandbox's own certificate authority: what it serves with, and client
//! certificates for kubeconfigs.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::StartError;

/// An authority and its key.
pub(super) struct Authority {
    pub(super) pem: String,
    pub(super) der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, both PEM and DER.
pub(super) struct Signed {
    pub(super) pem: String,
    pub(super) der: Vec<u8>,
    pub(super) key_pem: String,
    pub(super) key_der: Vec<u8>,
}

// === impl Authority ===

impl Authority {
    /// From what was kept, or new.
    pub(super) fn load(kept: Option<(String, String)>) -> Result<(Self, String), StartError> {
        let refused = |source| StartError::Certificate { source };
        let key = match &kept {
            Some((_, key)) => KeyPair::from_pem(key).map_err(refused)?,
            None => KeyPair::generate().map_err(refused)?,
        };
        let key_pem = key.serialize_pem();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "argosy sandbox authority");
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(refused)?;
        let der = certificate.der().to_vec();
        // The same name and key: what a kept certificate signed stays valid.
        let pem = kept.map_or_else(|| certificate.pem(), |(pem, _)| pem);
        Ok((Self { pem, der, issuer: Issuer::new(params, key) }, key_pem))
    }

    /// For the listener, at these names and addresses.
    pub(super) fn sign_server(&self, names: &[String]) -> Result<Signed, StartError> {
        let params = CertificateParams::new(names.to_vec()).map_err(|source| StartError::Certificate { source })?;
        self.sign(params, "argosy sandbox", &[], ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For a user in groups.
    pub(super) fn sign_client(&self, user: &str, groups: &[&str]) -> Result<Signed, StartError> {
        self.sign(CertificateParams::default(), user, groups, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        name: &str,
        groups: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Signed, StartError> {
        let refused = |source| StartError::Certificate { source };
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().map_err(refused)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(refused)?;
        Ok(Signed {
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            key_pem: key.serialize_pem(),
            key_der: key.serialize_der(),
        })
    }
}
