//! Sealing small values that travel through a browser: only this installation can
//! read or make them.
//!
//! AES-256-GCM under a key derived from the server's secret key, one per purpose, so
//! what was sealed for one purpose does not open for another. The text is
//! hexadecimal: nonce, ciphertext, tag.

use std::fmt;

use argosy_model::Secret;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::token::SigningKey;

/// Longest sealed text that is looked at, in bytes; a cookie is shorter.
const MAX_LENGTH: usize = 16 * 1024;

/// A key for sealing and opening.
pub struct SealingKey(LessSafeKey);

/// A text was not sealed with this key, or somebody changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value was not sealed here or was changed")]
pub struct NotSealed;

// === impl SealingKey ===

impl SealingKey {
    /// The key for a purpose; all replicas have the same.
    pub fn new(key: &SigningKey, purpose: &str) -> Self {
        let bytes = key.derive(&format!("seal {purpose}"));
        let key = UnboundKey::new(&AES_256_GCM, bytes.expose()).expect("32 bytes are a key of AES-256");
        Self(LessSafeKey::new(key))
    }

    /// Seals a value. The nonce is 12 random bytes, never used again.
    pub fn seal(&self, value: &[u8], nonce: [u8; NONCE_LEN]) -> String {
        let mut text = value.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text)
            .expect("AES-GCM seals anything below 64 GiB");
        nonce.iter().chain(&text).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Opens what [`SealingKey::seal`] made.
    ///
    /// # Errors
    /// When it was not made with this key, or was changed.
    pub fn open(&self, sealed: &str) -> Result<Secret<Vec<u8>>, NotSealed> {
        let mut bytes = read_hex(sealed).ok_or(NotSealed)?;
        let (nonce, text) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(NotSealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotSealed)?;
        let value = self.0.open_in_place(nonce, Aad::empty(), text).map_err(|_| NotSealed)?;
        Ok(Secret::new(value.to_vec()))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(<redacted>)")
    }
}

/// Reads lower-case hexadecimal digits, so that one value has one text only.
fn read_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if text.len() > MAX_LENGTH || !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
