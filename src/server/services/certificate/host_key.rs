//! Public keys of ssh servers.

use argosy_proto::v1alpha1::RepositoryCertificate;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};
use tonic::Status;

use super::host;

/// Algorithms of host keys, and of how many parts their keys consist after the
/// name. Of `ssh-ed25519` the length of the only one is known too.
const ALGORITHMS: [(&str, usize); 8] = [
    ("ssh-rsa", 2),
    ("ssh-dss", 4),
    ("ecdsa-sha2-nistp256", 2),
    ("ecdsa-sha2-nistp384", 2),
    ("ecdsa-sha2-nistp521", 2),
    (ED25519, 1),
    ("sk-ecdsa-sha2-nistp256@openssh.com", 3),
    ("sk-ssh-ed25519@openssh.com", 2),
];
const ED25519: &str = "ssh-ed25519";
const ED25519_BYTES: usize = 32;

/// Why something is no public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Invalid {
    #[error("ssh: the key is not valid base64 data")]
    Base64,
    #[error("ssh: short read")]
    Short,
    #[error("ssh: trailing junk in public key")]
    Trailing,
    #[error("ssh: unknown key algorithm: {0}")]
    Algorithm(String),
}

/// A key of a host, fit to be written into the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostKey {
    /// `host` or `[host]:port`.
    pub(super) host: String,
    /// Algorithm as it stands in the list.
    pub(super) sub_type: String,
    /// The key in base64, and a comment perhaps.
    pub(super) data: String,
    /// SHA-256 of the key in base64.
    pub(super) fingerprint: String,
}

// === impl HostKey ===

impl HostKey {
    /// Reads what a client wants to add.
    ///
    /// # Errors
    /// `InvalidArgument` where it could not stand in the list.
    pub(super) fn read(given: &RepositoryCertificate) -> Result<Self, Status> {
        let name = host::without_port(&given.server_name);
        if !host::is_valid(name) {
            return Err(Status::invalid_argument(format!("invalid hostname in request: {name}")));
        }
        let malformed = || Status::invalid_argument("ssh: invalid entry in known_hosts data");
        let data = std::str::from_utf8(&given.cert_data).map_err(|_| malformed())?.trim();
        let sub_type = &given.cert_sub_type;
        let is_word = !sub_type.is_empty() && sub_type.bytes().all(|b| b.is_ascii_graphic());
        if data.is_empty() || data.chars().any(|c| c.is_control() && c != '\t') || !is_word {
            return Err(malformed());
        }
        let key = read(data).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let is_rsa = key.algorithm == "ssh-rsa" && sub_type.starts_with("rsa-sha2-");
        if key.algorithm != *sub_type && !is_rsa {
            let algorithm = key.algorithm;
            return Err(Status::invalid_argument(format!("ssh: a key of type {algorithm} is not of type {sub_type}")));
        }
        Ok(Self {
            host: given.server_name.clone(),
            sub_type: sub_type.clone(),
            data: data.to_owned(),
            fingerprint: key.fingerprint,
        })
    }

    /// The key alone.
    pub(super) fn key(&self) -> &str {
        first_word(&self.data)
    }
}

/// A public key.
#[derive(Debug)]
pub(super) struct PublicKey {
    /// What it says it is.
    pub(super) algorithm: String,
    /// SHA-256 in base64, without the name of the hash.
    pub(super) fingerprint: String,
}

/// Reads a key in base64; what follows a space is a comment.
///
/// # Errors
/// When it is none, or of an algorithm that no host uses.
pub(super) fn read(data: &str) -> Result<PublicKey, Invalid> {
    let blob = STANDARD.decode(first_word(data)).map_err(|_| Invalid::Base64)?;
    let mut rest = &*blob;
    let name = part(&mut rest)?;
    let known = ALGORITHMS.iter().find(|(known, _)| known.as_bytes() == name);
    let Some((algorithm, parts)) = known else {
        return Err(Invalid::Algorithm(String::from_utf8_lossy(name).chars().take(64).collect()));
    };
    for _ in 0..*parts {
        let part = part(&mut rest)?;
        if part.is_empty() || *algorithm == ED25519 && part.len() != ED25519_BYTES {
            return Err(Invalid::Short);
        }
    }
    if !rest.is_empty() {
        return Err(Invalid::Trailing);
    }
    let fingerprint = STANDARD_NO_PAD.encode(Sha256::digest(&blob));
    Ok(PublicKey { algorithm: (*algorithm).to_owned(), fingerprint })
}

/// The key of an entry, without its comment.
pub(super) fn first_word(data: &str) -> &str {
    data.split_ascii_whitespace().next().unwrap_or_default()
}

/// A part with its length before it.
fn part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Invalid> {
    let (length, after) = rest.split_first_chunk::<4>().ok_or(Invalid::Short)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Invalid::Short)?;
    let (part, after) = after.split_at_checked(length).ok_or(Invalid::Short)?;
    *rest = after;
    Ok(part)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// GitHub's host key, whose fingerprint GitHub publishes.
    pub(in super::super) const GITHUB: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    pub(in super::super) const GITHUB_FINGERPRINT: &str = "+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU";

    fn given(host: &str, sub_type: &str, data: &str) -> RepositoryCertificate {
        RepositoryCertificate {
            server_name: host.to_owned(),
            cert_type: "ssh".to_owned(),
            cert_sub_type: sub_type.to_owned(),
            cert_data: data.as_bytes().to_vec(),
            ..Default::default()
        }
    }

    #[test]
    fn a_key_has_the_fingerprint_that_others_show() {
        let key = read(&format!("{GITHUB} a comment")).unwrap();
        assert_eq!((&*key.algorithm, &*key.fingerprint), ("ssh-ed25519", GITHUB_FINGERPRINT));
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_reason() {
        assert_eq!(read("***").unwrap_err(), Invalid::Base64);
        assert_eq!(read("").unwrap_err(), Invalid::Short);
        assert_eq!(read(&GITHUB[..60]).unwrap_err(), Invalid::Short);
        let mut blob = STANDARD.decode(GITHUB).unwrap();
        blob.push(0);
        assert_eq!(read(&STANDARD.encode(&blob)).unwrap_err(), Invalid::Trailing);
        let unknown = STANDARD.encode(b"\x00\x00\x00\x03abc");
        assert_eq!(read(&unknown).unwrap_err(), Invalid::Algorithm("abc".to_owned()));
        assert_eq!(read(&STANDARD.encode(u32::MAX.to_be_bytes())).unwrap_err(), Invalid::Short);
    }

    #[test]
    fn an_entry_cannot_bring_further_lines_with_it() {
        assert!(HostKey::read(&given("[git.example.com]:2222", "ssh-ed25519", GITHUB)).is_ok());
        let two = format!("{GITHUB}\nevil.example.com ssh-ed25519 {GITHUB}");
        for (host, sub_type, data) in [
            ("git.example.com", "ssh-ed25519", &*two),
            ("git.example.com\nevil", "ssh-ed25519", GITHUB),
            ("git.example.com", "ssh-ed25519 x\ny", GITHUB),
            ("git.example.com", "", GITHUB),
            ("git.example.com", "ssh-rsa", GITHUB),
            ("@cert-authority", "ssh-ed25519", GITHUB),
        ] {
            assert!(HostKey::read(&given(host, sub_type, data)).is_err(), "{host:?} {sub_type:?}");
        }
    }
}
