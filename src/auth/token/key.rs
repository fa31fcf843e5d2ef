//! The key that tokens are signed with, and what else is derived from it.

use std::fmt;

use argosy_model::Secret;
use aws_lc_rs::hkdf;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{DecodingKey, EncodingKey};

/// The installation's signing key: the value of `server.secretkey`, taken as the
/// bytes that are written there (it is not base64 to be decoded).
#[derive(Clone)]
pub struct SigningKey {
    bytes: Secret<Vec<u8>>,
    pub(super) encoding: EncodingKey,
    pub(super) decoding: DecodingKey,
}

/// A key of no bytes, with which anybody could sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's secret key is empty")]
pub struct EmptyKey;

// === impl SigningKey ===

impl SigningKey {
    /// Takes the value of `server.secretkey`.
    ///
    /// # Errors
    /// When it is empty.
    pub fn new(value: &[u8]) -> Result<Self, EmptyKey> {
        if value.is_empty() {
            return Err(EmptyKey);
        }
        Ok(Self {
            bytes: Secret::new(value.to_vec()),
            encoding: EncodingKey::from_secret(value),
            decoding: DecodingKey::from_secret(value),
        })
    }

    /// What to write as `server.secretkey` when there is none: 32 random bytes as text.
    pub fn fresh_value(random: &[u8; 32]) -> Secret<String> {
        Secret::new(STANDARD.encode(random))
    }

    /// A key for another purpose. Knowing it tells nothing about this key or about
    /// the keys of other purposes; every replica derives the same.
    pub(crate) fn derive(&self, purpose: &str) -> Secret<[u8; 32]> {
        let mut derived = [0; 32];
        let strong = hkdf::Salt::new(hkdf::HKDF_SHA256, b"argosy").extract(self.bytes.expose());
        strong
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|output| output.fill(&mut derived))
            .expect("HKDF yields up to 255 blocks, and this is one");
        Secret::new(derived)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(<redacted>)")
    }
}
