//! What the claims of a provider's token must say before they are believed.
//!
//! The signature is checked elsewhere, against the provider's keys; this is about
//! issuer, audience and time. Audience: a token that names any must name one of
//! ours; a token that names none is accepted only where the settings say so.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::identity::{Identity, Kind};
use crate::token::ISSUER;

/// The audiences of tokens from the bundled Dex: the server and the command line.
pub const DEX_AUDIENCES: [&str; 2] = ["argo-cd", "argo-cd-cli"];

/// How far the provider's clock may be ahead of ours when a token begins, in seconds.
const BEGIN_LEEWAY: i64 = 300;

/// What a provider's token is held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The provider.
    pub issuer: String,
    /// For whom its tokens may be made; see [`allowed_audiences`].
    pub audiences: Vec<String>,
    /// Whether a token that names no audience is accepted.
    pub skip_audience_when_none: bool,
}

/// A provider's token is not accepted. The text is for the log; the client is told
/// [`ClaimsError::CLIENT_MESSAGE`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// It names another issuer, or us.
    #[error("the token was issued by '{0}', not by the configured provider")]
    Issuer(String),
    /// It is for somebody else.
    #[error("none of the token's audiences {0:?} is allowed")]
    Audience(Vec<String>),
    /// It names no audience.
    #[error("the token has no audience")]
    NoAudience,
    /// A claim is missing or of the wrong type.
    #[error("the token's claim '{0}' is missing or invalid")]
    Claim(&'static str),
    /// Its end has passed. A client is then to sign in again.
    #[error("the token is expired")]
    Expired,
    /// Its beginning has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
}

// === impl ClaimsError ===

impl ClaimsError {
    /// What the client is told, with the status Unauthenticated.
    pub const CLIENT_MESSAGE: &str = "invalid session: failed to verify the token";
}

/// For whom a provider's tokens may be made: the configured audiences, or else the
/// clients of the server and of the command line.
pub fn allowed_audiences(configured: &[String], client_id: &str, cli_client_id: &str) -> Vec<String> {
    if !configured.is_empty() {
        return configured.to_vec();
    }
    [client_id, cli_client_id].into_iter().filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

/// Who a provider says is asking. The signature must have been checked; groups are
/// left to whoever knows the scopes ([`Identity::with_groups`]).
///
/// # Errors
/// When the claims are not for us, or not now.
pub fn validate_claims(
    claims: Map<String, Value>,
    expected: &Expected,
    now: Timestamp,
) -> Result<Identity, ClaimsError> {
    let issuer = text(&claims, "iss").unwrap_or_default().to_owned();
    // Nobody's claims but ours pass for ours, whatever the settings call the provider.
    if issuer != expected.issuer || issuer.is_empty() || issuer == ISSUER {
        return Err(ClaimsError::Issuer(issuer));
    }
    check_audience(&claims, expected)?;
    let expires_at = time(&claims, "exp")?.ok_or(ClaimsError::Claim("exp"))?;
    if now >= expires_at {
        return Err(ClaimsError::Expired);
    }
    let begins = time(&claims, "nbf")?;
    if begins.is_some_and(|begins| now.as_second().saturating_add(BEGIN_LEEWAY) < begins.as_second()) {
        return Err(ClaimsError::NotYetValid);
    }
    Ok(Identity {
        subject: subject(&claims).ok_or(ClaimsError::Claim("sub"))?.to_owned(),
        issuer,
        groups: Vec::new(),
        issued_at: time(&claims, "iat")?,
        expires_at: Some(expires_at),
        id: revocation_id(&claims).map(str::to_owned),
        kind: Kind::Sso,
        claims,
    })
}

/// The user's stable name: Dex keeps the provider's own beside a subject it makes up.
fn subject(claims: &Map<String, Value>) -> Option<&str> {
    let federated = claims.get("federated_claims").and_then(|federated| federated.get("user_id"));
    federated.and_then(Value::as_str).filter(|id| !id.is_empty()).or_else(|| text(claims, "sub"))
}

/// By what a token is revoked. Entra has `uti` for `jti`; Dex has neither, but the
/// hash of the access token.
fn revocation_id(claims: &Map<String, Value>) -> Option<&str> {
    ["jti", "uti", "at_hash"].into_iter().find_map(|name| text(claims, name))
}

fn check_audience(claims: &Map<String, Value>, expected: &Expected) -> Result<(), ClaimsError> {
    let named: Vec<String> = match claims.get("aud") {
        None if expected.skip_audience_when_none => return Ok(()),
        None => return Err(ClaimsError::NoAudience),
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => several
            .iter()
            .map(|one| one.as_str().map(str::to_owned).ok_or(ClaimsError::Claim("aud")))
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(ClaimsError::Claim("aud")),
    };
    let allowed = named.iter().any(|name| !name.is_empty() && expected.audiences.contains(name));
    if allowed { Ok(()) } else { Err(ClaimsError::Audience(named)) }
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, ClaimsError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = crate::token::whole_seconds(value).ok_or(ClaimsError::Claim(name))?;
    let end = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Ok(Some(Timestamp::from_second(seconds).unwrap_or(end)))
}
