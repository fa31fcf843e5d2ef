//! A new token for one that is about to end, or has just ended, with the help of
//! the refresh token that was kept of the sign-in.

use argosy_auth::identity::Identity;
use argosy_model::Secret;
use jiff::{SignedDuration, Timestamp};

use super::Sso;
use super::client::{Client, end_of, unproven};
use super::sessions::{Session, SessionId};
use super::tokens;
use crate::authority::revocation::Revocations;

/// How long a refusal of the provider stands: the refresh token may be used once, and
/// trying it again makes some providers end the session.
const REFUSED: SignedDuration = SignedDuration::from_secs(10);

// === impl Sso ===

impl Sso {
    /// The token that follows this one, if it is time for one and the provider gives
    /// it. Costs nothing where refreshing is not configured or not due. Requests that
    /// come together share one question to the provider.
    ///
    /// The old token must have been the provider's, for us, and not revoked; that it
    /// has ended is no matter while the session lasts (`users.session.duration`).
    pub(crate) async fn renew(&self, token: &str) -> Option<Secret<String>> {
        let client = self.client().filter(|client| !client.config.refresh_before.is_zero())?;
        let now = self.now();
        if !is_due(&client, end_of(&unproven(token))?, now) {
            return None;
        }
        let identity = client.identify_ended(token, now).await.ok()?;
        // Whether it would have ended since is no matter here.
        if Revocations::read(&self.state.home.sessions()).cover(&identity, jiff::Timestamp::MIN) {
            return None;
        }
        let id = SessionId::of(&identity.claims);
        let mut turn = client.refreshed.take(&id, now).await;
        if let Some(known) = turn.get(now) {
            return Some(known.clone()).filter(|known| known.expose() != token);
        }
        let session = self.session(&id)?;
        // Another replica may have been faster.
        if let Some(newest) = session.id_token().filter(|newest| is_fresh(&client, newest, now)) {
            return Some(newest);
        }
        let renewed = self.ask(&client, &identity, session, now).await;
        let until = match &renewed {
            Some(newest) => end_of(&unproven(newest.expose())).and_then(|end| due(&client, end)),
            None => now.checked_add(REFUSED).ok(),
        };
        // A refusal is remembered as the token that was shown: nothing follows it.
        let remembered = renewed.clone().unwrap_or_else(|| Secret::new(token.to_owned()));
        turn.set(remembered, until.unwrap_or(now));
        renewed
    }

    /// Trades the refresh token in, and keeps what comes back.
    async fn ask(&self, client: &Client, old: &Identity, session: Session, now: Timestamp) -> Option<Secret<String>> {
        let outcome = tokens::refresh(&client.provider, &client.config, &session.refresh_token()?).await;
        let given = outcome
            .inspect_err(|error| tracing::warn!(error = argosy_model::report(error), "a session could not be renewed"));
        let given = given.ok()?;
        let new = client.identify(given.id_token.expose(), now).await.inspect_err(|error| {
            tracing::warn!(
                error = argosy_model::report(error),
                "the provider renewed a session with a token that is not accepted"
            );
        });
        let new = new.ok()?;
        // The provider must not turn one user into another.
        if new.subject != old.subject {
            tracing::warn!("the provider renewed a session with a token of another user");
            return None;
        }
        let access_token = given.access_token.filter(|_| client.config.user_info.is_some());
        let session = session.with(access_token, given.refresh_token, &given.id_token);
        if let Err(error) = self.keep(&SessionId::of(&new.claims), session).await {
            tracing::warn!(
                error = argosy_model::report(&error),
                "a renewed session could not be told to other replicas"
            );
        }
        Some(given.id_token)
    }
}

fn due(client: &Client, end: Timestamp) -> Option<Timestamp> {
    end.checked_sub(SignedDuration::try_from(client.config.refresh_before).ok()?).ok()
}

fn is_due(client: &Client, end: Timestamp, now: Timestamp) -> bool {
    due(client, end).is_none_or(|due| now > due)
}

fn is_fresh(client: &Client, token: &Secret<String>, now: Timestamp) -> bool {
    end_of(&unproven(token.expose())).is_some_and(|end| !is_due(client, end, now))
}
