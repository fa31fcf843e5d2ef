//! The provider's answer to a sign-in: a code is redeemed, its token checked and put
//! into the browser's cookies.

use std::borrow::Cow;

use argosy_auth::identity::Identity;
use argosy_auth::oidc::ClaimsError;
use argosy_model::Secret;
use axum::extract::State;
use axum::response::Response;
use http::header::COOKIE as COOKIES;
use http::{HeaderMap, StatusCode, Uri};
use url::form_urlencoded;

use super::login::{cleared, not_configured};
use super::{Auth, implicit, redirect, text};
use crate::sso::addresses;
use crate::sso::client::Client;
use crate::sso::flow::{Attempt, COOKIE, FlowError};
use crate::sso::tokens::Tokens;

/// Longest words of a provider that are shown, in characters.
const LONGEST: usize = 1000;

/// What the provider answers through the browser.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) code: String,
    pub(super) state: String,
    pub(super) issuer: Option<String>,
    pub(super) id_token: String,
    error: String,
    description: String,
}

/// `GET /auth/callback`
pub(super) async fn answer(State(auth): State<Auth>, uri: Uri, headers: HeaderMap) -> Response {
    let Some(client) = auth.sso().client() else { return not_configured() };
    let answer = Answer::read(uri.query().unwrap_or_default().as_bytes());
    if let Some(refusal) = answer.refusal() {
        return refusal;
    }
    if answer.code.is_empty() {
        return implicit::page(&auth);
    }
    let attempt = match attempt(&auth, &client, &answer, &headers) {
        Ok(attempt) => attempt,
        Err(error) => return text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let Ok(_turn) = auth.turns.try_acquire() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "too many sign-ins at once, try again later");
    };
    let tokens = match client.redeem(&answer.code, &attempt.redirect_uri, attempt.verifier()).await {
        Ok(tokens) => tokens,
        Err(error) => {
            tracing::warn!(error = argosy_model::report(&error), "the provider gives no token for a code");
            return text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
        }
    };
    finish(&auth, &client, &attempt, tokens).await
}

/// The beginning that an answer belongs to.
pub(super) fn attempt(
    auth: &Auth,
    client: &Client,
    answer: &Answer,
    headers: &HeaderMap,
) -> Result<Attempt, FlowError> {
    let key = auth.sealing().ok_or(FlowError::NoAttempt)?;
    if answer.issuer.as_ref().is_some_and(|issuer| *issuer != client.config.issuer) {
        return Err(FlowError::Issuer);
    }
    Attempt::open(cookie(headers), &answer.state, &client.config, &key, (auth.shared.clock)())
}

/// Takes the tokens of an answer for a session, if they are good.
pub(super) async fn finish(auth: &Auth, client: &Client, attempt: &Attempt, tokens: Tokens) -> Response {
    let token = tokens.id_token.clone();
    let identity = match identify(auth, client, attempt, &token).await {
        Ok(identity) => identity,
        Err(reason) => {
            tracing::warn!(reason, security = 3, "a token of a sign-in is refused");
            let words = ClaimsError::CLIENT_MESSAGE.trim_start_matches("invalid session: ");
            return text(StatusCode::INTERNAL_SERVER_ERROR, words);
        }
    };
    // Settings may have changed since the sign-in began.
    let allowed = addresses::of_server(&auth.shared.home.settings()).collect::<Vec<_>>();
    let Some(address) = addresses::returning(&attempt.return_url, allowed) else {
        return text(StatusCode::BAD_REQUEST, "failed to verify app state: invalid return URL");
    };
    if let Err(error) = auth.sso().remember(client, &identity, tokens).await {
        tracing::error!(error = argosy_model::report(&error), "what is needed of a sign-in cannot be kept");
        return text(StatusCode::INTERNAL_SERVER_ERROR, "the sign-in cannot be kept, try again later");
    }
    match auth.shared.cookies(token.expose()) {
        Ok(cookies) => {
            tracing::info!(subject = identity.subject, "signed in by single sign-on");
            redirect(&address, cookies.into_iter().chain([cleared()]))
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Whose token it is, if it was made for this sign-in.
async fn identify(auth: &Auth, client: &Client, attempt: &Attempt, token: &Secret<String>) -> Result<Identity, String> {
    let identity =
        client.identify(token.expose(), (auth.shared.clock)()).await.map_err(|error| argosy_model::report(&error))?;
    attempt.check_nonce(&identity.claims).map_err(|error| error.to_string())?;
    Ok(identity)
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let headers = headers.get_all(COOKIES).into_iter().filter_map(|header| header.to_str().ok());
    let mut cookies = headers.flat_map(|header| header.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    cookies.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

// === impl Answer ===

impl Answer {
    /// Reads the fields of a query or a form.
    pub(super) fn read(fields: &[u8]) -> Self {
        let mut answer = Self::default();
        for (name, value) in form_urlencoded::parse(fields) {
            match &*name {
                "code" => answer.code = value.into_owned(),
                "state" => answer.state = value.into_owned(),
                "iss" => answer.issuer = Some(value.into_owned()),
                "id_token" => answer.id_token = value.into_owned(),
                "error" => answer.error = value.into_owned(),
                "error_description" => answer.description = value.into_owned(),
                _ => {}
            }
        }
        answer
    }

    /// What the provider says instead of an answer.
    pub(super) fn refusal(&self) -> Option<Response> {
        let words = format!("{}: {}", escaped(&self.error), escaped(&self.description));
        (!self.error.is_empty()).then(|| text(StatusCode::BAD_REQUEST, words))
    }
}

/// The same with nothing that is markup anywhere, and not too long.
fn escaped(text: &str) -> String {
    let letters = text.chars().take(LONGEST).filter(|letter| !letter.is_control());
    letters
        .map(|letter| match letter {
            '&' => Cow::Borrowed("&amp;"),
            '<' => Cow::Borrowed("&lt;"),
            '>' => Cow::Borrowed("&gt;"),
            '"' => Cow::Borrowed("&#34;"),
            '\'' => Cow::Borrowed("&#39;"),
            letter => Cow::Owned(letter.to_string()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_provider_are_never_markup() {
        assert_eq!(escaped("<script>'\"&\r\n"), "&lt;script&gt;&#39;&#34;&amp;");
        assert_eq!(escaped(&"x".repeat(5000)).len(), LONGEST);
    }

    #[test]
    fn an_answer_is_read_from_its_fields() {
        let answer = Answer::read(b"code=a%20b&state=s&iss=https%3A%2F%2Fidp&other=1");
        assert_eq!((answer.code.as_str(), answer.state.as_str()), ("a b", "s"));
        assert_eq!(answer.issuer.as_deref(), Some("https://idp"));
        assert!(answer.refusal().is_none());
        assert!(Answer::read(b"error=access_denied").refusal().is_some());
    }
}
