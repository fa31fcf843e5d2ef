//! The beginning of a sign-in: off to the provider, with a cookie to come back by.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use url::form_urlencoded;

use super::{Auth, host, redirect, text};
use crate::sso::addresses;
use crate::sso::flow::{Attempt, COOKIE, PATIENCE};

const WRONG_ADDRESS: &str = "Invalid redirect URL: the protocol and host (including port) must match and the path \
                             must be within allowed URLs if provided";

/// What is answered where single sign-on is not set up.
pub(super) fn not_configured() -> Response {
    text(StatusCode::NOT_FOUND, "single sign-on is not configured")
}

/// `GET /auth/login?return_url=`
pub(super) async fn begin(State(auth): State<Auth>, uri: Uri, headers: HeaderMap) -> Response {
    let Some(client) = auth.sso().client() else { return not_configured() };
    let settings = auth.shared.home.settings();
    let query = uri.query().unwrap_or_default().as_bytes();
    let wanted = form_urlencoded::parse(query).find(|(name, _)| name == "return_url").map(|(_, value)| value);
    let return_url = match wanted.filter(|wanted| !wanted.is_empty()) {
        None => auth.home_path(),
        Some(wanted) => match addresses::returning(&wanted, addresses::of_server(&settings)) {
            Some(address) => address,
            None => return text(StatusCode::BAD_REQUEST, WRONG_ADDRESS),
        },
    };
    let server = addresses::of_request(&settings, host(&uri, &headers), &auth.full_path(uri.path()));
    let (Some(server), Some(key)) = (server, auth.sealing()) else {
        tracing::error!("nobody can sign in by single sign-on: the server's url or its signing key is not set");
        return failed();
    };
    let known = match client.provider.known().await {
        Ok(known) => known,
        Err(error) => {
            tracing::error!(
                error = argosy_model::report(&error),
                issuer = client.config.issuer,
                "the provider cannot be asked"
            );
            let words = format!("failed to query provider \"{}\"", client.config.issuer);
            return text(StatusCode::INTERNAL_SERVER_ERROR, words);
        }
    };
    let (random, now) = (auth.shared.random.clone(), (auth.shared.clock)());
    let callback = addresses::callback(&server);
    let attempt = Attempt::begin(&client.config, &known.metadata, return_url, callback.to_string(), &*random, now);
    let mut nonce = [0; 12];
    random(&mut nonce);
    let Ok(sealed) = attempt.seal(&key, nonce) else { return failed() };
    let secure = if callback.scheme() == "https" { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={sealed}; Max-Age={PATIENCE}; HttpOnly; SameSite=Lax{secure}");
    redirect(attempt.address(&client.config, &known.metadata).as_str(), [cookie])
}

/// Takes the cookie of a sign-in back.
pub(super) fn cleared() -> String {
    format!("{COOKIE}=; Max-Age=0; HttpOnly; SameSite=Lax")
}

fn failed() -> Response {
    text(StatusCode::INTERNAL_SERVER_ERROR, "Failed to initiate login flow")
}
