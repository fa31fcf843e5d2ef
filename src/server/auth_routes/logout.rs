//! Signing out: the token is revoked on every replica, its cookies are taken back,
//! and what was kept of the sign-in is forgotten.

use std::time::Duration;

use argosy_auth::identity::Identity;
use argosy_auth::token::ISSUER;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, Uri};
use tokio::time::timeout;
use url::Url;

use super::{Auth, add_cookies, host, redirect, text};
use crate::api::revoke;
use crate::gateway::cookie;
use crate::gateway::guard::is_cross_site;
use crate::sso::addresses;

/// How long a user waits for the revocation to be written.
const PATIENCE: Duration = Duration::from_secs(10);

/// `GET` and `POST /auth/logout`
pub(super) async fn leave(State(auth): State<Auth>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if is_cross_site(&method, &uri, &headers) {
        return text(StatusCode::FORBIDDEN, "requests from other sites cannot sign anybody out");
    }
    let cleared = auth.shared.cleared_cookies(&headers);
    let Some(token) = cookie::token(&headers) else {
        let mut response = text(StatusCode::BAD_REQUEST, "Failed to retrieve ArgoCD auth token");
        add_cookies(response.headers_mut(), cleared);
        return response;
    };
    let server = server(&auth, &uri, &headers);
    let own_page = server.clone().unwrap_or_else(|| auth.home_path());
    // A token that counts no longer needs no revocation, and nobody learns whose it was.
    let caller = auth.shared.authority.identify(Some(&token)).await;
    let Some(identity) = caller.identity().filter(|_| caller.has_name()) else {
        return redirect(&own_page, cleared);
    };
    if !end(&auth, identity).await {
        let words = "signing out could not be made known to every server; please try again";
        return text(StatusCode::SERVICE_UNAVAILABLE, words);
    }
    let there = if identity.issuer == ISSUER { None } else { provider_page(&auth, &token, &own_page, &uri, &headers) };
    redirect(&there.unwrap_or(own_page), cleared)
}

/// Makes the token worthless; whether that is so on every replica. Until it is, the
/// browser keeps its cookies, to be able to ask again.
async fn end(auth: &Auth, identity: &Identity) -> bool {
    let shared = &auth.shared;
    let written = async {
        revoke(&shared.home, identity, (shared.clock)()).await?;
        if identity.issuer == ISSUER { Ok(()) } else { auth.sso().forget(identity).await }
    };
    match timeout(PATIENCE, written).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => tracing::error!(error = argosy_model::report(&error), "a token could not be revoked"),
        Err(_) => tracing::error!("a token could not be revoked in time"),
    }
    false
}

/// The address of the server that the request came to.
fn server(auth: &Auth, uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let settings = auth.shared.home.settings();
    let path = auth.full_path(uri.path());
    addresses::of_request(&settings, host(uri, headers), &path).map(|url| url.as_str().trim_end_matches('/').to_owned())
}

/// Where the provider wants users to sign out, if it does.
fn provider_page(auth: &Auth, token: &str, own_page: &str, uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let client = auth.sso().client()?;
    let template = &client.config.logout_url;
    if template.is_empty() {
        return None;
    }
    let own_page = if own_page.starts_with('/') {
        // The provider needs to know all of it.
        let scheme = if auth.shared.options.insecure { "http" } else { "https" };
        format!("{scheme}://{}{own_page}", host(uri, headers))
    } else {
        own_page.to_owned()
    };
    fill(template, token, &own_page)
}

fn fill(template: &str, token: &str, own_page: &str) -> Option<String> {
    let address = template.replace("{{token}}", token).replace("{{logoutRedirectURL}}", own_page);
    let is_web = Url::parse(&address).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !is_web {
        tracing::warn!("logoutURL of oidc.config is not an http or https address and is left out");
    }
    is_web.then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_providers_address_is_filled_and_is_one() {
        let template = "https://idp.example/out?id_token_hint={{token}}&post_logout_redirect_uri={{logoutRedirectURL}}";
        let filled = "https://idp.example/out?id_token_hint=a.b.c&post_logout_redirect_uri=https://argo.example";
        assert_eq!(fill(template, "a.b.c", "https://argo.example").as_deref(), Some(filled));
        assert_eq!(fill("javascript:alert(1)", "a", "b"), None);
        assert_eq!(fill("/out", "a", "b"), None);
    }
}
