//! Providers that give no codes send the token in the fragment of the address, which
//! only a script in the browser can read. A small page does, and posts it back here;
//! from then on it is checked and kept like any other. Scripts never hold the
//! session's cookie, and no token is in an address that is logged.

use argosy_model::Secret;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS};
use http::{HeaderMap, StatusCode};

use super::callback::{Answer, attempt, finish};
use super::login::not_configured;
use super::{Auth, text};
use crate::sso::addresses;
use crate::sso::tokens::Tokens;

const PAGE: &str = include_str!("implicit/page.html");

/// The page, with a policy that lets it run its own script and post to us only. After
/// the post the browser is sent on, perhaps to another of the server's addresses.
pub(super) fn page(auth: &Auth) -> Response {
    let mut nonce = [0; 16];
    (auth.shared.random)(&mut nonce);
    let nonce = STANDARD.encode(nonce);
    let settings = auth.shared.home.settings();
    let origins: Vec<String> =
        addresses::of_server(&settings).map(|server| server.origin().ascii_serialization()).collect();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; form-action 'self' {}; base-uri 'none'; \
         frame-ancestors 'none'",
        origins.join(" ")
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, policy.as_str()),
        (X_FRAME_OPTIONS, "DENY"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, PAGE.replace("{{nonce}}", &nonce)).into_response()
}

/// `POST /auth/callback`: what the page found.
pub(super) async fn answer(State(auth): State<Auth>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(client) = auth.sso().client() else { return not_configured() };
    let answer = Answer::read(&body);
    if let Some(refusal) = answer.refusal() {
        return refusal;
    }
    let attempt = match attempt(&auth, &client, &answer, &headers) {
        Ok(attempt) => attempt,
        Err(error) => return text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let Ok(_turn) = auth.turns.try_acquire() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "too many sign-ins at once, try again later");
    };
    let id_token = Secret::new(answer.id_token);
    finish(&auth, &client, &attempt, Tokens { id_token, access_token: None, refresh_token: None }).await
}
