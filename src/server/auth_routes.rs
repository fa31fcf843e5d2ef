//! What browsers visit to sign in and out: `/auth/login`, `/auth/callback`,
//! `/auth/logout`, and Dex below `/api/dex`.
//!
//! Texts are plain and escaped, nothing here is kept in caches, and addresses that
//! browsers are sent to were checked before. A sign-in that needs the provider takes
//! one of a bounded number of turns; whoever finds none is told to come back.

mod callback;
mod dex;
mod implicit;
mod login;
mod logout;

use std::sync::Arc;
use std::time::Duration;

use argosy_auth::seal::SealingKey;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use tokio::sync::Semaphore;
use tower_http::timeout::TimeoutLayer;

use crate::shared::Shared;
use crate::sso::{Sso, flow};

/// Longest form of a provider's answer, in bytes: a token and a few words.
const LONGEST: usize = 80 << 10;

/// Until a request is answered, with all questions to the provider.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Auth {
    pub(crate) shared: Arc<Shared>,
    /// Sign-ins that ask the provider at once.
    turns: Arc<Semaphore>,
    dex: Arc<dex::Proxy>,
}

/// The routes.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let turns = Arc::new(Semaphore::new(shared.options.max_concurrent_logins.max(1)));
    let auth = Auth { shared, turns, dex: Arc::default() };
    Router::new()
        .route("/auth/login", get(login::begin))
        .route("/auth/callback", get(callback::answer).post(implicit::answer))
        .route("/auth/logout", get(logout::leave).post(logout::leave))
        .layer(DefaultBodyLimit::max(LONGEST))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, PATIENCE))
        .route("/api/dex/{*path}", any(dex::pass_on))
        .with_state(auth)
}

// === impl Auth ===

impl Auth {
    fn sso(&self) -> &Sso {
        self.shared.authority.sso()
    }

    /// The key that seals the cookie of a sign-in.
    fn sealing(&self) -> Option<SealingKey> {
        let snapshot = self.shared.authority.snapshot();
        snapshot.key.as_ref().map(|key| SealingKey::new(key, flow::PURPOSE))
    }

    /// Where the page is, as its path.
    fn home_path(&self) -> String {
        format!("/{}", self.shared.options.base_href.trim_matches('/'))
    }

    /// A path as browsers see it.
    fn full_path(&self, path: &str) -> String {
        match self.shared.options.root_path.trim_matches('/') {
            "" => path.to_owned(),
            root => format!("/{root}{path}"),
        }
    }
}

/// The host a request names.
fn host<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> &'r str {
    let authority = uri.authority().map(http::uri::Authority::as_str);
    authority.or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok())).unwrap_or_default()
}

/// A text for a person. It may quote what a stranger wrote, so it is never markup.
fn text(status: StatusCode, words: impl Into<String>) -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (status, headers, words.into() + "\n").into_response()
}

/// Sends the browser on, and gives it cookies. The address was checked; one that is no
/// header is not sent.
fn redirect(address: &str, cookies: impl IntoIterator<Item = String>) -> Response {
    let Ok(location) = HeaderValue::from_str(address) else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "the address to go to cannot be written");
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    add_cookies(headers, cookies);
    response
}

fn add_cookies(headers: &mut HeaderMap, cookies: impl IntoIterator<Item = String>) {
    for cookie in cookies {
        // Tokens are ASCII, and so is everything around them.
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            headers.append(SET_COOKIE, cookie);
        }
    }
}
