//! One sign-in from its beginning to the answer of the provider.
//!
//! What must be remembered in between stands in a sealed cookie of the browser that
//! began it, for five minutes; nothing is kept here. The answer counts only in that
//! browser (state), its token only for that beginning (nonce), and its code only
//! together with a secret that the provider has seen the hash of (PKCE).

use argosy_auth::seal::SealingKey;
use argosy_model::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::config::Config;
use super::provider::Metadata;

/// Name of the cookie.
pub(crate) const COOKIE: &str = "argocd.oauthstate";
/// What its value is sealed for.
pub(crate) const PURPOSE: &str = "sign-in";
/// How long a user may take at the provider, in seconds.
pub(crate) const PATIENCE: i64 = 300;

/// A sign-in that has begun.
#[derive(Serialize, Deserialize)]
pub(crate) struct Attempt {
    state: String,
    nonce: String,
    /// Proves that the code is redeemed by who asked for it.
    verifier: Option<String>,
    issuer: String,
    pub(crate) return_url: String,
    pub(crate) redirect_uri: String,
    /// In seconds since 1970.
    until: i64,
}

/// An answer does not belong to a beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FlowError {
    #[error("this browser has not begun to sign in, or too long ago; please sign in again")]
    NoAttempt,
    #[error("invalid state in '{COOKIE}' cookie")]
    State,
    #[error("the answer comes from another provider")]
    Issuer,
    #[error("the token was not made for this sign-in")]
    Nonce,
}

// === impl Attempt ===

impl Attempt {
    /// Begins one. `random` fills a buffer with bytes fit for secrets.
    pub(crate) fn begin(
        config: &Config,
        metadata: &Metadata,
        return_url: String,
        redirect_uri: String,
        random: &dyn Fn(&mut [u8]),
        now: Timestamp,
    ) -> Self {
        let has_verifier = metadata.has_codes() && (config.pkce || metadata.has_pkce());
        Self {
            state: word(random),
            nonce: word(random),
            verifier: has_verifier.then(|| word(random)),
            issuer: config.issuer.clone(),
            return_url,
            redirect_uri,
            until: now.as_second().saturating_add(PATIENCE),
        }
    }

    /// The value of the cookie.
    pub(crate) fn seal(&self, key: &SealingKey, nonce: [u8; 12]) -> Result<String, serde_json::Error> {
        Ok(key.seal(&serde_json::to_vec(self)?, nonce))
    }

    /// Reads the cookie of the browser that an answer came through, and checks that
    /// the answer is to it.
    ///
    /// # Errors
    /// When there is none, it is too old, or the answer is to another.
    pub(crate) fn open(
        cookie: Option<&str>,
        state: &str,
        config: &Config,
        key: &SealingKey,
        now: Timestamp,
    ) -> Result<Self, FlowError> {
        let opened = cookie.and_then(|cookie| key.open(cookie).ok()).ok_or(FlowError::NoAttempt)?;
        let attempt: Self = serde_json::from_slice(opened.expose()).map_err(|_| FlowError::NoAttempt)?;
        if attempt.until <= now.as_second() {
            return Err(FlowError::NoAttempt);
        }
        if attempt.state != state {
            return Err(FlowError::State);
        }
        // The provider was replaced meanwhile.
        if attempt.issuer != config.issuer {
            return Err(FlowError::Issuer);
        }
        Ok(attempt)
    }

    /// Where the browser goes to sign in.
    pub(crate) fn address(&self, config: &Config, metadata: &Metadata) -> Url {
        let mut url = metadata.authorization_endpoint.clone();
        let has_codes = metadata.has_codes();
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", if has_codes { "code" } else { "id_token" })
            .append_pair("client_id", &config.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", &scopes(config, metadata).join(" "))
            .append_pair("state", &self.state)
            .append_pair("nonce", &self.nonce);
        if let Some(verifier) = &self.verifier {
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
            query.append_pair("code_challenge", &challenge).append_pair("code_challenge_method", "S256");
        }
        if !config.domain_hint.is_empty() {
            query.append_pair("domain_hint", &config.domain_hint);
        }
        if !config.claims.is_empty() {
            query.append_pair("claims", &json!({"id_token": config.claims}).to_string());
        }
        drop(query);
        url
    }

    /// Whether the claims of a token are of this sign-in.
    ///
    /// # Errors
    /// [`FlowError::Nonce`].
    pub(crate) fn check_nonce(&self, claims: &Map<String, Value>) -> Result<(), FlowError> {
        let is_ours = claims.get("nonce").and_then(Value::as_str) == Some(&self.nonce);
        if is_ours { Ok(()) } else { Err(FlowError::Nonce) }
    }

    /// What the code is redeemed with.
    pub(crate) fn verifier(&self) -> Option<Secret<&str>> {
        self.verifier.as_deref().map(Secret::new)
    }
}

/// The scopes to ask for. A refresh token is asked for where one is of use.
fn scopes<'a>(config: &'a Config, metadata: &'a Metadata) -> Vec<&'a str> {
    const OFFLINE: &str = "offline_access";
    let mut scopes: Vec<&str> = config.scopes.iter().map(String::as_str).collect();
    let is_offered = metadata.scopes_supported.iter().any(|scope| scope == OFFLINE);
    if !config.refresh_before.is_zero() && is_offered && !scopes.contains(&OFFLINE) {
        scopes.push(OFFLINE);
    }
    scopes
}

/// 256 random bits as 43 letters.
fn word(random: &dyn Fn(&mut [u8])) -> String {
    let mut bytes = [0; 32];
    random(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
