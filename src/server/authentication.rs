//! The layer in front of every service: who is this?
//!
//! Finds the token of a request, has it checked, and leaves the [`Caller`] on the
//! request for the services. Who is nobody gets only to what is open to everybody,
//! and is refused before a body is read, so that strangers cost no memory. A login
//! session that is about to end is followed by a new one, handed out with the answer.

use std::sync::Arc;
use std::time::Duration;

use argosy_auth::token::{Claims, renewal};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use http_body_util::{BodyExt as _, Limited};
use tonic::Status;

use crate::caller::Caller;
use crate::gateway::{cookie, refusal};
use crate::shared::Shared;

/// Metadata that the command line sends its token in.
const TOKEN: &str = "token";
/// Metadata under which clients get a new session.
const RENEW: HeaderName = HeaderName::from_static("renew-token");

/// What of the body of a refused request is taken, and for how long.
const DRAINED: usize = 64 << 10;
const DRAINED_WITHIN: Duration = Duration::from_secs(1);

/// Where a token was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    Cookie,
}

/// Puts the [`Caller`] on the request.
pub(crate) async fn authenticate(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let found = find_token(request.headers());
    let mut caller = shared.authority.identify(found.as_ref().map(|(token, _)| token.as_str())).await;
    let mut next_token = None;
    if let Some((token, _)) = &found
        && let Some(followed) = follow_up(&shared, token).await
    {
        caller = followed.0;
        next_token = Some(followed.1);
    }
    if let Err(status) = caller.signed_in()
        && !is_open(request.uri().path())
    {
        return refuse(request, status).await;
    }
    request.extensions_mut().insert(caller.clone());
    // As of now: a session that is ended while the request runs must not live on in
    // one that is made afterwards.
    let claims = caller.identity().and_then(|known| renewal(known, (shared.clock)(), shared.uuid()));
    let mut response = next.run(request).await;
    if next_token.is_none() {
        next_token = claims.and_then(|claims| renew(&shared, &caller, claims));
    }
    if let (Some(token), Some((_, place))) = (next_token, found)
        && !sets_a_token(response.headers())
    {
        hand_out(&shared, &token, place, response.headers_mut());
    }
    response
}

/// Paths below which anybody is served; what else needs no session is not below
/// `/api/` and no service.
const OPEN: &[&str] = &[
    "/api/v1/session",
    "/api/version",
    "/api/webhook",
    "/api/badge",
    "/api/dex",
    "/session.SessionService/",
    "/version.VersionService/",
    "/cluster.SettingsService/Get",
    "/grpc.health.v1.Health/",
    "/grpc.reflection.",
];

/// Whether a path is served to nobody, too.
fn is_open(path: &str) -> bool {
    // The path of a call is that of a service with its package, and a method.
    let is_call =
        path.strip_prefix('/').and_then(|path| path.split_once('/')).is_some_and(|(service, _)| service.contains('.'));
    let needs_session = path.starts_with("/api/") || is_call;
    !needs_session || path == "/api/v1/settings" || OPEN.iter().any(|open| path.starts_with(open))
}

/// Refuses in the form of the protocol.
async fn refuse(request: Request, status: Status) -> Response {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/grpc") {
        return status.into_http();
    }
    // Some clients take an answer that comes before their body went out for a broken
    // connection, so a little of it is taken and thrown away.
    let body = Limited::new(request.into_body(), DRAINED).collect();
    let _ = tokio::time::timeout(DRAINED_WITHIN, body).await;
    refusal(&status)
}

/// The token that follows a provider's one that is about to end, and whom it proves.
async fn follow_up(shared: &Shared, token: &str) -> Option<(Caller, String)> {
    let next = shared.authority.sso().renew(token).await?;
    let caller = shared.authority.identify(Some(next.expose())).await;
    caller.has_name().then(|| (caller, next.expose().clone()))
}

/// Whether the answer gives or takes a token itself: signing in and out do.
fn sets_a_token(headers: &HeaderMap) -> bool {
    let cookies = headers.get_all(SET_COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    cookies.into_iter().any(|cookie| cookie.starts_with(cookie::TOKEN))
}

/// A token by the order of the places it may be in.
fn find_token(headers: &HeaderMap) -> Option<(String, Place)> {
    let own = own_token(headers).map(|token| (token.to_owned(), Place::Header));
    own.or_else(|| cookie::token(headers).map(|token| (token, Place::Cookie)))
}

/// Whether a request brings a token that no browser adds by itself.
pub(crate) fn has_own_token(headers: &HeaderMap) -> bool {
    own_token(headers).is_some()
}

fn own_token(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    text(TOKEN).filter(|token| !token.is_empty()).or_else(|| text(AUTHORIZATION.as_str()).and_then(bearer))
}

/// A bearer token, if it has a token's form: proxies put their own credentials here.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && token.split('.').count() == 3).then_some(token)
}

/// The session that follows the caller's, if that still counts.
fn renew(shared: &Shared, caller: &Caller, claims: Claims) -> Option<String> {
    shared.authority.holds_at_once(caller).ok()?;
    match shared.authority.sign(claims) {
        Ok(issued) => Some(issued.token.expose().clone()),
        Err(error) => {
            tracing::warn!(error = error.message(), "a session could not be renewed");
            None
        }
    }
}

fn hand_out(shared: &Shared, token: &str, place: Place, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_str(token) {
        headers.insert(RENEW, value);
    }
    if place == Place::Cookie {
        match shared.cookies(token) {
            Ok(cookies) => headers
                .extend(cookies.iter().filter_map(|cookie| Some((SET_COOKIE, HeaderValue::from_str(cookie).ok()?)))),
            // The old session goes on until it expires.
            Err(error) => tracing::warn!(%error, "a renewed session does not fit into cookies"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_only_to_what_signing_in_takes() {
        for open in [
            "/",
            "/healthz",
            "/auth/login",
            "/swagger.json",
            "/api/version",
            "/api/v1/session",
            "/api/v1/settings",
            "/version.VersionService/Version",
            "/cluster.SettingsService/Get",
            "/api/webhook",
        ] {
            assert!(is_open(open), "{open}");
        }
        for closed in [
            "/api/v1/applications",
            "/api/v1/settings/plugins",
            "/api/v1/stream/applications",
            "/application.ApplicationService/List",
            "/cluster.ClusterService/List",
            "/api/nothing",
        ] {
            assert!(!is_open(closed), "{closed}");
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_command_lines_token_comes_before_a_bearer_token_before_a_cookie() {
        let all = headers(&[("token", "a.b.c"), ("authorization", "Bearer d.e.f"), ("cookie", "argocd.token=g.h.i")]);
        assert_eq!(find_token(&all), Some(("a.b.c".to_owned(), Place::Header)));
        let two = headers(&[("authorization", "bearer d.e.f"), ("cookie", "argocd.token=g.h.i")]);
        assert_eq!(find_token(&two), Some(("d.e.f".to_owned(), Place::Header)));
        let one = headers(&[("cookie", "argocd.token=g.h.i")]);
        assert_eq!(find_token(&one), Some(("g.h.i".to_owned(), Place::Cookie)));
    }

    #[test]
    fn a_proxys_credentials_are_no_token() {
        assert_eq!(find_token(&headers(&[("authorization", "Basic YTpi")])), None);
        assert_eq!(find_token(&headers(&[("authorization", "Bearer opaque")])), None);
    }
}
