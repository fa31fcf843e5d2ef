//! The key that signs the tokens of service accounts. Kept across restarts by
//! whoever starts the sandbox, or all tokens end with the process.

use argosy_model::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A new one could not be made.
    #[error("a key for tokens could not be made")]
    Generate(#[source] rcgen::Error),
    /// The text is not a private key.
    #[error("the key for tokens could not be read")]
    Read(#[source] rcgen::Error),
    /// It is a key, but for neither ES256 nor RS256.
    #[error("keys for tokens are P-256 or RSA")]
    Kind,
    /// It cannot sign.
    #[error("a token could not be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// A private key and what belongs to it.
pub struct TokenKeys {
    pair: rcgen::KeyPair,
    algorithm: Algorithm,
    id: String,
    signing: EncodingKey,
    verifying: DecodingKey,
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

    /// A PKCS#8 private key: P-256 for ES256 or RSA for RS256.
    ///
    /// # Errors
    /// [`KeyError::Read`], [`KeyError::Kind`].
    pub fn from_pem(pem: &Secret<String>) -> Result<Self, KeyError> {
        Self::of(rcgen::KeyPair::from_pem(pem.expose()).map_err(KeyError::Read)?)
    }

    fn of(pair: rcgen::KeyPair) -> Result<Self, KeyError> {
        let der = pair.serialized_der();
        let public = pair.public_key_raw();
        let (algorithm, signing, verifying) = if pair.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256) {
            (Algorithm::ES256, EncodingKey::from_ec_der(der), DecodingKey::from_ec_der(public))
        } else if pair.is_compatible(&rcgen::PKCS_RSA_SHA256) {
            let signing = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).map_err(|_| KeyError::Kind)?;
            (Algorithm::RS256, signing, DecodingKey::from_rsa_der(public))
        } else {
            return Err(KeyError::Kind);
        };
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(public));
        Ok(Self { pair, algorithm, id, signing, verifying })
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
        let header = Header { kid: Some(self.id.clone()), typ: None, ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.signing).map_err(KeyError::Sign)
    }

    /// The claims of a token of ours, whatever they say; `None` for another's.
    pub(super) fn open(&self, token: &str) -> Option<Value> {
        let mut validation = Validation::new(self.algorithm);
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
