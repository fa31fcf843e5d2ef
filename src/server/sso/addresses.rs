//! The addresses users know the server by, and which of them a browser may be sent
//! to.
//!
//! What is sent is what was checked: an address is read as a browser reads it, and
//! written anew from that.

use argosy_home::Settings;
use url::Url;

/// Longest address to return to, in bytes. It is sealed into a cookie, which doubles
/// it, and browsers keep no cookie of more than 4096 bytes.
const LONGEST: usize = 1200;
/// Stands for the server's own address while a relative one is read.
const HERE: &str = "https://here.invalid/";
/// Below the server's address.
const CALLBACK: &str = "auth/callback";

/// The addresses of the server: `url` and `additionalUrls`.
pub(crate) fn of_server(settings: &Settings) -> impl Iterator<Item = Url> + '_ {
    let all = std::iter::once(&settings.api.url).chain(&settings.additional_urls);
    all.filter_map(|text| Url::parse(text).ok()).filter(|url| matches!(url.scheme(), "http" | "https"))
}

/// The address a request came to: one of the server's with this host (and port) and
/// a path above the request's, or else the first.
pub(crate) fn of_request(settings: &Settings, host: &str, path: &str) -> Option<Url> {
    let is_it = |url: &Url| authority(url).eq_ignore_ascii_case(host) && is_below(path, url.path());
    of_server(settings).find(is_it).or_else(|| of_server(settings).next())
}

/// Where the provider sends browsers back to.
pub(crate) fn callback(server: &Url) -> Url {
    let mut url = server.clone();
    url.set_path(&format!("{}/{CALLBACK}", server.path().trim_end_matches('/')));
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Where a browser that asks to be sent to `text` is sent: to a path of the server
/// it is at, or below one of the addresses; otherwise nowhere.
pub(crate) fn returning(text: &str, allowed: impl IntoIterator<Item = Url>) -> Option<String> {
    if text.len() > LONGEST || text.bytes().any(|byte| byte.is_ascii_control() || byte == b'\\') {
        return None;
    }
    if text.starts_with('/') {
        let here = Url::parse(HERE).ok()?;
        let url = here.join(text).ok().filter(|url| url.origin() == here.origin())?;
        let relative = &url[url::Position::BeforePath..];
        // Dots that went away may have left a second slash: that is another host. And
        // what was escaped has become longer.
        return (!relative.starts_with("//") && relative.len() <= LONGEST).then(|| relative.to_owned());
    }
    let url = Url::parse(text).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    let is_allowed = |base: Url| {
        base.scheme() == url.scheme() && authority(&base) == authority(&url) && is_below(url.path(), base.path())
    };
    (is_plain && url.as_str().len() <= LONGEST && allowed.into_iter().any(is_allowed)).then(|| url.to_string())
}

/// Host, and port unless it is the scheme's own.
fn authority(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    }
}

fn is_below(path: &str, base: &str) -> bool {
    let base = base.trim_end_matches('/');
    path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> Option<String> {
        let allowed = ["https://argo.example/base", "https://other.example:8443"].map(|url| Url::parse(url).unwrap());
        returning(text, allowed)
    }

    #[test]
    fn browsers_are_sent_below_the_servers_addresses_and_to_paths() {
        for text in [
            "https://argo.example/base",
            "https://argo.example/base/applications?x=1#y",
            "https://other.example:8443/",
            "/",
            "/applications/argocd/app?view=tree",
        ] {
            assert_eq!(sent(text).as_deref(), Some(text));
        }
        assert_eq!(sent("https://argo.example:443/base/").unwrap(), "https://argo.example/base/");
        assert_eq!(sent("https://argo.example/base/x/../y").unwrap(), "https://argo.example/base/y");
        assert_eq!(sent("/a/../b").unwrap(), "/b");
    }

    #[test]
    fn browsers_are_sent_nowhere_else() {
        for text in [
            "https://evil.example/",
            "https://argo.example/",
            "https://argo.example/based",
            "https://argo.example/base/../admin",
            "https://argo.example/base/%2e%2e/admin",
            "http://argo.example/base",
            "https://argo.example:444/base",
            "https://argo.example@evil.example/base",
            "https://user@argo.example/base",
            "https://argo.example.evil.example/base",
            "//evil.example/",
            "///evil.example/",
            "/\\evil.example/",
            "\\\\evil.example",
            "/..//evil.example",
            "/.//evil.example",
            "/%2e%2e//evil.example",
            "/\t/evil.example",
            "/a\r\nLocation: https://evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "evil.example",
            "",
        ] {
            assert_eq!(sent(text), None, "{text:?}");
        }
        assert_eq!(sent(&format!("/{}", "a".repeat(3000))), None);
    }

    #[test]
    fn a_request_is_answered_at_the_address_it_came_to() {
        let mut settings = Settings::default();
        settings.api.url = "https://argo.example".to_owned();
        settings.additional_urls = vec!["https://other.example:8443/base/".to_owned()];
        let of = |host: &str, path: &str| callback(&of_request(&settings, host, path).unwrap()).to_string();
        assert_eq!(of("other.example:8443", "/base/auth/login"), "https://other.example:8443/base/auth/callback");
        assert_eq!(of("other.example:8443", "/auth/login"), "https://argo.example/auth/callback");
        assert_eq!(of("evil.example", "/auth/login"), "https://argo.example/auth/callback");
        assert!(of_request(&Settings::default(), "x", "/").is_none());
    }
}
