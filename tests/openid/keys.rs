//! Keys of a provider, tokens that they sign, and tokens that nobody should believe.

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Map, Value, json};

/// Before the key itself in the PKCS#8 form of an RSA key of 2048 bits.
const PKCS8_PREFIX: usize = 26;

/// Before the key itself in the older PKCS#8 form of an Ed25519 key.
const ED25519_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// What a key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RS256.
    Rsa,
    /// PS256.
    RsaPss,
    /// ES256.
    P256,
    /// ES384.
    P384,
    /// EdDSA.
    Ed25519,
}

/// A private key and its name.
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    kind: Kind,
    key: EncodingKey,
}

// === impl Kind ===

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Rsa, Self::RsaPss, Self::P256, Self::P384, Self::Ed25519];

    pub(super) fn algorithm(self) -> Algorithm {
        match self {
            Self::Rsa => Algorithm::RS256,
            Self::RsaPss => Algorithm::PS256,
            Self::P256 => Algorithm::ES256,
            Self::P384 => Algorithm::ES384,
            Self::Ed25519 => Algorithm::EdDSA,
        }
    }
}

// === impl SigningKey ===

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// When none can be generated.
    pub fn new(name: &str, kind: Kind) -> anyhow::Result<Self> {
        let pair = match kind {
            Kind::Rsa | Kind::RsaPss => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            Kind::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Kind::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            Kind::Ed25519 => KeyPair::generate_for(&PKCS_ED25519),
        };
        let der = pair.context("generating a provider's key")?.serialize_der();
        let key = match kind {
            Kind::Rsa | Kind::RsaPss => EncodingKey::from_rsa_der(&der[PKCS8_PREFIX..]),
            Kind::P256 | Kind::P384 => EncodingKey::from_ec_der(&der),
            // The older form, without the public key, is the only one that is shown.
            Kind::Ed25519 => EncodingKey::from_ed_der(&[ED25519_PREFIX.as_slice(), &der[16..48]].concat()),
        };
        Ok(Self { name: name.to_owned(), kind, key })
    }

    /// The public key, as the provider shows it.
    pub fn public(&self) -> Value {
        let mut key = Jwk::from_encoding_key(&self.key, self.kind.algorithm()).expect("the key is of its kind");
        key.common.key_id = Some(self.name.clone());
        serde_json::to_value(key).expect("a key is JSON")
    }

    /// A token with exactly these claims.
    pub fn sign(&self, claims: &Map<String, Value>) -> String {
        self.sign_as(&self.name, claims)
    }

    /// The same with another name for the key.
    pub fn sign_as(&self, name: &str, claims: &Map<String, Value>) -> String {
        let header = Header { kid: Some(name.to_owned()), ..Header::new(self.kind.algorithm()) };
        encode(&header, claims, &self.key).expect("claims are JSON and the key is of its kind")
    }
}

/// A token whose signature is made with a secret that everybody knows.
pub fn forge(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &EncodingKey::from_secret(secret), Algorithm::HS256);
    format!("{message}.{}", signature.expect("any bytes are a secret"))
}

/// A token that says it needs no signature.
pub fn unsigned(claims: &Value) -> String {
    format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(claims))
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}
