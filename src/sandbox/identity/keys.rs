//! The key that signs the tokens of service accounts. Kept across restarts by
//! whoever starts the sandbox, or all tokens end with the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use argosy_model::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Most tokens whose claims are remembered; beyond that all are read anew.
const REMEMBERED: usize = 1024;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A new one could not be made.
    #[error("a key for tokens could not be made")]
    Generate(#[source] rcgen::Error),
    /// The text is not a private key.
    #[error("the key for tokens could not be read")]
    Read(#[source] rcgen::Error),
    /// It is a key, but not for ES256.
    #[error("keys for tokens are of the curve P-256")]
    Kind,
    /// It cannot sign.
    #[error("a token could not be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// A private key and what belongs to it.
pub struct TokenKeys {
    pair: rcgen::KeyPair,
    id: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    /// Claims of tokens of ours by the tokens' hashes: a signature costs more to verify
    /// than most requests to answer, and what is ours stays ours.
    opened: Mutex<HashMap<[u8; 32], Arc<Value>>>,
}

// === impl TokenKeys ===

impl TokenKeys {
    /// A new P-256 key, for ES256.
    ///
    /// # Errors
    /// [`KeyError::Generate`].
    pub fn generate() -> Result<Self, KeyError> {
        Self::of(rcgen::KeyPair::generate().map_err(KeyError::Generate)?)
    }

    /// A PKCS#8 private key on the curve P-256.
    ///
    /// # Errors
    /// [`KeyError::Read`], [`KeyError::Kind`].
    pub fn from_pem(pem: &Secret<String>) -> Result<Self, KeyError> {
        Self::of(rcgen::KeyPair::from_pem(pem.expose()).map_err(KeyError::Read)?)
    }

    fn of(pair: rcgen::KeyPair) -> Result<Self, KeyError> {
        if !pair.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256) {
            return Err(KeyError::Kind);
        }
        let signing = EncodingKey::from_ec_der(pair.serialized_der());
        let verifying = DecodingKey::from_ec_der(pair.public_key_raw());
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(pair.public_key_raw()));
        Ok(Self { pair, id, signing, verifying, opened: Mutex::default() })
    }

    /// The private key, to be kept.
    #[must_use]
    pub fn to_pem(&self) -> Secret<String> {
        Secret::new(self.pair.serialize_pem())
    }

    /// The public key, for others who verify tokens.
    #[must_use]
    pub fn public_pem(&self) -> String {
        self.pair.public_key_pem()
    }

    pub(super) fn sign(&self, claims: &impl Serialize) -> Result<String, KeyError> {
        let header = Header { kid: Some(self.id.clone()), typ: None, ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.signing).map_err(KeyError::Sign)
    }

    /// The claims of a token of ours, whatever they say; `None` for another's.
    pub(super) fn open(&self, token: &str) -> Option<Arc<Value>> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let opened = || self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claims) = opened().get(&hash) {
            return Some(claims.clone());
        }
        let claims = Arc::new(self.verify(token)?);
        let mut opened = opened();
        if opened.len() >= REMEMBERED {
            opened.clear();
        }
        opened.insert(hash, claims.clone());
        Some(claims)
    }

    fn verify(&self, token: &str) -> Option<Value> {
        let mut validation = Validation::new(Algorithm::ES256);
        // Times are judged by our own clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, &self.verifying, &validation).ok()?;
        Some(Value::Object(decoded.claims))
    }
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKeys").field("id", &self.id).finish_non_exhaustive()
    }
}
