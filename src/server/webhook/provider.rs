//! Which Git host delivers, and whether it proves it.

use argosy_home::settings::WebhookSecrets;
use argosy_model::Secret;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The hosts that are understood, told apart by the headers each of them sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    AzureDevOps,
    Gogs,
    GitHub,
    GitLab,
    Bitbucket,
    BitbucketServer,
    GitHubPackages,
}

/// A delivery that does not have the proof it must have. Why is nobody's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unproven;

// === impl Provider ===

impl Provider {
    /// The host of a delivery. Gitea sends the headers of Gogs and of GitHub.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let has = |name: &str| headers.contains_key(name);
        let event = text(headers, "x-github-event");
        if has("x-vss-activityid") {
            Some(Self::AzureDevOps)
        } else if has("x-gogs-event") {
            Some(Self::Gogs)
        } else if event.is_some_and(|event| event != "package") {
            Some(Self::GitHub)
        } else if has("x-gitlab-event") {
            Some(Self::GitLab)
        } else if has("x-hook-uuid") {
            Some(Self::Bitbucket)
        } else if has("x-event-key") {
            Some(Self::BitbucketServer)
        } else if event.is_some() {
            Some(Self::GitHubPackages)
        } else {
            None
        }
    }

    /// Whether the sender knows what only it and the settings know. Where nothing
    /// is set, everybody may deliver.
    pub(super) fn verify(self, headers: &HeaderMap, body: &[u8], secrets: &WebhookSecrets) -> Result<(), Unproven> {
        let proven = match self {
            Self::GitHub | Self::GitHubPackages => {
                signed(headers, "x-hub-signature-256", "sha256=", body, &secrets.github)
            }
            Self::Gogs => signed(headers, "x-gogs-signature", "", body, &secrets.gogs),
            Self::BitbucketServer => signed(headers, "x-hub-signature", "sha256=", body, &secrets.bitbucket_server),
            Self::GitLab => same(text(headers, "x-gitlab-token"), &secrets.gitlab),
            Self::Bitbucket => same(text(headers, "x-hook-uuid"), &secrets.bitbucket_uuid),
            Self::AzureDevOps => basic(headers, &secrets.azure_devops_username, &secrets.azure_devops_password),
        };
        if proven { Ok(()) } else { Err(Unproven) }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether the body is signed with the secret, if there is one.
fn signed(headers: &HeaderMap, name: &str, prefix: &str, body: &[u8], secret: &Secret<String>) -> bool {
    if secret.expose().is_empty() {
        return true;
    }
    let claimed = text(headers, name).and_then(|value| value.strip_prefix(prefix)).and_then(hex);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    claimed.is_some_and(|claimed| hmac::verify(&key, body, &claimed).is_ok())
}

/// Whether the header is the secret, if there is one.
fn same(header: Option<&str>, secret: &Secret<String>) -> bool {
    let secret = secret.expose();
    secret.is_empty() || header.is_some_and(|header| equal(header.as_bytes(), secret.as_bytes()))
}

/// Whether basic authentication names user and password, if there are any.
fn basic(headers: &HeaderMap, user: &Secret<String>, password: &Secret<String>) -> bool {
    if user.expose().is_empty() && password.expose().is_empty() {
        return true;
    }
    let encoded = text(headers, "authorization").and_then(|value| value.strip_prefix("Basic "));
    let given = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
    let wanted = format!("{}:{}", user.expose(), password.expose());
    given.is_some_and(|given| equal(&given, wanted.as_bytes()))
}

fn equal(a: &[u8], b: &[u8]) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    // A SHA-256 has 64 digits; what is longer is none.
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn signature(secret: &str, body: &[u8]) -> String {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn hosts_are_told_apart_in_the_order_that_resolves_their_doubles() {
        let gitea = headers(&[("x-gogs-event", "push"), ("x-github-event", "push")]);
        assert_eq!(Provider::of(&gitea), Some(Provider::Gogs));
        assert_eq!(Provider::of(&headers(&[("x-github-event", "package")])), Some(Provider::GitHubPackages));
        assert_eq!(Provider::of(&headers(&[("x-event-key", "repo:push")])), Some(Provider::BitbucketServer));
        assert_eq!(
            Provider::of(&headers(&[("x-hook-uuid", "u"), ("x-event-key", "repo:push")])),
            Some(Provider::Bitbucket)
        );
        assert_eq!(Provider::of(&headers(&[])), None);
    }

    #[test]
    fn a_set_secret_must_be_proven_and_an_unset_one_need_not() {
        let body = b"{}";
        let set = WebhookSecrets { github: secret("s"), ..Default::default() };
        let good = headers(&[("x-hub-signature-256", &format!("sha256={}", signature("s", body)))]);
        let bad = headers(&[("x-hub-signature-256", &format!("sha256={}", signature("t", body)))]);
        assert_eq!(Provider::GitHub.verify(&good, body, &set), Ok(()));
        for headers in [bad, headers(&[("x-hub-signature-256", "sha256=zz")]), headers(&[])] {
            assert_eq!(Provider::GitHub.verify(&headers, body, &set), Err(Unproven));
        }
        assert_eq!(Provider::GitHub.verify(&headers(&[]), body, &WebhookSecrets::default()), Ok(()));
    }

    #[test]
    fn tokens_and_passwords_are_compared_whole() {
        let set = WebhookSecrets {
            gitlab: secret("token"),
            azure_devops_username: secret("u"),
            azure_devops_password: secret("p"),
            ..Default::default()
        };
        assert_eq!(Provider::GitLab.verify(&headers(&[("x-gitlab-token", "token")]), b"", &set), Ok(()));
        assert_eq!(Provider::GitLab.verify(&headers(&[("x-gitlab-token", "tok")]), b"", &set), Err(Unproven));
        let basic = format!("Basic {}", STANDARD.encode("u:p"));
        assert_eq!(Provider::AzureDevOps.verify(&headers(&[("authorization", &basic)]), b"", &set), Ok(()));
        assert_eq!(Provider::AzureDevOps.verify(&headers(&[]), b"", &set), Err(Unproven));
    }
}
