//! Certificates of TLS servers: PEM taken apart and described.

use argosy_proto::v1alpha1::RepositoryCertificate;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{HTTPS, subject};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Most lines of one certificate.
const MOST_LINES: usize = 128;
/// Most certificates of one host.
const MOST_CERTIFICATES: usize = 256;

/// Why a text gives no certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Invalid {
    #[error("maximum number of lines exceeded during certificate parsing")]
    TooLong,
    #[error("limit exceeded")]
    TooMany,
    #[error("could not decode PEM data from input")]
    Pem,
    #[error("could not parse X509 data from input")]
    X509,
}

/// What a certificate is about.
#[derive(Debug)]
pub(super) struct Facts {
    /// Its subject, as a distinguished name.
    pub(super) subject: String,
    /// Algorithm of its key, in small letters; `0` for one that nobody knows.
    pub(super) algorithm: &'static str,
}

/// The certificates in a text, each as PEM of its own; what is around them is
/// left out.
///
/// # Errors
/// When there are too many, or one is too long.
pub(super) fn split(text: &str) -> Result<Vec<String>, Invalid> {
    let mut found = Vec::new();
    let mut open: Option<(String, usize)> = None;
    for line in text.lines() {
        let (pem, lines) = match &mut open {
            None if line.starts_with(BEGIN) => open.insert((String::new(), 0)),
            None => continue,
            Some(open) => open,
        };
        pem.push_str(line);
        pem.push('\n');
        *lines += 1;
        if *lines > MOST_LINES {
            return Err(Invalid::TooLong);
        }
        if line.starts_with(END) {
            found.extend(open.take().map(|(pem, _)| pem));
            if found.len() > MOST_CERTIFICATES {
                return Err(Invalid::TooMany);
            }
        }
    }
    Ok(found)
}

/// Reads one certificate.
///
/// # Errors
/// When it is none.
pub(super) fn read(pem: &str) -> Result<Facts, Invalid> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| Invalid::Pem)?;
    let (rest, certificate) = X509Certificate::from_der(&der).map_err(|_| Invalid::X509)?;
    if !rest.is_empty() {
        return Err(Invalid::X509);
    }
    let algorithm = match &*certificate.public_key().algorithm.algorithm.to_id_string() {
        "1.2.840.113549.1.1.1" => "rsa",
        "1.2.840.10040.4.1" => "dsa",
        "1.2.840.10045.2.1" => "ecdsa",
        "1.3.101.112" => "ed25519",
        _ => "0",
    };
    Ok(Facts { subject: subject::text(certificate.subject()), algorithm })
}

/// A certificate as clients see it in lists; one that cannot be read is listed
/// with the reason.
pub(super) fn described(host: &str, pem: &str) -> RepositoryCertificate {
    let (sub_type, info) = match read(pem) {
        Ok(Facts { subject, algorithm }) => (algorithm, subject),
        Err(error) => ("invalid", error.to_string()),
    };
    RepositoryCertificate { cert_sub_type: sub_type.to_owned(), cert_info: info, ..named(host) }
}

/// A certificate with its data.
pub(super) fn whole(host: &str, pem: &str) -> RepositoryCertificate {
    RepositoryCertificate { cert_data: pem.as_bytes().to_vec(), ..named(host) }
}

fn named(host: &str) -> RepositoryCertificate {
    RepositoryCertificate { server_name: host.to_owned(), cert_type: HTTPS.to_owned(), ..Default::default() }
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    pub(in super::super) fn certificate(name: &str) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "CH");
        params.distinguished_name.push(DnType::OrganizationName, "Acme, Inc.");
        params.distinguished_name.push(DnType::CommonName, name);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn certificates_are_found_among_other_text() {
        let (a, b) = (certificate("a"), certificate("b"));
        let text = format!("subject=a\r\n{}\n# and\n{b}-----BEGIN CERTIFICATE-----\nopen", a.replace('\n', "\r\n"));
        let parts = split(&text).unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!(read(&parts[0]).unwrap().subject, "CN=a,O=Acme\\, Inc.,C=CH");
        assert_eq!(read(&parts[1]).unwrap().algorithm, "ecdsa");
    }

    #[test]
    fn endless_certificates_are_refused() {
        let long = format!("{BEGIN}\n{}{END}\n", "AAAA\n".repeat(127));
        assert_eq!(split(&long).unwrap_err(), Invalid::TooLong);
        let many = format!("{BEGIN}\n{END}\n").repeat(257);
        assert_eq!(split(&many).unwrap_err(), Invalid::TooMany);
    }

    #[test]
    fn what_cannot_be_read_is_listed_with_the_reason() {
        let broken = format!("{BEGIN}\nAAAA\n{END}\n");
        let shown = described("host", &broken);
        assert_eq!((&*shown.cert_sub_type, &*shown.cert_info), ("invalid", "could not parse X509 data from input"));
        assert_eq!(
            described("host", &format!("{BEGIN}\n!!\n{END}\n")).cert_info,
            "could not decode PEM data from input"
        );
    }
}
