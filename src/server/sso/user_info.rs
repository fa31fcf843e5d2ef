//! Groups of a user that the provider tells only when asked with the user's access
//! token, remembered for a while.

use argosy_auth::identity::Identity;
use argosy_model::Secret;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::config::UserInfo;
use super::provider::{Provider, ProviderError};
use super::sessions::SessionId;
use super::transport::{Answer, TransportError};
use super::turns::Turns;

/// How long a refusal stands, so that a page with many requests asks once.
const REFUSED: SignedDuration = SignedDuration::from_secs(5);

/// Groups by session; `None` where the provider refused.
pub(super) struct Groups(Turns<SessionId, Option<Value>>);

/// The provider does not tell the user's groups.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserInfoError {
    #[error("there is no access token of the user, who is to sign in again")]
    NoAccessToken,
    #[error("the provider cannot be asked about the user")]
    Transport(#[from] TransportError),
    #[error("the provider answers the question about the user with {0}")]
    Status(http::StatusCode),
    #[error("what the provider says of the user is not signed by it")]
    Signature(#[from] ProviderError),
    #[error("what the provider says of the user cannot be read")]
    Document,
    #[error("the provider speaks of another user than the token")]
    Subject,
    #[error("the provider has just refused to speak of the user")]
    Refused,
}

// === impl Groups ===

impl Groups {
    pub(super) fn new() -> Self {
        Self(Turns::new())
    }

    /// A new sign-in brings new groups.
    pub(super) fn forget(&self, id: &SessionId) {
        self.0.forget(id);
    }

    /// Puts the groups into the claims of the user's token.
    ///
    /// # Errors
    /// When they cannot be learnt; the identity then is worth nothing.
    pub(super) async fn put(
        &self,
        identity: &mut Identity,
        user_info: &UserInfo,
        provider: &Provider,
        access_token: impl FnOnce(&SessionId) -> Option<Secret<String>>,
        now: Timestamp,
    ) -> Result<(), UserInfoError> {
        let id = SessionId::of(&identity.claims);
        let mut turn = self.0.take(&id, now).await;
        if turn.get(now).is_none() {
            let token = access_token(&id).ok_or(UserInfoError::NoAccessToken)?;
            match fetch(user_info, provider, &token, &identity.claims).await {
                Ok(groups) => turn.set(Some(groups), end(user_info, identity, now)),
                Err(error) => {
                    turn.set(None, now.saturating_add(REFUSED).unwrap_or(Timestamp::MAX));
                    return Err(error);
                }
            }
        }
        let groups = turn.get(now).cloned().flatten().ok_or(UserInfoError::Refused)?;
        identity.claims.insert("groups".to_owned(), groups);
        Ok(())
    }
}

/// Until when an answer holds: as long as is set, but not longer than the token.
fn end(user_info: &UserInfo, identity: &Identity, now: Timestamp) -> Timestamp {
    let token = identity.expires_at.unwrap_or(now);
    let keep = SignedDuration::try_from(user_info.keep).unwrap_or(SignedDuration::MAX);
    if keep.is_zero() { token } else { now.saturating_add(keep).map_or(token, |end| end.min(token)) }
}

async fn fetch(
    user_info: &UserInfo,
    provider: &Provider,
    token: &Secret<String>,
    claims: &Map<String, Value>,
) -> Result<Value, UserInfoError> {
    let answer = provider.transport().get(&user_info.address, Some(token)).await?;
    if !answer.status.is_success() {
        return Err(UserInfoError::Status(answer.status));
    }
    let mut told = read(&answer, provider).await?;
    if told.get("sub") != claims.get("sub") {
        return Err(UserInfoError::Subject);
    }
    Ok(told.remove("groups").unwrap_or(Value::Null))
}

async fn read(answer: &Answer, provider: &Provider) -> Result<Map<String, Value>, UserInfoError> {
    let kind = answer.content_type.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/jwt") {
        let token = std::str::from_utf8(&answer.body).map_err(|_| UserInfoError::Document)?;
        return Ok(provider.verify(token.trim()).await?);
    }
    serde_json::from_slice(&answer.body).map_err(|_| UserInfoError::Document)
}
