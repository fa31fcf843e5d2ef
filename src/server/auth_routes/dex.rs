//! Dex below `/api/dex`, passed on to where it runs.
//!
//! Bodies are streamed both ways. Our own session never reaches Dex, and Dex cannot
//! set our cookies. An error of Dex sends a browser back to the page for signing in;
//! its text stays with Dex, whose log has it.

use std::sync::{Arc, Mutex, PoisonError};

use argosy_home::Settings;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures::TryStreamExt as _;
use http::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use url::Url;

use super::login::not_configured;
use super::{Auth, redirect, text};
use crate::options::ServerOptions;
use crate::sso::dex::{DexAddress, DexError, PATH, is_configured};
use crate::sso::transport::{TransportError, passing_on};

/// Longest request that is passed on, in bytes: answers of SAML providers are posted.
const LONGEST: usize = 4 << 20;

/// About one connection only.
const HOPS: [HeaderName; 8] =
    [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, EXPECT];

/// The way to Dex, made when first needed.
#[derive(Default)]
pub(super) struct Proxy(Mutex<Option<(Arc<Settings>, reqwest::Client)>>);

/// A request cannot be passed on.
#[derive(Debug, thiserror::Error)]
enum ProxyError {
    #[error(transparent)]
    Dex(#[from] DexError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("Dex does not answer")]
    Unreachable(#[source] reqwest::Error),
}

/// Any request below `/api/dex`.
pub(super) async fn pass_on(State(auth): State<Auth>, request: Request) -> Response {
    let settings = auth.shared.home.settings();
    if !is_configured(&settings) {
        return not_configured();
    }
    let is_page = wants_page(request.headers());
    let method = request.method().clone();
    let Some(place) = place(&auth, &request) else {
        return text(StatusCode::NOT_FOUND, "404 page not found");
    };
    let place = match place {
        Ok(place) => place,
        Err(error) => return failed(&auth, &error.into(), is_page),
    };
    match send(&auth, settings, place, request).await {
        Ok(answer) if answer.status().is_server_error() && is_page => {
            tracing::error!(status = %answer.status(), %method, security = 3, "Dex could not do what a browser asked");
            sign_in_page(&auth)
        }
        Ok(answer) => answered(answer),
        Err(error) => failed(&auth, &error, is_page),
    }
}

/// Where at Dex; `None` for paths that lead out of its own.
fn place(auth: &Auth, request: &Request) -> Option<Result<Url, DexError>> {
    let base = auth.shared.options.base_href.trim_matches('/');
    let path = request.uri().path();
    let path = if base.is_empty() { path.to_owned() } else { format!("/{base}{path}") };
    let below = if base.is_empty() { format!("{PATH}/") } else { format!("/{base}{PATH}/") };
    let mut url = match DexAddress::new(&auth.shared.options) {
        Ok(address) => address.url,
        Err(error) => return Some(Err(error)),
    };
    url.set_path(&path);
    url.set_query(request.uri().query());
    url.path().starts_with(&below).then_some(Ok(url))
}

async fn send(
    auth: &Auth,
    settings: Arc<Settings>,
    place: Url,
    request: Request,
) -> Result<reqwest::Response, ProxyError> {
    let client = auth.dex.client(settings, &auth.shared.options)?;
    let (parts, body) = request.into_parts();
    let has_body = parts.headers.contains_key(CONTENT_LENGTH) || parts.headers.contains_key(TRANSFER_ENCODING);
    let mut headers = without_hops(parts.headers);
    // What names a client or a host was written by the client itself.
    for name in [HOST.as_str(), "token", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"] {
        headers.remove(name);
    }
    keep_own_cookies(&mut headers);
    let mut passed = client.request(parts.method.clone(), place).headers(headers);
    if has_body || !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        let limited = Limited::new(body, LONGEST).into_data_stream();
        passed = passed.body(reqwest::Body::wrap_stream(limited));
    }
    passed.send().await.map_err(|error| ProxyError::Unreachable(error.without_url()))
}

fn answered(answer: reqwest::Response) -> Response {
    let answer: http::Response<reqwest::Body> = answer.into();
    let (mut parts, body) = answer.into_parts();
    parts.headers = without_hops(parts.headers);
    let cookies: Vec<HeaderValue> = parts.headers.get_all(SET_COOKIE).into_iter().cloned().collect();
    parts.headers.remove(SET_COOKIE);
    for cookie in cookies.into_iter().filter(|cookie| !is_ours(cookie.as_bytes())) {
        parts.headers.append(SET_COOKIE, cookie);
    }
    Response::from_parts(parts, Body::from_stream(body.into_data_stream().map_err(reqwest::Error::without_url)))
}

fn failed(auth: &Auth, error: &ProxyError, is_page: bool) -> Response {
    tracing::error!(error = argosy_model::report(error), "a request cannot be passed on to Dex");
    if is_page { sign_in_page(auth) } else { text(StatusCode::BAD_GATEWAY, "Dex does not answer") }
}

/// The page for signing in, which says that it did not work.
fn sign_in_page(auth: &Auth) -> Response {
    redirect(&format!("{}/login?has_sso_error=true", auth.home_path().trim_end_matches('/')), [])
}

fn wants_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).into_iter().filter_map(|accept| accept.to_str().ok());
    accepts.flat_map(|accept| accept.split(',')).any(|kind| kind.trim().starts_with("text/html"))
}

