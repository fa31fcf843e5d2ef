//! Signing a token, and saying of a token that we signed it and that it is valid now.

use argosy_model::Secret;
use jiff::Timestamp;
use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::{Algorithm, Header, Validation};
use serde_json::{Map, Value};

use super::claims::{Claims, ISSUER, Subject};
use super::key::SigningKey;
use crate::account::Capability;

/// Longest token of ours that is looked at, in bytes; real ones have some 300.
pub const MAX_LENGTH: usize = 8 * 1024;
/// Longest token of another issuer that is looked at, in bytes; groups make them long.
pub const MAX_FOREIGN_LENGTH: usize = 64 * 1024;

/// A token is not accepted. The text is for the client that showed it and has
/// nothing of the token but its own claims; whether an account exists it does not say.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is longer than any real one.
    #[error("token is malformed: it is too long")]
    TooLong,
    /// It is not a signed token at all, or its algorithm is unknown ("none" is).
    #[error("token is malformed")]
    Malformed(#[source] JwtError),
    /// It is signed in another way than ours are.
    #[error("token is unverifiable: unexpected signing method")]
    Algorithm,
    /// We did not sign it, or somebody changed it.
    #[error("token signature is invalid: signature is invalid")]
    Signature,
    /// It names another issuer.
    #[error("token has invalid claims: token has invalid issuer")]
    Issuer,
    /// A claim is missing or of the wrong type.
    #[error("token has invalid claims: {0} claim is missing or invalid")]
    Claim(&'static str),
    /// Its end has passed.
    #[error("token has invalid claims: token is expired")]
    Expired,
    /// Its beginning has not come.
    #[error("token has invalid claims: token is not valid yet")]
    NotYetValid,
    /// The account is disabled or gone.
    #[error("account {0} is disabled")]
    Account(String),
    /// The account no longer has the capability that the token was made for.
    #[error("account {account} does not have '{capability}' capability")]
    Capability {
        /// Name of the account.
        account: String,
        /// What it lacks.
        capability: Capability,
    },
    /// It has no identifier, so nobody could revoke it.
    #[error("token does not have a unique identifier (jti claim) and cannot be validated")]
    NoId,
    /// It was revoked.
    #[error("token is revoked, please re-login")]
    Revoked,
    /// The account does not list it, or no longer.
    #[error("account {account} does not have token with id {id}")]
    NotListed {
        /// Name of the account.
        account: String,
        /// The token's identifier.
        id: String,
    },
    /// The account's password was changed after it was issued.
    #[error("account password has changed since token issued")]
    PasswordChanged,
    /// The project does not list it, or the project or its role is gone.
    #[error("JWT token for role '{role}' issued at '{issued_at}' does not exist in project '{project}'")]
    NotInProject {
        /// Name of the project.
        project: String,
        /// Name of the role.
        role: String,
        /// When it was issued, in seconds since 1970.
        issued_at: i64,
    },
}

/// A token that we signed. It was valid when it was verified; whether it still
/// speaks for anybody, [`Verified::authorise`] says.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    pub(super) subject: Subject,
    pub(super) id: String,
    pub(super) issued_at: i64,
    pub(super) not_before: Option<i64>,
    pub(super) expires_at: Option<i64>,
    pub(super) claims: Map<String, Value>,
}

/// Who claims to have issued a token. Nothing is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// This installation.
    Ours,
    /// Somebody else, or nobody when empty.
    Other(String),
}

// === impl TokenError ===

impl TokenError {
    /// The text for the client, with the status Unauthenticated.
    pub fn client_message(&self) -> String {
        format!("invalid session: {self}")
    }

    fn from_jwt(error: JwtError) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::InvalidAlgorithm => Self::Algorithm,
            _ => Self::Malformed(error),
        }
    }
}

// === impl Verified ===

impl Verified {
    /// Whether it is valid now, to the second and without tolerance.
    pub(super) fn check_times(&self, now: Timestamp) -> Result<(), TokenError> {
        // The whole second suffices: both bounds are whole seconds.
        let now = now.as_second();
        if self.expires_at.is_some_and(|end| now >= end) {
            return Err(TokenError::Expired);
        }
        if self.not_before.is_some_and(|start| now < start) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

/// Signs a token.
///
/// # Errors
/// When the claims cannot be written as JSON or the signature cannot be made.
pub fn issue(claims: &Claims, key: &SigningKey) -> Result<Secret<String>, JwtError> {
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims.written(), &key.encoding).map(Secret::new)
}

/// Says of a token that we signed it and that it is valid now.
///
/// # Errors
/// When it is not; see [`TokenError`].
pub fn verify(token: &str, key: &SigningKey, now: Timestamp) -> Result<Verified, TokenError> {
    if token.len() > MAX_LENGTH {
        return Err(TokenError::TooLong);
    }
    let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, &key.decoding, &only_the_signature());
    let claims = decoded.map_err(TokenError::from_jwt)?.claims;
    if claims.get("iss").and_then(Value::as_str) != Some(ISSUER) {
        return Err(TokenError::Issuer);
    }
    let subject = claims.get("sub").and_then(Value::as_str).and_then(Subject::parse);
    let verified = Verified {
        subject: subject.ok_or(TokenError::Claim("sub"))?,
        id: read_id(&claims)?,
        issued_at: read_time(&claims, "iat")?.ok_or(TokenError::Claim("iat"))?,
        not_before: read_time(&claims, "nbf")?,
        expires_at: read_time(&claims, "exp")?,
        claims,
    };
    verified.check_times(now)?;
    Ok(verified)
}

/// Who claims to have issued a token, to choose who verifies it.
///
/// # Errors
/// When it is too long or not a token.
pub fn peek_issuer(token: &str) -> Result<Issuer, TokenError> {
    if token.len() > MAX_FOREIGN_LENGTH {
        return Err(TokenError::TooLong);
    }
    let claims: Map<String, Value> =
        jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(TokenError::from_jwt)?;
    Ok(match claims.get("iss").and_then(Value::as_str).unwrap_or_default() {
        ISSUER => Issuer::Ours,
        other => Issuer::Other(other.to_owned()),
    })
}

/// The library checks the signature; times are checked here, against the time that
/// was handed in.
fn only_the_signature() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn read_id(claims: &Map<String, Value>) -> Result<String, TokenError> {
    match claims.get("jti") {
        None => Ok(String::new()),
        Some(Value::String(id)) => Ok(id.clone()),
        Some(_) => Err(TokenError::Claim("jti")),
    }
}

fn read_time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, TokenError> {
    let read = |value| whole_seconds(value).ok_or(TokenError::Claim(name));
    claims.get(name).map(read).transpose()
}

/// A claim that is a time, in whole seconds since 1970; fractions are cut off.
pub(crate) fn whole_seconds(value: &Value) -> Option<i64> {
    // A float beyond the range becomes its end.
    let cut = |seconds: f64| seconds as i64;
    value.as_i64().or_else(|| value.as_f64().map(cut))
}
