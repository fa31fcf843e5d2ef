//! The cookie of a session. A token that is longer than browsers keep in one cookie
//! is spread over several: the first says how many, `<n>:<part>`.

use http::HeaderMap;
use http::header::COOKIE;

/// Name of the cookie; further parts are `argocd.token-1`, `-2`, …
pub const TOKEN: &str = "argocd.token";

/// Most cookies of a token unless configured.
pub const DEFAULT_MAX_COOKIES: usize = 20;

/// Most bytes of one cookie with its attributes.
const MAX_LENGTH: usize = 4093;

/// Most parts that are read, whatever the first one says.
const MAX_PARTS: usize = 100;

/// A token that needs more cookies than allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the authentication token is {length} characters long and requires {needed} cookies but the max number of \
     cookies is {max}. Contact your Argo CD administrator to increase the max number of cookies"
)]
pub struct TooLong {
    length: usize,
    needed: usize,
    max: usize,
}

/// Where and how a cookie is kept.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Path of the web page, with or without slashes at its ends.
    pub base_href: &'a str,
    /// Only over TLS.
    pub secure: bool,
}

/// The values of `Set-Cookie` that keep a token.
///
/// # Errors
/// When it needs more than `max` cookies.
pub fn set(token: &str, scope: Scope<'_>, max: usize) -> Result<Vec<String>, TooLong> {
    let attributes = scope.attributes();
    // name=value; attributes, and up to five characters in between: `-99=`, `=100:`.
    let room = MAX_LENGTH.saturating_sub(TOKEN.len() + 5 + attributes.len() + 2).max(1);
    // A token is ASCII; should it not be, no character is cut in two.
    let parts: Vec<String> = token.chars().collect::<Vec<_>>().chunks(room).map(|part| part.iter().collect()).collect();
    if parts.len() > max {
        return Err(TooLong { length: token.len(), needed: parts.len(), max });
    }
    let count = parts.len();
    Ok(parts
        .iter()
        .enumerate()
        .map(|(place, part)| match place {
            0 if count == 1 => format!("{TOKEN}={part}; {attributes}"),
            0 => format!("{TOKEN}={count}:{part}; {attributes}"),
            _ => format!("{TOKEN}-{place}={part}; {attributes}"),
        })
        .collect())
}

/// The values of `Set-Cookie` that remove the token a request came with, all parts
/// of it; the first one in any case.
pub fn clear(request: &HeaderMap, scope: Scope<'_>) -> Vec<String> {
    let attributes = scope.attributes();
    let mut names = vec![TOKEN.to_owned()];
    for (name, _) in cookies(request) {
        if is_part(name) && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names.into_iter().map(|name| format!("{name}=; {attributes}; Max-Age=0")).collect()
}

/// The token of a request's cookies, joined; `None` when there is none or a part of
/// it is missing.
pub fn token(request: &HeaderMap) -> Option<String> {
    let value = |wanted: &str| cookies(request).find(|(name, _)| *name == wanted).map(|(_, value)| value);
    let first = value(TOKEN)?;
    let (count, first) = match first.split_once(':') {
        None => (1, first),
        Some((count, first)) => (count.parse::<usize>().ok().filter(|count| (1..=MAX_PARTS).contains(count))?, first),
    };
    let mut token = first.to_owned();
    for place in 1..count {
        token.push_str(value(&format!("{TOKEN}-{place}"))?);
    }
    (!token.is_empty()).then_some(token)
}

/// Whether a request has a token's cookie, be it complete or not.
pub(super) fn has_token(request: &HeaderMap) -> bool {
    cookies(request).any(|(name, _)| name == TOKEN)
}

fn is_part(name: &str) -> bool {
    let digits = name.strip_prefix(TOKEN).and_then(|rest| rest.strip_prefix('-'));
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Names and values of a request's cookies. HTTP/2 may send each in a header of its
/// own.
fn cookies(request: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let headers = request.get_all(COOKIE).into_iter().filter_map(|header| header.to_str().ok());
    headers.flat_map(|header| header.split(';')).filter_map(|cookie| cookie.trim().split_once('='))
}

// === impl Scope ===

impl Scope<'_> {
    fn attributes(self) -> String {
        let path = self.base_href.trim_matches('/');
        let secure = if self.secure { "; Secure" } else { "" };
        format!("path=/{path}; SameSite=lax; httpOnly{secure}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: Scope<'static> = Scope { base_href: "/argo/", secure: true };

    fn sent_back(cookies: &[String]) -> HeaderMap {
        let pairs: Vec<&str> = cookies.iter().map(|cookie| cookie.split(';').next().unwrap()).collect();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("a=b; {}", pairs.join("; ")).parse().unwrap());
        headers
    }

    #[test]
    fn a_short_token_is_one_cookie() {
        let cookies = set("abc", SCOPE, 20).unwrap();
        assert_eq!(cookies, ["argocd.token=abc; path=/argo; SameSite=lax; httpOnly; Secure"]);
        assert_eq!(token(&sent_back(&cookies)).unwrap(), "abc");
    }

    #[test]
    fn a_long_token_is_spread_and_joined_and_cleared() {
        let long: String = (0..10_000).map(|place| char::from(b'a' + (place % 26) as u8)).collect();
        let cookies = set(&long, SCOPE, 20).unwrap();
        assert_eq!(cookies.len(), 3);
        assert!(cookies[0].starts_with("argocd.token=3:abc"));
        assert!(
            cookies.iter().all(|cookie| cookie.len() <= 4093),
            "{:?}",
            cookies.iter().map(String::len).collect::<Vec<_>>()
        );
        let longest = set(&long.repeat(40), SCOPE, 100).unwrap();
        assert!(longest.len() > 99 && longest.iter().all(|cookie| cookie.len() <= 4093));
        let headers = sent_back(&cookies);
        assert_eq!(token(&headers).unwrap(), long);
        assert_eq!(clear(&headers, SCOPE).len(), 3);
        assert_eq!(token(&sent_back(&cookies[..2])), None);
        assert!(
            set(&long, SCOPE, 2)
                .unwrap_err()
                .to_string()
                .contains("requires 3 cookies but the max number of cookies is 2")
        );
    }

    #[test]
    fn nonsense_is_no_token() {
        for value in ["argocd.token=", "argocd.token=x:y", "argocd.token=0:y", "argocd.token=99999999999:y", "other=1"]
        {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, value.parse().unwrap());
            assert_eq!(token(&headers), None, "{value}");
        }
    }
}
