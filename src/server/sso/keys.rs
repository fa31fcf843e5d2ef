//! The provider's public keys, and whether one of them signed a token.
//!
//! The token names a key and an algorithm; neither is taken at its word. The
//! algorithm must be one that the provider announces, the key must be of the kind
//! that the algorithm is for, and no secret that is shared is ever a key: so a
//! public key cannot be passed off as a secret, and "none" is nothing.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Most keys of a provider that are kept; a token without a key's name is tried
/// with all that fit.
const MOST: usize = 64;

/// The algorithms of public keys, by their names.
const ALGORITHMS: [(&str, Algorithm, Shape); 9] = [
    ("RS256", Algorithm::RS256, Shape::Rsa),
    ("RS384", Algorithm::RS384, Shape::Rsa),
    ("RS512", Algorithm::RS512, Shape::Rsa),
    ("PS256", Algorithm::PS256, Shape::Rsa),
    ("PS384", Algorithm::PS384, Shape::Rsa),
    ("PS512", Algorithm::PS512, Shape::Rsa),
    ("ES256", Algorithm::ES256, Shape::P256),
    ("ES384", Algorithm::ES384, Shape::P384),
    ("EdDSA", Algorithm::EdDSA, Shape::Ed25519),
];

/// A provider's keys for signatures.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeySet(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    /// The only algorithm it is for, where the provider says so.
    algorithm: Option<KeyAlgorithm>,
    shape: Shape,
    key: DecodingKey,
}

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// A token is not one of the provider's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("it is not a signed token")]
    Malformed,
    #[error("its algorithm is not one of the provider's")]
    Algorithm,
    #[error("it demands an extension that is not understood")]
    Extension,
    #[error("it names a key that the provider does not have")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

// === impl KeySet ===

impl KeySet {
    /// Reads the provider's document. Keys of kinds that are not understood, or for
    /// other purposes, are left out.
    ///
    /// # Errors
    /// When it is no document of keys.
    pub(crate) fn read(document: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Document = serde_json::from_slice(document)?;
        let keys = document.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        Ok(Self(keys.filter_map(|key| Key::read(&key)).take(MOST).collect()))
    }

    /// The claims of a token that one of the keys signed, with one of these algorithms.
    ///
    /// # Errors
    /// [`KeyError`].
    pub(crate) fn verify(&self, token: &str, allowed: &[Algorithm]) -> Result<Map<String, Value>, KeyError> {
        let header = decode_header(token).map_err(|_| KeyError::Malformed)?;
        let shape = ALGORITHMS.iter().find(|(_, algorithm, _)| *algorithm == header.alg).map(|(_, _, shape)| *shape);
        let shape = shape.filter(|_| allowed.contains(&header.alg)).ok_or(KeyError::Algorithm)?;
        if header.crit.is_some() {
            return Err(KeyError::Extension);
        }
        let fits = |key: &&Key| {
            key.shape == shape
                && key.algorithm.is_none_or(|only| only == header.alg.into())
                && header.kid.as_ref().is_none_or(|id| key.id.as_ref() == Some(id))
        };
        let mut outcome = Err(KeyError::UnknownKey);
        for key in self.0.iter().filter(fits) {
            outcome = key.verify(token, header.alg);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }
}

// === impl Key ===

impl Key {
    fn read(key: &Jwk) -> Option<Self> {
        let shape = match &key.algorithm {
            AlgorithmParameters::RSA(_) => Shape::Rsa,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => Shape::P256,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => Shape::P384,
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Shape::Ed25519,
            _ => return None,
        };
        let is_for_signatures = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let decoding = DecodingKey::from_jwk(key).ok().filter(|_| is_for_signatures)?;
        Some(Self { id: key.common.key_id.clone(), algorithm: key.common.key_algorithm, shape, key: decoding })
    }

    fn verify(&self, token: &str, algorithm: Algorithm) -> Result<Map<String, Value>, KeyError> {
        match decode::<Map<String, Value>>(token, &self.key, &only_the_signature(algorithm)) {
            Ok(decoded) => Ok(decoded.claims),
            Err(error) if matches!(error.kind(), ErrorKind::Json(_) | ErrorKind::Base64(_)) => Err(KeyError::Malformed),
            Err(_) => Err(KeyError::Signature),
        }
    }
}

/// The algorithms to accept, by what the provider announces. One that announces
/// nothing signs as every provider must be able to.
pub(crate) fn algorithms(announced: &[String]) -> Vec<Algorithm> {
    if announced.is_empty() {
        return vec![Algorithm::RS256];
    }
    let known = ALGORITHMS.iter().filter(|(name, _, _)| announced.iter().any(|one| one == name));
    known.map(|(_, algorithm, _)| *algorithm).collect()
}

/// What the claims say is checked elsewhere, against the time that is handed in.
fn only_the_signature(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}