/// The same without what is about one connection, and what that header itself names.
fn without_hops(mut headers: HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOPS) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
    headers
}

/// Drops our cookies from a request that goes elsewhere.
fn keep_own_cookies(headers: &mut HeaderMap) {
    let sent: Vec<String> = headers
        .get_all(COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .map(str::trim)
        .filter(|cookie| !cookie.is_empty() && !is_ours(cookie.as_bytes()))
        .map(str::to_owned)
        .collect();
    headers.remove(COOKIE);
    if let Ok(value) = HeaderValue::from_str(&sent.join("; "))
        && !sent.is_empty()
    {
        headers.insert(COOKIE, value);
    }
}

fn is_ours(cookie: &[u8]) -> bool {
    cookie.trim_ascii_start().starts_with(b"argocd.")
}

// === impl Proxy ===

impl Proxy {
    fn client(&self, settings: Arc<Settings>, options: &ServerOptions) -> Result<reqwest::Client, ProxyError> {
        // Nothing is done under this lock that a panic could leave half done.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, client)) = known.as_ref()
            && Arc::ptr_eq(of, &settings)
        {
            return Ok(client.clone());
        }
        let client = passing_on(&DexAddress::new(options)?, &settings)?;
        *known = Some((settings, client.clone()));
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn our_session_stays_here_and_other_cookies_go_on() {
        let mut sent = headers(&[("cookie", "argocd.token=canary; a=b; argocd.token-1=canary; argocd.oauthstate=x")]);
        keep_own_cookies(&mut sent);
        assert_eq!(sent[COOKIE], "a=b");
        let mut sent = headers(&[("cookie", "argocd.token=canary")]);
        keep_own_cookies(&mut sent);
        assert!(!sent.contains_key(COOKIE));
        assert!(is_ours(b" argocd.token=x; Path=/") && !is_ours(b"session=argocd."));
    }

    #[test]
    fn what_is_about_one_connection_is_not_passed_on() {
        let sent =
            headers(&[("connection", "close, x-secret"), ("x-secret", "1"), ("upgrade", "h2c"), ("accept", "*/*")]);
        let kept = without_hops(sent);
        assert_eq!(kept.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn browsers_are_told_apart_by_what_they_accept() {
        assert!(wants_page(&headers(&[("accept", "application/xhtml+xml, text/html;q=0.9")])));
        assert!(!wants_page(&headers(&[("accept", "application/json")])));
    }
}
