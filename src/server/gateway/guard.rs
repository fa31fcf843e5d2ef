//! What a request must be before it is looked at: of an allowed content type, and,
//! where it changes something with a session's cookie, from the server's own pages.

use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, Method, Uri};

use super::cookie;
use crate::authentication::has_own_token;

/// Whether a request is made by a page of another site in the name of the user whose
/// cookie the browser adds. Sibling domains are other sites: they share cookies
/// under `SameSite=Lax`, but not trust.
///
/// Requests that bring their own token, or no cookie, or only read, are not. Browsers
/// say where a request is from (`Sec-Fetch-Site`, older ones `Origin`); what says
/// nothing is not a browser.
pub fn is_cross_site(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    // Only what counts as a token: a browser adds the password of a proxy by itself.
    if method.is_safe() || has_own_token(headers) || !cookie::has_token(headers) {
        return false;
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("sec-fetch-site") {
        Some(site) => !matches!(site, "same-origin" | "none"),
        None if headers.contains_key(ORIGIN) => {
            let origin = text("origin").and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
            let authority = uri.authority().map(|authority| authority.as_str());
            let hosts = [authority, text(HOST.as_str()), text("x-forwarded-host")];
            origin.is_none_or(|origin| !hosts.into_iter().flatten().any(|host| host.eq_ignore_ascii_case(origin)))
        }
        None => false,
    }
}

/// Whether a request has one of the allowed content types, or needs none.
pub(super) fn has_content_type(method: &Method, headers: &HeaderMap, allowed: &[String]) -> bool {
    if *method == Method::GET || allowed.is_empty() {
        return true;
    }
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default().trim();
    allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cross(method: Method, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        map.insert("host", "argo.example".parse().unwrap());
        map.insert("cookie", "argocd.token=x".parse().unwrap());
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        is_cross_site(&method, &Uri::from_static("/api/v1/applications"), &map)
    }

    #[test]
    fn other_sites_and_sibling_domains_cannot_change_anything_with_a_cookie() {
        assert!(cross(Method::POST, &[("sec-fetch-site", "cross-site")]));
        assert!(cross(Method::DELETE, &[("sec-fetch-site", "same-site"), ("origin", "https://argo.example")]));
        assert!(cross(Method::POST, &[("origin", "https://evil.example")]));
        assert!(cross(Method::POST, &[("origin", "null")]));
        assert!(cross(Method::POST, &[("origin", "https://evil.example/argo.example")]));
    }

    #[test]
    fn own_pages_programs_and_readers_are_let_through() {
        assert!(!cross(Method::POST, &[("sec-fetch-site", "same-origin")]));
        assert!(!cross(Method::POST, &[("origin", "https://argo.example")]));
        assert!(!cross(Method::POST, &[("origin", "https://public.example"), ("x-forwarded-host", "public.example")]));
        assert!(!cross(Method::POST, &[]));
        assert!(!cross(Method::GET, &[("sec-fetch-site", "cross-site")]));
        assert!(!cross(Method::POST, &[("origin", "https://evil.example"), ("authorization", "Bearer x.y.z")]));
    }

    #[test]
    fn what_is_no_token_does_not_stand_for_one() {
        assert!(cross(Method::POST, &[("sec-fetch-site", "cross-site"), ("authorization", "Basic dTpw")]));
        assert!(cross(Method::POST, &[("sec-fetch-site", "cross-site"), ("token", "")]));
    }
}
