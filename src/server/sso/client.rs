//! One configuration of single sign-on at work: its provider, and what was learnt.
//! Replaced whole when the settings say something else.

use argosy_auth::identity::Identity;
use argosy_auth::oidc::{ClaimsError, validate_claims};
use argosy_model::Secret;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::config::Config;
use super::provider::{Provider, ProviderError};
use super::sessions::SessionId;
use super::tokens::{self, Tokens, TokensError};
use super::transport::Transport;
use super::turns::Turns;
use super::user_info::Groups;

/// See the module's page.
pub(crate) struct Client {
    pub(crate) config: Config,
    pub(crate) provider: Provider,
    pub(super) groups: Groups,
    /// The newest token of each session that was refreshed here.
    pub(super) refreshed: Turns<SessionId, Secret<String>>,
}

/// A token of the provider is not accepted. For the log; clients are told
/// [`ClaimsError::CLIENT_MESSAGE`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error("it is not verified")]
    Provider(#[from] ProviderError),
    #[error("it is not accepted")]
    Claims(#[from] ClaimsError),
}

// === impl Client ===

impl Client {
    pub(crate) fn new(config: Config, transport: Transport) -> Self {
        let provider = Provider::new(&config.issuer, transport);
        Self { config, provider, groups: Groups::new(), refreshed: Turns::new() }
    }

    /// Who shows this token.
    ///
    /// # Errors
    /// When the provider did not sign it, or it is not for us, or not now.
    pub(crate) async fn identify(&self, token: &str, now: Timestamp) -> Result<Identity, VerifyError> {
        self.check_issuer(token)?;
        let claims = self.provider.verify(token).await?;
        Ok(validate_claims(claims, &self.config.expected, now)?)
    }

    /// The same for a token that has ended: whose it was.
    ///
    /// # Errors
    /// As [`Self::identify`], but for the end.
    pub(super) async fn identify_ended(&self, token: &str, now: Timestamp) -> Result<Identity, VerifyError> {
        self.check_issuer(token)?;
        let claims = self.provider.verify(token).await?;
        let before_end = end_of(&claims).map(|end| end - SignedDuration::from_secs(1));
        Ok(validate_claims(claims, &self.config.expected, before_end.map_or(now, |before| before.min(now)))?)
    }

    /// Redeems a code for tokens.
    ///
    /// # Errors
    /// When the provider does not give any.
    pub(crate) async fn redeem(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: Option<Secret<&str>>,
    ) -> Result<Tokens, TokensError> {
        tokens::redeem(&self.provider, &self.config, code, redirect_uri, verifier).await
    }

    /// Who made-up tokens of other issuers cannot make us ask the provider.
    fn check_issuer(&self, token: &str) -> Result<(), VerifyError> {
        let issuer = unproven(token).get("iss").and_then(Value::as_str).unwrap_or_default().to_owned();
        if issuer == self.config.issuer { Ok(()) } else { Err(ClaimsError::Issuer(issuer).into()) }
    }
}

/// What a token says, without any proof; nothing where it is none.
pub(super) fn unproven(token: &str) -> Map<String, Value> {
    if token.len() > argosy_auth::token::MAX_FOREIGN_LENGTH {
        return Map::new();
    }
    jsonwebtoken::dangerous::insecure_decode_claims(token).unwrap_or_default()
}

/// When the claims end.
pub(super) fn end_of(claims: &Map<String, Value>) -> Option<Timestamp> {
    let end = claims.get("exp")?;
    let seconds = end.as_i64().or_else(|| end.as_f64().map(|end| end as i64))?;
    Timestamp::from_second(seconds).ok()
}
